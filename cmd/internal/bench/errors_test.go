package bench_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestErrorsAreCounted has a server refuse one thing or another.
func TestErrorsAreCounted(t *testing.T) {
	tests := []struct {
		scenario string
		refuse   func(w http.ResponseWriter, r *http.Request) bool
		kind     string
		first    string
	}{
		{"push-image", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
				http.Error(w, "out of luck", http.StatusInternalServerError)
				return true
			}
			return false
		}, "500", "/manifests/v"},
		{"push-large", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch { // before the body was read
				http.Error(w, "too much", http.StatusRequestEntityTooLarge)
				return true
			}
			return false
		}, "413", "too much"},
		{"ecr-token", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetAuthorizationToken") {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"__type":"com.amazonaws#ThrottlingException","message":"Rate exceeded"}`)
				return true
			}
			return false
		}, "ThrottlingException", "GetAuthorizationToken: 400 ThrottlingException: Rate exceeded"},
		{"ecr-repos", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".CreateRepository") {
				http.Error(w, "<html>", http.StatusBadGateway)
				return true
			}
			return false
		}, "502", "CreateRepository: 502"},
		{"tag-push", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/t") {
				panic(http.ErrAbortHandler)
			}
			return false
		}, "connection", "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.scenario, func(t *testing.T) {
			target, _ := leastServer(t, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !tt.refuse(w, r) {
						h.ServeHTTP(w, r)
					}
				})
			})
			o := small(t, tt.scenario)
			report := run(t, target, o)
			r := report.Results[0]
			if r.Operations != 0 || r.Errors != o.Count || !report.Failed() {
				t.Errorf("%d operations, %d errors, failed: %v", r.Operations, r.Errors, report.Failed())
			}
			if diff := cmp.Diff(map[string]int64{tt.kind: o.Count}, r.ErrorKinds); diff != "" || !strings.Contains(r.FirstError, tt.first) {
				t.Errorf("the first is %q, kinds (-want +got):\n%s", r.FirstError, diff)
			}
		})
	}
}

// TestHalfOfThemFail has latencies be those of what succeeded.
func TestHalfOfThemFail(t *testing.T) {
	var n atomic.Int64
	target, _ := leastServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") && n.Add(1)%2 == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	o := small(t, "head-manifest")
	r := run(t, target, o).Results[0]
	if r.Operations != o.Count/2 || r.Errors != o.Count/2 || r.ErrorKinds["503"] != o.Count/2 {
		t.Errorf("%+v", r)
	}
}

// TestPreparingFails says why nothing could be measured.
func TestPreparingFails(t *testing.T) {
	target, _ := leastServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodPut:
				http.Error(w, "no space", http.StatusInsufficientStorage)
			case r.URL.Path == "/v2/_catalog":
				http.Error(w, "not told", http.StatusNotFound)
			default:
				h.ServeHTTP(w, r)
			}
		})
	})
	report := run(t, target, small(t, "pull-image", "catalog"))
	if r := report.Results[0]; r.Errors != 1 || r.ErrorKinds["507"] != 1 || !strings.HasPrefix(r.FirstError, "push the images that are to be read: PUT /v2/berth-bench/") {
		t.Errorf("pull-image: %+v", r)
	}
	if r := report.Results[1]; r.Errors != 0 || !strings.HasPrefix(r.Skipped, "no catalog is told: ") {
		t.Errorf("catalog: %+v", r)
	}
}
