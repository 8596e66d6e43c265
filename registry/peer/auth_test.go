package peer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry/peer"
)

// tokens is a token service that gives tokens, numbered from 1, for the right
// password and for nobody.
func tokens(t testing.TB, more ...func(http.ResponseWriter, *http.Request) bool) *scripted {
	var mu sync.Mutex
	given := 0
	return script(t, func(w http.ResponseWriter, r *http.Request) {
		for _, handle := range more {
			if handle(w, r) {
				return
			}
		}
		if user, secret, ok := r.BasicAuth(); ok && (user != "berth" || secret != password) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		given++
		fmt.Fprintf(w, `{"token":"token-%d","expires_in":300}`, given)
	})
}

// wanting is the content for whoever has one of the tokens that are good, and a
// challenge for others.
func wanting(challenge func() string, good func(proof string) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !good(r.Header.Get("Authorization")) {
			w.Header().Set("Www-Authenticate", challenge())
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"log in"}]}`)
			return
		}
		content(w, r)
	}
}

func isToken(proof string) bool { return strings.HasPrefix(proof, "Bearer token-") }

func always(s string) func() string { return func() string { return s } }

func host(s *scripted) string { return strings.TrimPrefix(s.URL, "http://") }

func TestPassword(t *testing.T) {
	right := "Basic YmVydGg6Y29ycmVjdC1ob3JzZQ=="
	upstream := script(t, wanting(always(`Basic realm="here, \"there\""`), func(p string) bool { return p == right }))
	r := to(t, upstream.URL, loggedIn)
	for range 2 {
		if _, err := r.Manifest(t.Context(), repo, "v1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, proof := upstream.seen(); !cmp.Equal([]string{"", right, right}, proof) {
		t.Errorf("shown: %q", proof)
	}
	_, err := to(t, upstream.URL).Manifest(t.Context(), repo, "v1")
	if !errors.Is(err, peer.ErrDenied) {
		t.Errorf("as nobody: %v", err)
	}
}

// TestToken: the token service on the host of the registry sees the credentials; the
// token is shown from then on, and a token for one repository is not shown for
// another.
func TestToken(t *testing.T) {
	service, realm := tokens(t), ""
	registry := wanting(func() string { return realm }, isToken)
	upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			service.Config.Handler.ServeHTTP(w, r)
			return
		}
		registry(w, r)
	})
	realm = fmt.Sprintf(`Negotiate, Bearer realm="%s/token?x=1",service="registry",scope="repository:team/app:pull", Basic realm="x"`, upstream.URL)
	r := to(t, upstream.URL, loggedIn)
	for range 2 {
		if _, err := r.Manifest(t.Context(), repo, "v1"); err != nil {
			t.Fatal(err)
		}
	}
	must(t, r.Ping(t.Context()))
	asked, proof := upstream.seen()
	want := []string{
		"GET /v2/team/app/manifests/v1", "GET /token?scope=repository%3Ateam%2Fapp%3Apull&service=registry&x=1",
		"GET /v2/team/app/manifests/v1", "GET /v2/team/app/manifests/v1",
		"GET /v2/", "GET /token?scope=repository%3Ateam%2Fapp%3Apull&service=registry&x=1", "GET /v2/",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	basic := "Basic YmVydGg6Y29ycmVjdC1ob3JzZQ=="
	if diff := cmp.Diff([]string{"", basic, "Bearer token-1", "Bearer token-1", "", basic, "Bearer token-2"}, proof); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}

// Row by row: what a token service elsewhere sees. It is on another port, which is
// another origin.
func TestRealms(t *testing.T) {
	tests := []struct {
		what        string
		credentials bool
		realm       func(service *scripted) string
		listed      bool
		asked, seen bool // whether the service is asked, and sees the credentials
		err         error
	}{
		{"listed", true, func(s *scripted) string { return s.URL }, true, true, true, nil},
		{"not listed", true, func(s *scripted) string { return s.URL }, false, false, false, peer.ErrDenied},
		{"not listed, for nobody", false, func(s *scripted) string { return s.URL }, false, true, false, nil},
		{"another name of the host", true, func(s *scripted) string { return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) }, true, false, false, peer.ErrDenied},
		{"a user in it", true, func(s *scripted) string { return strings.Replace(s.URL, "//", "//127.0.0.1@", 1) }, true, false, false, peer.ErrDenied},
		{"a file", true, func(*scripted) string { return "file:///etc/passwd" }, true, false, false, peer.ErrDenied},
		{"none", true, func(*scripted) string { return "" }, true, false, false, peer.ErrDenied},
		{"private", false, func(*scripted) string { return "https://10.0.0.1/token" }, true, false, false, nil},
		{"metadata, for nobody", false, func(*scripted) string { return "http://169.254.169.254/latest" }, true, false, false, nil},
	}
	for _, tt := range tests {
		service := tokens(t)
		upstream := script(t, wanting(always(fmt.Sprintf(`Bearer realm=%q`, tt.realm(service))), isToken))
		r := to(t, upstream.URL, func(o *peer.Options) {
			if tt.credentials {
				o.Credentials = login()
			}
			if tt.listed {
				o.Realms = []string{host(service)}
			}
		})
		_, err := r.Manifest(t.Context(), repo, "v1")
		asked, _ := service.seen()
		if wantErr := tt.err != nil || strings.HasPrefix(tt.what, "private") || strings.HasPrefix(tt.what, "metadata"); (err != nil) != wantErr || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if (len(asked) > 0) != tt.asked || service.secrets() != tt.seen {
			t.Errorf("%s: the service is asked %q, and sees credentials: %v", tt.what, asked, service.secrets())
		}
		if _, proof := upstream.seen(); strings.Contains(strings.Join(proof, ""), "Basic") {
			t.Errorf("%s: the registry sees %q", tt.what, proof)
		}
	}
}

// A registry with TLS has its token service with TLS.
func TestRealmWithoutTLS(t *testing.T) {
	service := tokens(t)
	upstream := httptest.NewTLSServer(wanting(always(fmt.Sprintf(`Bearer realm=%q`, service.URL)), isToken))
	defer upstream.Close()
	client := upstream.Client()
	r, err := peer.New(peer.Options{URL: upstream.URL, Client: client, Credentials: login(), Realms: []string{host(service)}})
	must(t, err)
	if _, err := r.Manifest(t.Context(), repo, "v1"); !errors.Is(err, peer.ErrDenied) {
		t.Errorf("%v", err)
	}
	if asked, _ := service.seen(); len(asked) > 0 {
		t.Errorf("the service is asked %q", asked)
	}
}

// A registry that is never content is left alone.
func TestLoops(t *testing.T) {
	service := tokens(t)
	for _, challenge := range []string{`Basic realm="x"`, fmt.Sprintf(`Bearer realm=%q`, service.URL), "", "Digest x=1", `Bearer`, `=`, `Basic`} {
		upstream := script(t, wanting(always(challenge), func(string) bool { return false }))
		r := to(t, upstream.URL, loggedIn, func(o *peer.Options) { o.Realms = []string{host(service)} })
		for range 3 {
			if _, err := r.Manifest(t.Context(), repo, "v1"); !errors.Is(err, peer.ErrDenied) {
				t.Errorf("%s: %v", challenge, err)
			}
		}
		if asked, _ := upstream.seen(); len(asked) > 6 {
			t.Errorf("%s: %d requests for 3", challenge, len(asked))
		}
	}
	if asked, _ := service.seen(); len(asked) > 3 {
		t.Errorf("%d tokens for 3 requests", len(asked))
	}
}

// A token service that redirects, or is never content.
func TestTokenServiceGoesInCircles(t *testing.T) {
	other := tokens(t)
	for _, answer := range []func(http.ResponseWriter, *http.Request) bool{
		func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
			return true
		},
		func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(401); return true },
		func(w http.ResponseWriter, _ *http.Request) bool { io.WriteString(w, `{"token":""}`); return true },
		func(w http.ResponseWriter, _ *http.Request) bool {
			io.WriteString(w, `{"token":"a\r\nb"}`)
			return true
		},
		func(w http.ResponseWriter, _ *http.Request) bool { io.WriteString(w, `token`); return true },
		func(w http.ResponseWriter, _ *http.Request) bool {
			w.Write(bytes.Repeat([]byte(" "), 1<<20))
			return true
		},
	} {
		service := tokens(t, answer)
		upstream := script(t, wanting(always(fmt.Sprintf(`Bearer realm=%q`, service.URL)), isToken))
		r := to(t, upstream.URL, loggedIn, func(o *peer.Options) { o.Realms = []string{host(service)} })
		if _, err := r.Manifest(t.Context(), repo, "v1"); err == nil {
			t.Error("the manifest comes")
		}
		if asked, _ := service.seen(); len(asked) > 6 {
			t.Errorf("the token service is asked %d times", len(asked))
		}
	}
	service := tokens(t, func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		return true
	})
	upstream := script(t, wanting(always(fmt.Sprintf(`Bearer realm=%q`, service.URL)), isToken))
	r := to(t, upstream.URL, loggedIn, func(o *peer.Options) { o.Realms = []string{host(service)} })
	_, _ = r.Manifest(t.Context(), repo, "v1") // what a stranger gives is not what matters here
	if other.secrets() {
		t.Error("a token service sends the credentials on")
	}
}

// An identity token goes in a form, which goes nowhere else.
func TestIdentityToken(t *testing.T) {
	var form url.Values
	service := tokens(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
			return true
		}
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusBadRequest)
			return true
		}
		form = r.PostForm
		return false
	})
	for path, ok := range map[string]bool{"/token": true, "/away": false} {
		upstream := script(t, wanting(always(fmt.Sprintf(`Bearer realm=%q,service="s"`, service.URL+path)), isToken))
		r := to(t, upstream.URL, func(o *peer.Options) {
			o.Credentials, o.Realms = peer.Static("<token>", accounts.NewSecret(password)), []string{host(service)}
		})
		if _, err := r.Manifest(t.Context(), repo, "v1"); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
	want := url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"berth"}, "service": {"s"},
		"refresh_token": {password}, "scope": {"repository:team/app:pull"},
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Errorf("the form (-want +got):\n%s", diff)
	}
}

// A token that ends is renewed; before its end by itself, or when it is refused.
func TestTokenEnds(t *testing.T) {
	service := tokens(t)
	var mu sync.Mutex
	good := "Bearer token-1"
	upstream := script(t, wanting(always(fmt.Sprintf(`Bearer realm=%q`, service.URL)), func(p string) bool {
		mu.Lock()
		defer mu.Unlock()
		return p == good
	}))
	r := to(t, upstream.URL)
	peer.Hurry(r, func(time.Duration) {})
	pull := func() {
		t.Helper()
		_, err := r.Manifest(t.Context(), repo, "v1")
		must(t, err)
	}
	pull()
	mu.Lock()
	good = "Bearer token-2"
	mu.Unlock()
	pull()
	peer.Pass(r, 301*time.Second)
	mu.Lock()
	good = "Bearer token-3"
	mu.Unlock()
	pull()
	if _, proof := upstream.seen(); !cmp.Equal([]string{"", "Bearer token-1", "Bearer token-1", "Bearer token-2", "", "Bearer token-3"}, proof) {
		t.Errorf("shown: %q", proof)
	}
}

// Those who want a token side by side share one.
func TestTokenIsShared(t *testing.T) {
	service := tokens(t)
	upstream := script(t, wanting(always(fmt.Sprintf(`Bearer realm=%q`, service.URL)), isToken))
	r := to(t, upstream.URL)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := r.Manifest(t.Context(), repo, "v1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if asked, _ := service.seen(); len(asked) != 1 {
		t.Errorf("%d tokens", len(asked))
	}
}

// What a registry says of the secrets that it was shown stands in no error and no
// log.
func TestSecretsStayHidden(t *testing.T) {
	var log bytes.Buffer
	service := tokens(t)
	challenges := []string{`Basic realm="x"`, fmt.Sprintf(`Bearer realm=%q`, service.URL), `Bearer realm="https://other.example/"`}
	for _, challenge := range challenges {
		upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Www-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			_, given, _ := r.BasicAuth()
			fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED %s","message":"not with %s or %s\n\u0007"}]}`, given, given, r.Header.Get("Authorization"))
		})
		r := to(t, upstream.URL, loggedIn, func(o *peer.Options) {
			o.Realms, o.Log = []string{host(service)}, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		_, err := r.Manifest(t.Context(), repo, "v1")
		text := fmt.Sprintf("%v %+v %s", err, err, log.String())
		for _, secret := range []string{password, "YmVydGg6Y29ycmVjdC1ob3JzZQ", "token-", "\a"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: the text has %q: %s", challenge, secret, text)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has two lines: %v", challenge, err)
		}
	}
}
