package registry_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

var errBroken = errors.New("broken disk")

// brokenIndex fails one read or write of all that its transactions do: the one
// that finds left at zero.
type brokenIndex struct {
	storage.Index
	left int // below zero: none fails
}

func (x *brokenIndex) next() error {
	x.left--
	if x.left == 0 {
		return errBroken
	}
	return nil
}

func (x *brokenIndex) View(ctx context.Context, fn func(storage.Reader) error) error {
	return x.Index.View(ctx, func(r storage.Reader) error { return fn(brokenReader{x, r}) })
}

func (x *brokenIndex) Update(ctx context.Context, fn func(storage.Tx) error) error {
	return x.Index.Update(ctx, func(tx storage.Tx) error { return fn(brokenTx{brokenReader{x, tx}, tx}) })
}

type brokenReader struct {
	x *brokenIndex
	r storage.Reader
}

func (b brokenReader) Get(key string) ([]byte, error) {
	if err := b.x.next(); err != nil {
		return nil, err
	}
	return b.r.Get(key)
}

func (b brokenReader) Scan(r storage.Range) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		if err := b.x.next(); err != nil {
			yield(storage.Entry{}, err)
			return
		}
		b.r.Scan(r)(yield)
	}
}

type brokenTx struct {
	brokenReader
	tx storage.Tx
}

func (b brokenTx) Put(key string, value []byte) error {
	if err := b.x.next(); err != nil {
		return err
	}
	return b.tx.Put(key, value)
}

func (b brokenTx) Delete(key string) error {
	if err := b.x.next(); err != nil {
		return err
	}
	return b.tx.Delete(key)
}

// operation is something that a service can do.
type operation struct {
	what string
	do   func(ctx context.Context, s *registry.Service) error
}

// operations are all that a service can do, in an order in which they succeed.
func operations(t *testing.T, n, other registry.Name) []operation {
	layer := descriptor(v1.MediaTypeImageLayer, []byte("one"))
	subject := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: layer.Digest, Size: 1}
	body := imageOf(t, v1.Manifest{Config: layer, Layers: []v1.Descriptor{layer}, Subject: &subject})
	img := registry.Image{MediaType: v1.MediaTypeImageManifest, Digest: sha256Of(body), ManifestSize: int64(len(body))}
	index, latest := indexOf(t, img), tag(t, "latest")
	ref := registry.Ref{Digest: img.Digest}
	one := sha256Of([]byte("one"))
	var u registry.Upload
	return []operation{
		{"Ready", func(ctx context.Context, s *registry.Service) error { return s.Ready(ctx) }},
		{"CreateRepository", func(ctx context.Context, s *registry.Service) error {
			_, err := s.CreateRepository(ctx, n, registry.Settings{})
			return err
		}},
		{"TagRepository", func(ctx context.Context, s *registry.Service) error {
			return s.TagRepository(ctx, n, map[string]string{"a": "b"})
		}},
		{"StartUpload", func(ctx context.Context, s *registry.Service) (err error) {
			u, err = s.StartUpload(ctx, n, registry.NewUpload{Durable: true})
			return err
		}},
		{"AppendUpload", func(ctx context.Context, s *registry.Service) error {
			_, err := s.AppendUpload(ctx, n, u.ID, whole(0, "one"))
			return err
		}},
		{"FinishUpload", func(ctx context.Context, s *registry.Service) error {
			_, err := s.FinishUpload(ctx, n, u.ID, registry.Finish{Digests: []digest.Digest{one}, Parts: true})
			return err
		}},
		{"StartUpload, creating", func(ctx context.Context, s *registry.Service) (err error) {
			u, err = s.StartUpload(ctx, other, registry.NewUpload{MayCreate: true})
			return err
		}},
		{"CancelUpload", func(ctx context.Context, s *registry.Service) error { return s.CancelUpload(ctx, other, u.ID) }},
		{"Mount", func(ctx context.Context, s *registry.Service) error {
			_, err := s.Mount(ctx, other, one, registry.Mount{MayRead: anyone})
			return err
		}},
		{"Layer", func(ctx context.Context, s *registry.Service) error { _, err := s.Layer(ctx, other, one); return err }},
		{"OpenLayer", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.OpenLayer(ctx, other, one)
			return err
		}},
		{"PutImage", func(ctx context.Context, s *registry.Service) error {
			_, err := s.PutImage(ctx, n, registry.Push{Tag: latest, Body: body})
			return err
		}},
		{"PutImage, moving a tag", func(ctx context.Context, s *registry.Service) error {
			_, err := s.PutImage(ctx, n, registry.Push{Tag: latest, Body: index})
			return err
		}},
		{"DescribeImage", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DescribeImage(ctx, n, ref)
			return err
		}},
		{"Manifest", func(ctx context.Context, s *registry.Service) error { _, _, err := s.Manifest(ctx, n, ref); return err }},
		{"Images", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Images(ctx, n, "", "", 9)
			return err
		}},
		{"ImageIDs", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.ImageIDs(ctx, n, "", "", 9)
			return err
		}},
		{"Tags", func(ctx context.Context, s *registry.Service) error { _, _, err := s.Tags(ctx, n, "", 9); return err }},
		{"Referrers", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Referrers(ctx, n, one, nil, "", 9)
			return err
		}},
		{"Repositories", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Repositories(ctx, here, "", 9)
			return err
		}},
		{"Events", func(ctx context.Context, s *registry.Service) error { _, err := s.Events(ctx, 0, 9); return err }},
		{"Untag", func(ctx context.Context, s *registry.Service) error {
			_, err := s.Untag(ctx, n, latest, registry.KeepImage)
			return err
		}},
		{"DeleteImage, an index", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeleteImage(ctx, n, registry.Ref{Digest: sha256Of(index)})
			return err
		}},
		{"PutImage, tagging", func(ctx context.Context, s *registry.Service) error {
			_, err := s.PutImage(ctx, n, registry.Push{Tag: latest, Body: body})
			return err
		}},
		{"DeleteImage", func(ctx context.Context, s *registry.Service) error { _, err := s.DeleteImage(ctx, n, ref); return err }},
		{"DeleteLayer", func(ctx context.Context, s *registry.Service) error { return s.DeleteLayer(ctx, n, one) }},
		{"DeleteRepository", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeleteRepository(ctx, other, true)
			return err
		}},
		{"clear away", registry.Tidy},
	}
}

func TestEveryFaultIsAFault(t *testing.T) {
	index := &brokenIndex{Index: memory.NewIndex(), left: -1}
	s := open(t, registry.Options{Index: index, CreateOnPush: true})
	for _, op := range operations(t, name(t, "team/app"), name(t, "team/other")) {
		for n := 1; ; n++ {
			index.left = n
			err := op.do(alice(t), s)
			reached := index.left <= 0
			index.left = -1
			if !reached { // it did with less than n reads and writes
				if err != nil {
					t.Fatalf("%s without a fault: %v", op.what, err)
				}
				break
			}
			if !errors.Is(err, errBroken) || registry.CodeOf(err) != "" {
				t.Fatalf("%s with fault %d: %v, want the fault itself", op.what, n, err)
			}
			checkRows(t, s)
		}
	}
}

func TestNewReadsTheIndex(t *testing.T) {
	index := &brokenIndex{Index: memory.NewIndex(), left: 1}
	if _, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()}); !errors.Is(err, errBroken) {
		t.Errorf("New on a broken index: %v", err)
	}
}
