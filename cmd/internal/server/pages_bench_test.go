package server_test

import (
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
		half := preview(b, s, name, images/2)
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
			"GetLifecyclePolicyPreview": func() (int, error) {
				p, _, err := s.LifecyclePreview(b.Context(), name, registry.PreviewFilter{}, half, 100)
				return len(p.Results), err
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

// preview makes a preview of a lifecycle policy that all images but one meet, and
// returns the place behind some of its results.
func preview(b *testing.B, s *registry.Service, name registry.Name, results int) (place string) {
	b.Helper()
	const policy = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	if _, err := s.StartLifecyclePreview(b.Context(), name, policy); err != nil {
		b.Fatal(err)
	}
	if err := s.RunPreviews(b.Context()); err != nil {
		b.Fatal(err)
	}
	_, place, err := s.LifecyclePreview(b.Context(), name, registry.PreviewFilter{}, "", results)
	if err != nil || place == "" {
		b.Fatalf("place %q, %v", place, err)
	}
	return place
}

// BenchmarkLifecycleFacts reads what lifecycle policies ask of all images of a
// repository: an image costs the same in a large one.
func BenchmarkLifecycleFacts(b *testing.B) {
	for _, images := range []int{1_000, 100_000} {
		s, name := filled(b, images)
		b.Run(fmt.Sprint(images), func(b *testing.B) {
			for b.Loop() {
				if list, err := s.LifecycleFacts(b.Context(), name); err != nil || len(list) != images {
					b.Fatalf("%d facts, %v", len(list), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(images), "µs/image")
		})
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

// pushEmpty pushes the image of a number with a tag.
func pushEmpty(b *testing.B, s *registry.Service, name registry.Name, i int) error {
	tag, err := registry.ParseTag(fmt.Sprintf("v%06d", i))
	if err != nil {
		return err
	}
	return pushIndex(b.Context(), s, name, registry.Push{Tags: []registry.Tag{tag}}, i)
}
