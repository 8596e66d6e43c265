package bench_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
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

// TestTokens has a server beside the registry give tokens for single repositories.
func TestTokens(t *testing.T) {
	var realm, inner string
	var asked atomic.Int64
	target, srv := leastServer(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got := r.Header.Get("Authorization")
			switch {
			case r.URL.Path == "/token":
				asked.Add(1)
				q := r.URL.Query()
				if got != basic("me", "mine") || q.Get("service") != "least" {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				fmt.Fprintf(w, `{"access_token":%q,"expires_in":300}`, "for+"+strings.Join(q["scope"], "+"))
				return
			case !opens(got, r):
				w.Header().Set("Www-Authenticate", `Bearer realm="`+realm+`",service="least"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			r.Header.Set("Authorization", inner)
			h.ServeHTTP(w, r)
		})
	})
	realm, inner = srv.URL+"/token", basic(target.User, target.Password.Reveal())
	target.API, target.User, target.Password = "", "me", accounts.NewSecret("mine")
	mustWork(t, run(t, target, small(t, "push-image", "pull-image", "mount", "new-repository", "catalog", "tags-list")))
	if n := asked.Load(); n == 0 || n > 100 {
		t.Errorf("%d tokens were asked for", n)
	}
	target.Password = accounts.NewSecret("another")
	if _, err := bench.Run(t.Context(), target, small(t, "push-image")); err == nil || !strings.Contains(err.Error(), "gives no token: 401") {
		t.Errorf("with a wrong password: %v", err)
	}
}

// opens says whether a token is for what is asked.
func opens(token string, r *http.Request) bool {
	if r.URL.Path == "/v2/_catalog" {
		return token == "Bearer for+registry:catalog:*"
	}
	repo, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
	repo, _, _ = strings.Cut(repo, "/manifests/")
	repo, _, _ = strings.Cut(repo, "/tags/")
	from := r.URL.Query().Get("from")
	return repo != "" && strings.Contains(token, "repository:"+repo+":pull,push,delete") && strings.Contains(token, from)
}

func TestLogin(t *testing.T) {
	target, _ := leastServer(t, nil)
	anonymous, wrong := target, target
	anonymous.User, wrong.Password = "", accounts.NewSecret("wrong")
	if _, err := bench.Run(t.Context(), anonymous, small(t, "push-image")); !errors.Is(err, bench.ErrNoLogin) {
		t.Errorf("as nobody: %v", err)
	}
	if _, err := bench.Run(t.Context(), wrong, small(t, "push-image")); err == nil || !strings.Contains(err.Error(), "GET /v2/: 401") {
		t.Errorf("with a wrong password: %v", err)
	}
	for status, answer := range map[int]http.HandlerFunc{
		404: http.NotFound,
		401: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Www-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
		},
	} {
		srv := httptest.NewServer(answer)
		if _, err := bench.Run(t.Context(), bench.Target{Registry: srv.URL}, small(t, "push-image")); err == nil {
			t.Errorf("a server that answers %d is a registry", status)
		}
		srv.Close()
	}
}

// TestRedirects has another server give out blobs, which must not see the
// password.
func TestRedirects(t *testing.T) {
	var elsewhere *httptest.Server
	var inner string
	var followed atomic.Int64
	target, _ := leastServer(t, func(h http.Handler) http.Handler {
		elsewhere = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("the other server was told the password")
			}
			followed.Add(1)
			r.Header.Set("Authorization", inner)
			h.ServeHTTP(w, r)
		}))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	defer elsewhere.Close()
	inner = basic(target.User, target.Password.Reveal())
	o := small(t, "pull-large")
	mustWork(t, run(t, target, o))
	if followed.Load() != o.Count {
		t.Errorf("%d of %d requests went elsewhere", followed.Load(), o.Count)
	}
}

func TestTLS(t *testing.T) {
	var inner http.Handler
	target, _ := leastServer(t, func(h http.Handler) http.Handler { inner = h; return h })
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.ProtoMajor != 1 {
			t.Errorf("it speaks %s", r.Proto)
		}
		inner.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	target.Registry, target.API = srv.URL, srv.URL
	if _, err := bench.Run(t.Context(), target, small(t, "push-large")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its certificate: %v", err)
	}
	target.CA = filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(target.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	mustWork(t, run(t, target, small(t, "push-large", "pull-large", "ecr-layer")))
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

func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, change := range map[string]func(*bench.Options){
		"concurrency":  func(o *bench.Options) { o.Concurrency = -1 },
		"count":        func(o *bench.Options) { o.Count = -1 },
		"duration":     func(o *bench.Options) { o.Count, o.Duration = 0, 0 },
		"layers":       func(o *bench.Options) { o.Layers = 0 },
		"layer size":   func(o *bench.Options) { o.LayerSize = 31 },
		"large size":   func(o *bench.Options) { o.LargeSize = 0 },
		"images":       func(o *bench.Options) { o.Images = 0 },
		"tags":         func(o *bench.Options) { o.Tags = 0 },
		"repositories": func(o *bench.Options) { o.Repositories = 0 },
		"prefix":       func(o *bench.Options) { o.Prefix = "" },
	} {
		o := bench.Defaults()
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if o.Check() == nil {
			t.Errorf("%s: %+v is taken", name, o)
		}
	}
}

func TestChoose(t *testing.T) {
	tests := []struct {
		texts []string
		want  []bench.Choice // nil: refused
	}{
		{[]string{"push-image"}, []bench.Choice{{Scenario: "push-image"}}},
		{[]string{"push-image@3", "push-image@16"}, []bench.Choice{{"push-image", 3}, {"push-image", 16}}},
		{[]string{"ecr-re*@2", "mount"}, []bench.Choice{{"ecr-repos", 2}, {Scenario: "mount"}}},
		{[]string{"*-large"}, nil},
		{[]string{"push"}, nil},
		{[]string{""}, nil},
		{[]string{"mount@"}, nil},
		{[]string{"mount@0"}, nil},
		{[]string{"mount@x"}, nil},
	}
	for _, tt := range tests {
		got, err := bench.Choose(tt.texts)
		if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
			t.Errorf("%q: %v (-want +got):\n%s", tt.texts, err, diff)
		}
	}
	if all, err := bench.Choose(nil); err != nil || len(all) != len(bench.Names()) {
		t.Errorf("none are %v, %v", all, err)
	}
	for _, name := range bench.Names() {
		if bench.Describe(name) == "" {
			t.Errorf("nothing says what %s does", name)
		}
	}
}
