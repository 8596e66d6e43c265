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

// built marks a store that is whole.
const built = "built"

// build makes the store in a data folder that berth made, unless it is there.
func build(ctx context.Context, o options, f *report) error {
	if _, err := os.Stat(filepath.Join(o.dir, built)); err == nil {
		return nil
	}
	data := filepath.Join(o.dir, "data")
	if err := visit(ctx, o); err != nil { // which makes the folder
		return err
	}
	began := time.Now()
	if err := fill(ctx, data, o); err != nil {
		return err
	}
	f.Built = time.Since(began)
	if err := visit(ctx, o); err != nil { // and stops it in order
		return err
	}
	return os.WriteFile(filepath.Join(o.dir, built), nil, 0o600)
}

// fill puts all images into a store that nobody has open.
func fill(ctx context.Context, data string, o options) error {
	index, err := boltindex.Open(filepath.Join(data, "index.db"), boltindex.Options{Bulk: true})
	if err != nil {
		return err
	}
	blobs, err := fsblob.OpenOn(lazyDisk{disk.OS{}}, filepath.Join(data, "blobs"))
	if err != nil {
		return errors.Join(err, index.Close())
	}
	b := &batch{Index: index}
	service, err := registry.New(ctx, registry.Options{Index: b, Blobs: blobs, Limits: registry.Limits{Repositories: o.repositories + 1}})
	if err != nil {
		return errors.Join(err, index.Close())
	}
	ctx = auth.WithPrincipal(ctx, auth.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, Region: region, Kind: auth.Root})
	w := &builder{Service: service, images: o.images, own: o.own}
	err = w.all(ctx, b, o.repositories)
	return errors.Join(err, service.Close(ctx), index.Close())
}

// batch is an index on which all updates of a step are one.
type batch struct {
	storage.Index
	tx storage.Tx // nil outside of a step
}

func (b *batch) step(ctx context.Context, fn func() error) error {
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
	images int
	own    bool          // each image has a layer of its own
	first  registry.Name // from which common layers are mounted
	layer  v1.Descriptor // of the last images
}

// perStep is how many images are one transaction of the index: what bbolt holds of one
// is not split into pages before its end, so a long one has more to move with each row.
const perStep = 500

// common is the config of all images, and forgotten a layer that every repository has
// and no image uses.
const common, forgotten = "{}", "forgotten by all"

func (w *builder) all(ctx context.Context, b *batch, repositories int) error {
	for n := range repositories {
		if err := w.repository(ctx, b, n); err != nil {
			return err
		}
		if n%(repositories/10+1) == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d repositories\n", n, repositories)
		}
	}
	return nil
}

// repository makes one repository with its images. Each tenth has a layer of its own too
// that no image uses.
func (w *builder) repository(ctx context.Context, b *batch, n int) error {
	name, err := registry.ParseName(registry.ID{Account: account, Region: region}, fmt.Sprintf("team-%03d/app-%05d", n/1000, n))
	if err != nil {
		return err
	}
	err = b.step(ctx, func() error { return w.begin(ctx, name, n) })
	for from := 0; err == nil && from < w.images; from += perStep {
		err = b.step(ctx, func() error { return w.pushSome(ctx, name, n, from, min(from+perStep, w.images)) })
	}
	return err
}

// begin makes a repository with its layers.
func (w *builder) begin(ctx context.Context, name registry.Name, n int) error {
	if _, err := w.CreateRepository(ctx, name, registry.Settings{}); err != nil {
		return err
	}
	for _, content := range []string{common, forgotten} {
		if err := w.share(ctx, name, n == 0, content); err != nil {
			return err
		}
	}
	w.first = pick(n == 0, name, w.first)
	if n%10 == 0 {
		_, err := w.upload(ctx, name, fmt.Sprintf("forgotten by %d", n))
		return err
	}
	return nil
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

// pushSome pushes images of a repository.
func (w *builder) pushSome(ctx context.Context, name registry.Name, n, from, to int) (err error) {
	for i := from; i < to; i++ {
		if i == 0 || w.own {
			if w.layer, err = w.upload(ctx, name, fmt.Sprintf("layer %d of %d", i, n)); err != nil {
				return err
			}
		}
		if err := w.image(ctx, name, w.layer, i); err != nil {
			return err
		}
	}
	return nil
}

// image pushes an image, which its annotation makes unlike the others.
func (w *builder) image(ctx context.Context, name registry.Name, layer v1.Descriptor, i int) error {
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(digest.SHA256, []byte(common)).OCI(), Size: int64(len(common))},
		Layers: []v1.Descriptor{layer}, Annotations: map[string]string{v1.AnnotationVersion: fmt.Sprintf("1.%d", i)},
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	tag, err := registry.ParseTag(fmt.Sprintf("1.%d", i))
	if err != nil {
		return err
	}
	_, err = w.PutImage(ctx, name, registry.Push{Tags: []registry.Tag{tag}, Body: body})
	return err
}
