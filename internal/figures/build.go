package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/fsblob"
)

// account and region are those of a server for development, which knows the key test.
const account, region = "000000000000", "us-east-1"

// built marks a store that is whole, and says how long it took.
const built = "built"

// store is one of many images, in repositories that are all alike.
type store struct {
	dir                  string
	repositories, images int           // images of each repository
	tags                 int           // of each repository, on its first images
	took                 time.Duration // to build it
}

func (st store) data() string { return filepath.Join(st.dir, "data") }

// image is where a manifest is pulled by its tag.
func (st store) image(repository, tag int) string {
	return fmt.Sprintf("/v2/%s/manifests/%s", repositoryOf(repository), tagNumber(tag))
}

func repositoryOf(n int) string { return fmt.Sprintf("team-%03d/app-%05d", n/1000, n) }

func tagNumber(i int) string { return fmt.Sprintf("1.%d", i) }

func nameOf(repo string) (registry.Name, error) {
	return registry.ParseName(registry.ID{Account: account, Region: region}, repo)
}

// build makes the store, unless it is there.
func build(ctx context.Context, o options, st *store) error {
	if took, err := os.ReadFile(filepath.Join(st.dir, built)); err == nil {
		st.took, err = time.ParseDuration(string(took))
		return err
	}
	began := time.Now()
	err := filled(ctx, o, st.data(), func(ctx context.Context, w *builder, b *batch) error {
		w.store = *st
		return w.all(ctx, b)
	})
	if err != nil {
		return err
	}
	st.took = time.Since(began)
	return os.WriteFile(filepath.Join(st.dir, built), []byte(st.took.String()), 0o600)
}

// filled makes a data folder by berth, fills it while nobody has it open, and has berth
// close it in order.
func filled(ctx context.Context, o options, data string, fill func(context.Context, *builder, *batch) error) error {
	visit := func() error { return with(ctx, o, data, func(*server) error { return nil }) }
	if err := visit(); err != nil {
		return err
	}
	index, err := boltindex.Open(filepath.Join(data, "index.db"), boltindex.Options{Bulk: true})
	if err != nil {
		return err
	}
	blobs, err := fsblob.OpenOn(lazyDisk{disk.OS{}}, filepath.Join(data, "blobs"))
	if err != nil {
		return errors.Join(err, index.Close())
	}
	b := &batch{Index: index}
	service, err := registry.New(ctx, registry.Options{Index: b, Blobs: blobs, Limits: registry.Limits{Repositories: 1 << 30, Images: 1 << 30}})
	if err != nil {
		return errors.Join(err, index.Close())
	}
	ctx = auth.WithPrincipal(ctx, auth.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, Region: region, Kind: auth.Root})
	err = fill(ctx, &builder{Service: service}, b)
	if err := errors.Join(err, service.Close(ctx), index.Close()); err != nil {
		return err
	}
	return visit()
}

// batch is an index on which all updates of a step are one.
type batch struct {
	storage.Index
	tx storage.Tx // nil outside of a step
}

// step has all updates of fn be one; within another step they are of that.
func (b *batch) step(ctx context.Context, fn func() error) error {
	if b.tx != nil {
		return fn()
	}
	return b.Index.Update(ctx, func(tx storage.Tx) error {
		b.tx = tx
		defer func() { b.tx = nil }()
		return fn()
	})
}

func (b *batch) View(ctx context.Context, fn func(storage.Reader) error) error {
	if b.tx == nil {
		return b.Index.View(ctx, fn)
	}
	return fn(b.tx)
}

func (b *batch) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if b.tx == nil {
		return b.Index.Update(ctx, fn)
	}
	return fn(b.tx)
}

// lazyDisk is a disk that syncs nothing.
type lazyDisk struct{ disk.FS }

func (d lazyDisk) OpenFile(name string, flag int, mode fs.FileMode) (disk.File, error) {
	f, err := d.FS.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	return lazyFile{f}, nil
}

type lazyFile struct{ disk.File }

func (lazyFile) Sync() error { return nil }

// builder fills a registry.
type builder struct {
	*registry.Service
	store
	first registry.Name // from which common layers are mounted
}

// perStep is how many images are one transaction of the index: what bbolt holds of one
// is not split into pages before its end, so a long one has more to move with each row.
const perStep = 500

// common is the config of all images, and forgotten a layer that every repository has
// and no image uses.
const common, forgotten = "{}", "forgotten by all"

func (w *builder) all(ctx context.Context, b *batch) error {
	for n := 0; n < w.repositories; {
		to := min(n+max(1, perStep/w.images), w.repositories)
		some := func() error { return w.some(ctx, b, n, to) }
		var err error
		if w.images < perStep {
			err = b.step(ctx, some)
		} else {
			err = some()
		}
		if err != nil {
			return err
		}
		if tenth := w.repositories/10 + 1; to/tenth > n/tenth {
			fmt.Fprintf(os.Stderr, "  %d of %d repositories\n", to, w.repositories)
		}
		n = to
	}
	return nil
}

// some makes the repositories from one on before another.
func (w *builder) some(ctx context.Context, b *batch, from, to int) error {
	for n := from; n < to; n++ {
		if err := w.repository(ctx, b, n); err != nil {
			return err
		}
	}
	return nil
}

// repository makes one repository with its images. Each tenth has a layer of its own too
// that no image uses.
func (w *builder) repository(ctx context.Context, b *batch, n int) error {
	name, err := nameOf(repositoryOf(n))
	if err != nil {
		return err
	}
	var layer v1.Descriptor
	err = b.step(ctx, func() (err error) {
		layer, err = w.begin(ctx, name, n)
		return err
	})
	for from := 0; err == nil && from < w.images; from += perStep {
		err = b.step(ctx, func() error { return w.pushSome(ctx, name, &layer, from, min(from+perStep, w.images)) })
	}
	return err
}

// begin makes a repository with its layers, and returns that of its images.
func (w *builder) begin(ctx context.Context, name registry.Name, n int) (layer v1.Descriptor, err error) {
	if _, err := w.CreateRepository(ctx, name, registry.Settings{}); err != nil {
		return layer, err
	}
	for _, content := range []string{common, forgotten} {
		if err := w.share(ctx, name, n == 0, content); err != nil {
			return layer, err
		}
	}
	w.first = pick(n == 0, name, w.first)
	if n%10 == 0 {
		if _, err := w.upload(ctx, name, fmt.Sprintf("forgotten by %d", n)); err != nil {
			return layer, err
		}
	}
	return w.upload(ctx, name, fmt.Sprintf("layer of %d", n))
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// share gives the repository a layer that all have.
func (w *builder) share(ctx context.Context, name registry.Name, first bool, content string) error {
	if first {
		_, err := w.upload(ctx, name, content)
		return err
	}
	_, err := w.Mount(ctx, name, digest.FromBytes(digest.SHA256, []byte(content)), registry.Mount{
		From: w.first, MayRead: func(context.Context, registry.Name) bool { return true },
	})
	return err
}

func (w *builder) upload(ctx context.Context, name registry.Name, content string) (v1.Descriptor, error) {
	d := digest.FromBytes(digest.SHA256, []byte(content))
	u, err := w.StartUpload(ctx, name, registry.NewUpload{})
	if err != nil {
		return v1.Descriptor{}, err
	}
	if _, err := w.AppendUpload(ctx, name, u.ID, registry.Part{Offset: -1, Length: -1, Body: bytes.NewReader([]byte(content))}); err != nil {
		return v1.Descriptor{}, err
	}
	_, err = w.FinishUpload(ctx, name, u.ID, registry.Finish{Digests: []digest.Digest{d}})
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: d.OCI(), Size: int64(len(content))}, err
}

// pushSome pushes images of a repository, the first of all with a tag.
func (w *builder) pushSome(ctx context.Context, name registry.Name, layer *v1.Descriptor, from, to int) error {
	for i := from; i < to; i++ {
		var tags []registry.Tag
		if i < w.tags {
			tag, err := registry.ParseTag(tagNumber(i))
			if err != nil {
				return err
			}
			tags = []registry.Tag{tag}
		}
		if err := w.image(ctx, name, layer, i, tags); err != nil {
			return err
		}
	}
	return nil
}

// image pushes an image, with a layer if there is one. Its annotation makes it unlike the
// others.
func (w *builder) image(ctx context.Context, name registry.Name, layer *v1.Descriptor, i int, tags []registry.Tag) error {
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{},
		Config:      v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(digest.SHA256, []byte(common)).OCI(), Size: int64(len(common))},
		Annotations: map[string]string{v1.AnnotationVersion: tagNumber(i)},
	}
	if layer != nil {
		m.Layers = append(m.Layers, *layer)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.PutImage(ctx, name, registry.Push{Tags: tags, Body: body})
	return err
}
