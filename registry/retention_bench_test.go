package registry_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// fill pushes images with a tag each.
func fill(b *testing.B, s *registry.Service, images int) registry.Name {
	b.Helper()
	n := create(b, s, "team/app")
	next := numbered(b, s, n)
	for i := range images {
		put(b, s, n, fmt.Sprintf("v%06d", i), next())
	}
	return n
}

// BenchmarkLifecycleDecides evaluates a policy of two rules that want nothing: it
// is what a run costs that finds nothing to do. live-MB is what the heap holds
// with all facts in it.
func BenchmarkLifecycleDecides(b *testing.B) {
	for _, images := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(images, " images"), func(b *testing.B) {
			now := time.Now()
			s := open(b, registry.Options{Limits: registry.Limits{Images: images}, Now: func() time.Time { return now }})
			n := fill(b, s, images)
			_, err := s.PutLifecyclePolicy(alice(b), n, rules(
				rule(1, "tagged", `"tagPatternList": ["v*"],`, moreThan(images), expire),
				rule(2, "any", "", sincePushed(3000), expire),
			))
			must(b, err)
			before := heap()
			facts, err := s.LifecycleFacts(alice(b), n)
			must(b, err)
			after := heap()
			if len(facts) != images {
				b.Fatalf("%d facts", len(facts))
			}
			runtime.KeepAlive(facts)
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Hour)
				must(b, s.RunLifecycle(alice(b)))
			}
			b.ReportMetric((after-before)/(1<<20), "live-MB")
		})
	}
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkLifecycleExpires takes images away, all but one in ten thousand.
func BenchmarkLifecycleExpires(b *testing.B) {
	const images = 10_000
	now := time.Now()
	for b.Loop() {
		b.StopTimer()
		s := open(b, registry.Options{Now: func() time.Time { return now }})
		n := fill(b, s, images)
		_, err := s.PutLifecyclePolicy(alice(b), n, keepOne)
		must(b, err)
		now = now.Add(time.Hour)
		b.StartTimer()
		must(b, s.RunLifecycle(alice(b)))
		if page, _, err := s.Images(alice(b), n, registry.ImageFilter{}, "", 10); len(page) != 1 || err != nil {
			b.Fatal(len(page), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/images, "µs/image")
}

// BenchmarkPreviewPage reads a page of a hundred in the middle of a preview, and
// the results of one image.
func BenchmarkPreviewPage(b *testing.B) {
	for _, images := range []int{1_000, 10_000} {
		now := time.Now()
		s := open(b, registry.Options{Now: func() time.Time { return now }})
		n := fill(b, s, images)
		_, err := s.StartLifecyclePreview(alice(b), n, keepOne)
		must(b, err)
		must(b, s.RunPreviews(alice(b)))
		_, middle, err := s.LifecyclePreview(alice(b), n, registry.PreviewFilter{}, "", images/2)
		must(b, err)
		for what, filter := range map[string]registry.PreviewFilter{"page": {}, "image": {Images: []registry.Ref{tagged(b, "v000500")}}} {
			b.Run(fmt.Sprint(what, " of ", images), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if p, _, err := s.LifecyclePreview(alice(b), n, filter, middle, 100); err != nil || len(p.Results) == 0 {
						b.Fatal(len(p.Results), err)
					}
				}
			})
		}
	}
}
