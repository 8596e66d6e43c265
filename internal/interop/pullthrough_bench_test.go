package interop_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// How long a client takes for an image of 100 MiB in four layers through a cold cache, and
// through a warm one, as multiples of what it takes from upstream itself: medians of
// the rounds, in which each image is new and first and second take turns.
func BenchmarkPullThrough(b *testing.B) {
	hub := harness.Start(b)
	s := mirroring(b, hub)
	sh := s.Shell(b)
	sh.UseDocker()
	hub.CreateRepository(b, "team/app")
	mirrorHub(b, sh)
	for _, at := range []*harness.Server{hub, s} {
		logIn(b, at, sh, "docker", "login")
	}
	out := filepath.Join(sh.Home(), "out.tar")
	for tool, pull := range map[string]func(ref string) time.Duration{
		"docker": func(ref string) time.Duration {
			took := timed(func() { sh.Run("docker", "pull", "--quiet", ref) })
			sh.Run("docker", "image", "rm", ref)
			return took
		},
		"crane": func(ref string) time.Duration { return timed(func() { sh.Run("crane", "pull", ref, out) }) },
	} {
		b.Run(tool, func(b *testing.B) {
			var cold, warm []float64
			for round := range b.N {
				tag := fmt.Sprintf("%s-%d-%d", tool, b.N, round)
				m := harness.NewImage(b, harness.DockerManifest, rand.Uint64(), 4, 25<<20)
				if err := hub.OCI(b).PushImage(b.Context(), "team/app", tag, m); err != nil {
					b.Fatal(err)
				}
				direct, through := hub.Host+"/team/app:"+tag, s.Host+"/docker-hub/team/app:"+tag
				took := map[string]time.Duration{}
				order := []string{direct, through}
				if round%2 == 1 {
					slices.Reverse(order)
				}
				for _, ref := range order {
					took[ref] = pull(ref)
				}
				cold = append(cold, took[through].Seconds()/took[direct].Seconds())
				warm = append(warm, pull(through).Seconds()/took[direct].Seconds())
			}
			b.ReportMetric(median(cold), "cold/direct")
			b.ReportMetric(median(warm), "warm/direct")
		})
	}
}

func timed(fn func()) time.Duration {
	began := time.Now()
	fn()
	return time.Since(began)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
