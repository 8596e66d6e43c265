package remote_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/remote"
)

// loopback are the options of a client that may ask this machine.
func loopback() remote.Options {
	return remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1"}, Redirects: remote.MostRedirects}
}

// TestPrivateHeaders: what proves who asks stays at its origin, on the way there and
// back.
func TestPrivateHeaders(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	hop := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, strings.Join([]string{r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.Header.Get("X-Amz-Security-Token"), r.Header.Get("X-Other")}, ","))
		mu.Unlock()
		if next, rest, ok := strings.Cut(r.URL.Query().Get("to"), " "); ok {
			http.Redirect(w, r, next+"/?to="+url.QueryEscape(rest), http.StatusTemporaryRedirect)
		}
	})
	one, two := httptest.NewServer(hop), httptest.NewServer(hop)
	defer one.Close()
	defer two.Close()
	const all, none = "a,b,c,d", ",,,d"
	tests := map[string][]string{
		one.URL + " ":                                 {all, all},
		two.URL + " ":                                 {all, none},
		one.URL + " " + two.URL + " ":                 {all, all, none},
		two.URL + " " + one.URL + " ":                 {all, none, none}, // back, but sent by another
		two.URL + " " + two.URL + " ":                 {all, none, none},
		one.URL + " " + one.URL + " ":                 {all, all, all},
		two.URL + " " + one.URL + " " + one.URL + " ": {all, none, none, none},
	}
	c := client(t, loopback())
	for path, want := range tests {
		seen = nil
		r, err := http.NewRequest(http.MethodGet, one.URL+"/?to="+url.QueryEscape(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Authorization": "a", "Cookie": "b", "X-Amz-Security-Token": "c", "X-Other": "d"} {
			r.Header.Set(name, value)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", path, diff)
		}
	}
}

// A body is sent to the origin that it was meant for.
func TestBodiesStay(t *testing.T) {
	var got []string
	end := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Host) }))
	defer end.Close()
	start := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, end.URL, http.StatusPermanentRedirect)
		case "/near":
			http.Redirect(w, r, "/here", http.StatusPermanentRedirect)
		default:
			got = append(got, r.URL.Path)
		}
	}))
	defer start.Close()
	c := client(t, loopback())
	for path, status := range map[string]int{"/away": http.StatusPermanentRedirect, "/near": http.StatusOK} {
		resp, err := c.Post(start.URL+path, "text/plain", strings.NewReader("secret"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s is answered by %s", path, resp.Status)
		}
	}
	if diff := cmp.Diff([]string{"/here"}, got); diff != "" {
		t.Errorf("the body comes to (-want +got):\n%s", diff)
	}
}

// However many there are, five are followed.
func TestMostRedirects(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, fmt.Sprint("/", asked), http.StatusFound)
	}))
	defer s.Close()
	resp, err := client(t, loopback()).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if asked != 6 || resp.StatusCode != http.StatusFound {
		t.Errorf("%d requests, %s", asked, resp.Status)
	}
	for _, bad := range []int{-1, 6, 50} {
		if _, err := remote.New(remote.Options{Redirects: bad}); err == nil {
			t.Errorf("%d redirects are followed", bad)
		}
	}
}

// A name that turns inside between two redirects leads nowhere.
func TestEachHopIsLookedAt(t *testing.T) {
	for _, target := range []string{"http://127.0.0.2/", "http://169.254.169.254/", "http://[::1]/", "https://10.0.0.1/"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/last" {
				http.Redirect(w, r, target, http.StatusFound)
				return
			}
			http.Redirect(w, r, "/last", http.StatusFound)
		}))
		o := loopback()
		o.PlainHTTP = []string{"127.0.0.1", "127.0.0.2", "169.254.169.254", "::1"}
		if resp, err := client(t, o).Get(s.URL); !errors.Is(err, remote.ErrRefused) {
			t.Errorf("%s: %v, %v", target, resp, err)
		}
		s.Close()
	}
}

func TestSameOrigin(t *testing.T) {
	tests := []struct {
		a, b string
		same bool
	}{
		{"https://a/x", "https://a:443/y?z", true}, {"HTTP://A", "http://a:80", true}, {"https://a.", "https://a", true},
		{"https://[::1]", "https://[0:0::1]:443", true}, {"https://a", "http://a", false}, {"https://a", "https://a:444", false},
		{"https://a", "https://b", false}, {"http://a:443", "https://a", false}, {"https://a", "https://a.b", false},
	}
	for _, tt := range tests {
		a, err1 := url.Parse(tt.a)
		b, err2 := url.Parse(tt.b)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if got := remote.SameOrigin(a, b); got != tt.same || remote.SameOrigin(b, a) != tt.same {
			t.Errorf("%s and %s: %v", tt.a, tt.b, got)
		}
	}
}
