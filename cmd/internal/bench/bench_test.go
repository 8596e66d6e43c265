package bench_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/bench"
)

func TestEveryScenario(t *testing.T) {
	target, _ := leastServer(t, nil)
	o := small(t)
	report := run(t, target, o)
	mustWork(t, report)
	var ran []string
	for _, r := range report.Results {
		ran = append(ran, r.Scenario)
		if r.Operations != o.Count || r.P50 <= 0 || r.P50 > r.P90 || r.P90 > r.P99 || r.P99 > r.Max || r.Rate <= 0 {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff(bench.Names(), ran); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
	if len(report.Left) > 0 {
		t.Errorf("left there: %q", report.Left)
	}
}

// TestMonolithic never sends a PATCH.
func TestMonolithic(t *testing.T) {
	target, _ := leastServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	o := small(t, "push-image", "push-large")
	if report := run(t, target, o); !report.Failed() {
		t.Error("without it, no PATCH is sent either")
	}
	o.Monolithic = true
	mustWork(t, run(t, target, o))
}

func TestBytesAreThoseOfTheContent(t *testing.T) {
	target, _ := leastServer(t, nil)
	o := small(t, "push-large", "pull-large", "ecr-layer")
	for _, r := range run(t, target, o).Results {
		if want := o.Count * o.LargeSize; r.Bytes != want {
			t.Errorf("%s moved %d bytes, want %d", r.Scenario, r.Bytes, want)
		}
	}
}

// TestWithoutAnAPI cleans up by the registry's own protocol, as far as it goes.
func TestWithoutAnAPI(t *testing.T) {
	for _, status := range []int{http.StatusAccepted, http.StatusMethodNotAllowed} {
		var mu sync.Mutex
		var removed []string
		target, _ := leastServer(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodDelete {
					h.ServeHTTP(w, r)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				removed = append(removed, r.URL.Path)
				w.WriteHeader(status)
			})
		})
		target.API = ""
		o := small(t, "push-image", "ecr-token")
		report := run(t, target, o)
		mu.Lock() // handlers go on after their answer
		defer mu.Unlock()
		if r := report.Results[1]; r.Skipped != "no key for an API of ECR's is known" {
			t.Errorf("ecr-token: %+v", r)
		}
		manifests := slices.DeleteFunc(slices.Clone(removed), func(path string) bool { return !strings.Contains(path, "/manifests/sha256:") })
		blobs := slices.DeleteFunc(slices.Clone(removed), func(path string) bool { return !strings.Contains(path, "/blobs/sha256:") })
		left := strings.Join(report.Left, "\n")
		if status == http.StatusAccepted {
			if len(manifests) != int(o.Count) || len(blobs) != int(o.Count)*(o.Layers+1) || strings.Contains(left, "images") || !strings.HasPrefix(left, "10 repositories in berth-bench/") {
				t.Errorf("removed %d manifests and %d blobs, left %q", len(manifests), len(blobs), left)
			}
		} else if !strings.HasPrefix(left, "6 images in berth-bench/") || !strings.Contains(left, ": 405\n") || !strings.Contains(left, "36 layers in berth-bench/") {
			t.Errorf("left %q", left)
		}
	}
}

func TestKeepRemovesNothing(t *testing.T) {
	target, _ := leastServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DeleteRepository") || r.Method == http.MethodDelete {
				t.Errorf("removed: %s %s", r.Method, r.URL)
			}
			h.ServeHTTP(w, r)
		})
	})
	o := small(t, "ecr-repos")
	o.Keep = true
	if left := run(t, target, o).Left; len(left) != 1 || !strings.HasPrefix(left[0], "6 repositories in berth-bench/") {
		t.Errorf("left %q", left)
	}
}

// TestInterrupted has what is done by the end count, and what was made removed.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pushed atomic.Int64
	target, _ := leastServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r)
			if strings.Contains(r.URL.Path, "/manifests/t") && pushed.Add(1) == 40 {
				cancel()
			}
		})
	})
	o := small(t, "tag-push@2", "tags-list")
	o.Count = 1 << 40
	report, err := bench.Run(ctx, target, o)
	if !errors.Is(err, context.Canceled) || len(report.Results) != 1 || len(report.Left) > 0 {
		t.Fatalf("%v, %+v", err, report)
	}
	if r := report.Results[0]; r.Operations < 30 || r.Errors != 0 {
		t.Errorf("%d operations, %d errors %q", r.Operations, r.Errors, r.FirstError)
	}
}

// TestTagsAreSpreadOverImages keeps below the quota of tags of one image.
func TestTagsAreSpreadOverImages(t *testing.T) {
	var mu sync.Mutex
	tags := map[string]int{} // by manifest
	target, _ := leastServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r)
			if strings.Contains(r.URL.Path, "/manifests/t") {
				mu.Lock()
				defer mu.Unlock()
				tags[w.Header().Get("Docker-Content-Digest")]++
			}
		})
	})
	o := small(t, "tag-push")
	o.Count = 1001
	mustWork(t, run(t, target, o))
	mu.Lock()
	defer mu.Unlock()
	if got := slices.Sorted(maps.Values(tags)); !slices.Equal(got, []int{1, 500, 500}) {
		t.Errorf("images have %v tags", got)
	}
}
