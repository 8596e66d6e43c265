package bench_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/bench"
)

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
