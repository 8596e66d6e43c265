package server_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/memory"
)

// BenchmarkPages reads pages of 100 from the middle of repositories of 1,000 and of
// 100,000 images, each with a tag, in an index on disk: a page costs what the page
// costs, whatever the repository holds.
func BenchmarkPages(b *testing.B) {
	for _, images := range []int{1_000, 100_000} {
		s, name := filled(b, images)
		middle := fmt.Sprintf("sha256:%064x", 1)[:len("sha256:")] + "8" // half of all digests are behind it
		filtered := registry.ImageFilter{Tags: registry.TaggedOnly}
		for what, read := range map[string]func() (int, error){
			"DescribeImages": func() (int, error) {
				page, _, err := s.Images(b.Context(), name, registry.ImageFilter{}, middle, 100)
				return len(page), err
			},
			"DescribeImages, tagged": func() (int, error) {
				page, _, err := s.Images(b.Context(), name, filtered, middle, 100)
				return len(page), err
			},
			"ListImages": func() (int, error) {
				page, _, err := s.ImageIDs(b.Context(), name, registry.ImageFilter{}, middle, 100)
				return len(page), err
			},
			"tags": func() (int, error) {
				page, _, err := s.Tags(b.Context(), name, "v"+fmt.Sprintf("%06d", images/2), 100)
				return len(page), err
			},
		} {
			b.Run(fmt.Sprintf("%s/%d", what, images), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if n, err := read(); err != nil || n != 100 {
						b.Fatalf("a page of %d, %v", n, err)
					}
				}
			})
		}
	}
}

// filled is a repository with as many images.
func filled(b *testing.B, images int) (*registry.Service, registry.Name) {
	b.Helper()
	index, err := boltindex.Open(filepath.Join(b.TempDir(), "index.db"), boltindex.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = index.Close() })
	s, err := registry.New(b.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
	if err != nil {
		b.Fatal(err)
	}
	name, err := registry.ParseName(registry.ID{Account: "000000000000", Region: "us-east-1"}, "team/app")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.CreateRepository(b.Context(), name, registry.Settings{}); err != nil {
		b.Fatal(err)
	}
	const writers = 64 // whose commits go together
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() {
			for i := w; i < images; i += writers {
				if err := pushEmpty(b, s, name, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	return s, name
}

// pushEmpty pushes an index without images, which is enough of an image for lists.
func pushEmpty(b *testing.B, s *registry.Service, name registry.Name, i int) error {
	body, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []any{}, "annotations": map[string]string{"n": fmt.Sprint(i)},
	})
	if err != nil {
		return err
	}
	tag, err := registry.ParseTag(fmt.Sprintf("v%06d", i))
	if err != nil {
		return err
	}
	_, err = s.PutImage(b.Context(), name, registry.Push{Tags: []registry.Tag{tag}, Body: body})
	return err
}
