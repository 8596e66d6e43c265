package registry_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/fsblob"
)

// tenLayers is a manifest as images have it.
func tenLayers(b *testing.B, s *registry.Service, n registry.Name) []byte {
	b.Helper()
	m := v1.Manifest{Config: addConfig(b, s, n)}
	for i := range 10 {
		m.Layers = append(m.Layers, addLayer(b, s, n, fmt.Sprint("layer ", i)))
	}
	return imageOf(b, m)
}

// numbered is a manifest like others but for its annotation.
func numbered(b *testing.B, s *registry.Service, n registry.Name) func() []byte {
	b.Helper()
	config, i := addConfig(b, s, n), 0
	return func() []byte {
		i++
		return imageOf(b, v1.Manifest{Config: config, Annotations: map[string]string{"n": fmt.Sprint(i)}})
	}
}

func BenchmarkPutImage(b *testing.B) {
	s := open(b, registry.Options{})
	n := create(b, s, "team/app")
	next, ctx, latest := numbered(b, s, n), alice(b), tag(b, "latest")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.PutImage(ctx, n, registry.Push{Tags: []registry.Tag{latest}, Body: next()}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutImageThatIsThere(b *testing.B) {
	s := open(b, registry.Options{})
	n := create(b, s, "team/app")
	body, ctx, latest := tenLayers(b, s, n), alice(b), tag(b, "latest")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.PutImage(ctx, n, registry.Push{Tags: []registry.Tag{latest}, Body: body}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPushLayer(b *testing.B) {
	s := open(b, registry.Options{})
	n, i := create(b, s, "team/app"), 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		addLayer(b, s, n, fmt.Sprint("layer ", i))
	}
}

func BenchmarkManifestByTag(b *testing.B) {
	s := open(b, registry.Options{})
	n := create(b, s, "team/app")
	put(b, s, n, "latest", tenLayers(b, s, n))
	ctx, ref := alice(b), tagged(b, "latest")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Manifest(ctx, n, ref); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTagsPageOf100Among10000(b *testing.B) {
	s := open(b, registry.Options{})
	n := create(b, s, "team/app")
	next, ctx := numbered(b, s, n), alice(b)
	for i := range 10_000 {
		put(b, s, n, fmt.Sprintf("v%05d", i), next())
	}
	b.ReportAllocs()
	for b.Loop() {
		if page, _, err := s.Tags(ctx, n, "v05000", 100); err != nil || len(page) != 100 {
			b.Fatal(len(page), err)
		}
	}
}

// plainBlobs are blobs that have no stamps.
type plainBlobs struct{ storage.Blobs }

// BenchmarkReadLayer reads a layer in a file whole: with the look at its stamp before
// the first byte, without one, and hashed whole each time.
func BenchmarkReadLayer(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		content := strings.Repeat("0123456789abcdef", size/16)
		for _, bb := range []struct {
			what   string
			verify registry.VerifyMode
			blobs  func(storage.Blobs) storage.Blobs
		}{
			{"stamps", registry.VerifyChanged, func(x storage.Blobs) storage.Blobs { return x }},
			{"no-stamps", registry.VerifyChanged, func(x storage.Blobs) storage.Blobs { return plainBlobs{x} }},
			{"always", registry.VerifyAlways, func(x storage.Blobs) storage.Blobs { return x }},
		} {
			b.Run(fmt.Sprintf("%s/%dKiB", bb.what, size>>10), func(b *testing.B) {
				files, err := fsblob.Open(b.TempDir())
				must(b, err)
				s := open(b, registry.Options{Blobs: bb.blobs(files), Verify: bb.verify})
				n := create(b, s, "team/app")
				addLayer(b, s, n, content)
				benchmarkReads(b, s, n, sha256Of([]byte(content)))
			})
		}
	}
}

func benchmarkReads(b *testing.B, s *registry.Service, n registry.Name, d digest.Digest) {
	ctx, buf := alice(b), make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		l, r, err := s.OpenLayer(ctx, n, d)
		if err != nil {
			b.Fatal(err)
		}
		read, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buf)
		if err := errors.Join(err, r.Close()); err != nil || read != l.Size {
			b.Fatal(read, err)
		}
	}
}
