package peer_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sha256Of(s string) digest.Digest { return digest.FromBytes(digest.SHA256, []byte(s)) }

const (
	repo      = "team/app"
	layer     = "some bytes of a layer"
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
	password  = "correct-horse"
)

// image is a manifest of one layer and a config, and of a subject unless that is "".
func image(subject string) string {
	describe := func(mediaType, content string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, sha256Of(content), len(content))
	}
	if subject != "" {
		subject = `,"subject":` + describe(imageType, subject)
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, imageType,
		describe("application/vnd.oci.image.config.v1+json", "{}"), describe("application/vnd.oci.image.layer.v1.tar", layer), subject)
}

// local is a client that may ask this machine, and nothing else that is not public.
func local(t testing.TB, more ...func(*remote.Options)) *http.Client {
	t.Helper()
	o := remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1"}, Redirects: remote.MostRedirects}
	for _, change := range more {
		change(&o)
	}
	c, err := remote.New(o)
	must(t, err)
	return c
}

// login are credentials of tests.
func login() peer.Credentials { return peer.Static("berth", accounts.NewSecret(password)) }

// to is a registry at an address.
func to(t testing.TB, url string, more ...func(*peer.Options)) *peer.Registry {
	t.Helper()
	o := peer.Options{URL: url, Client: local(t)}
	for _, change := range more {
		change(&o)
	}
	r, err := peer.New(o)
	must(t, err)
	return r
}

func loggedIn(o *peer.Options) { o.Credentials = login() }

// scripted is an upstream that does what a test says, and notes what it is asked.
type scripted struct {
	*httptest.Server

	mu    sync.Mutex
	asked []string // method, path and query
	proof []string // what proves who asks, "" for nothing
}

// script starts an upstream.
func script(t testing.TB, h http.HandlerFunc) *scripted {
	t.Helper()
	s := &scripted{}
	s.Server = httptest.NewServer(noting(s, h))
	t.Cleanup(s.Close)
	return s
}

// noting notes what a handler is asked.
func noting(s *scripted, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
		s.proof = append(s.proof, r.Header.Get("Authorization"))
		s.mu.Unlock()
		h(w, r)
	}
}

// seen is what was asked, and with what.
func (s *scripted) seen() (asked, proof []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.asked...), append([]string{}, s.proof...)
}

// secrets says whether any request had something that proves who asks.
func (s *scripted) secrets() bool {
	_, proof := s.seen()
	return strings.Join(proof, "") != ""
}

// content answers for one manifest, under every reference, and one layer.
func content(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/v2/"+repo+"/manifests/"):
		w.Header().Set("Content-Type", imageType)
		w.Header().Set("Docker-Content-Digest", sha256Of(image("")).String())
		io.WriteString(w, image(""))
	case r.URL.Path == "/v2/"+repo+"/blobs/"+sha256Of(layer).String():
		http.ServeContent(w, r, "", noTime, strings.NewReader(layer))
	case r.URL.Path == "/v2/":
	default:
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}`)
	}
}

// readAll reads a blob.
func readAll(t testing.TB, r *peer.Registry, from int64) (string, int64, error) {
	t.Helper()
	body, size, err := r.OpenBlob(t.Context(), repo, sha256Of(layer), from)
	if err != nil {
		return "", size, err
	}
	defer body.Close()
	all, err := io.ReadAll(body)
	return string(all), size, err
}
