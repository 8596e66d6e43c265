package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry/digest"
)

// Bounds of the disk.
const (
	mostCopies       = 1.01
	mostOfTheirs     = 0.2
	sharing          = 20
	tagsOfAnImage    = 1_000  // as many as an image may have
	distributionsTag = 28_667 // bytes, measured: see tagsOnDisk
)

func disks(ctx context.Context, o options, z size) (all []figure, err error) {
	copies, err := sharedLayer(ctx, o, z)
	if err != nil {
		return nil, err
	}
	tags, err := tagsOnDisk(ctx, o, z)
	return append(tags, copies), err
}

// sharedLayer pushes one layer, whole, to many repositories.
func sharedLayer(ctx context.Context, o options, z size) (f figure, err error) {
	data := filepath.Join(o.dir, "shared-"+z.file)
	defer removeAll(data, &err)
	layer := content{name: "shared", mib: z.layer}
	var before, after int64
	err = with(ctx, o, data, func(s *server) error {
		if err := s.push("team/first", content{name: "another"}); err != nil {
			return err
		}
		if before, err = usage(data); err != nil {
			return err
		}
		id := layer.digest()
		if err := many(sharing, 4, func(i int) error { return s.pushAs(fmt.Sprint("team/app-", i), layer, id) }); err != nil {
			return err
		}
		after, err = settled(data)
		return err
	})
	what := fmt.Sprintf("disk for a layer of %d MiB that %d repositories share, each having pushed it, all else with it", z.layer, sharing)
	return kept(what, float64(after-before)/float64(layer.size()), mostCopies, ratio), err
}

// settled is the usage of a folder once it has stopped falling: what came twice is removed
// behind the answers.
func settled(dir string) (least int64, err error) {
	if least, err = usage(dir); err != nil {
		return 0, err
	}
	for same := 0; same < 10; same++ {
		time.Sleep(200 * time.Millisecond)
		now, err := usage(dir)
		if err != nil {
			return 0, err
		}
		if now < least {
			least, same = now, 0
		}
	}
	return least, nil
}

// usage is what a folder takes of the disk, in bytes.
func usage(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreGone(err)
		}
		n += info.Sys().(*syscall.Stat_t).Blocks * 512 // stat(2): always of 512 bytes
		return nil
	})
	return n, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func removeAll(path string, err *error) { *err = errors.Join(*err, os.RemoveAll(path)) }

// tagsOnDisk pushes images under a thousand tags each, to berth and, where it is there, to
// distribution. That makes five folders and two files for each tag (its storage/paths.go:
// current/link, index/sha256/<digest>/link), of a block each on ext4; so much it took too
// when it was measured, v3.1.2 with 10,000 tags.
func tagsOnDisk(ctx context.Context, o options, z size) (all []figure, err error) {
	data := filepath.Join(o.dir, "tags-"+z.file)
	defer removeAll(data, &err)
	var ours int64
	err = with(ctx, o, data, func(s *server) error {
		ours, err = tagged(s, data, z.tags)
		return err
	})
	if err != nil {
		return nil, err
	}
	theirs, from := distributionsTag*int64(z.tags), "as once measured"
	if o.distribution != "" {
		from = "measured beside"
		if theirs, err = distributions(ctx, o, filepath.Join(o.dir, "distribution-"+z.file), z.tags); err != nil {
			return nil, err
		}
	}
	each := func(n int64) string { return fmt.Sprintf("%d bytes each", n/int64(z.tags)) }
	f := kept(fmt.Sprintf("disk for %d tags, against distribution v3.1.2's", z.tags), float64(ours)/float64(theirs), mostOfTheirs, ratio)
	f.Value += fmt.Sprintf(" (%s; distribution %s, %s)", each(ours), each(theirs), from)
	return []figure{f}, nil
}

// distributions is what its registry takes of the disk for so many tags.
func distributions(ctx context.Context, o options, data string, tags int) (n int64, err error) {
	defer removeAll(data, &err)
	if err := os.MkdirAll(data, 0o700); err != nil {
		return 0, err
	}
	file := data + ".yml"
	s, err := launch(ctx, data, "", func(at string) []string {
		text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}, maintenance: {uploadpurging: {enabled: false}}}\nhttp: {addr: %q, secret: figures}\n", data, at)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err) // it will not start
		}
		return []string{o.distribution, "serve", file}
	})
	if err != nil {
		return 0, err
	}
	n, err = tagged(s, data, tags)
	return n, errors.Join(err, s.kill())
}

// tagged is by how much a server's folder grows with so many tags on images without layers.
func tagged(s *server, data string, tags int) (int64, error) {
	config := content{name: "{}"}
	if err := s.push("team/app", config); err != nil {
		return 0, err
	}
	d, err := digest.Parse(config.digest())
	if err != nil {
		return 0, err
	}
	put := func(i int) error {
		m := v1.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{},
			Config:      v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: d.OCI(), Size: config.size()},
			Annotations: map[string]string{v1.AnnotationVersion: fmt.Sprint(i / tagsOfAnImage)},
		}
		return s.pushManifest("team/app", fmt.Sprintf("v%06d", i), m)
	}
	for i := 0; i < tags; i += tagsOfAnImage { // the images are there before
		if err := put(i); err != nil {
			return 0, err
		}
	}
	before, err := usage(data)
	if err != nil {
		return 0, err
	}
	if err := many(tags, 16, put); err != nil {
		return 0, err
	}
	after, err := settled(data)
	return after - before, err
}
