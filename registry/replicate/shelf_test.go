package replicate_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/replicate"
)

// far is what the rules of these tests call the registry of another server.
var far = registry.ID{Account: "999999999999", Region: "xx-elsewhere-1"}

// shelf is the registry of another server, without a network: the transport of a client.
type shelf struct {
	mu        sync.Mutex
	manifests map[string][]byte // by repository and tag or digest
	blobs     map[string][]byte // by repository and digest
	asked     []string          // method and path of each request
	origins   []string
	// fault answers in its place, unless that is nil.
	fault func(*http.Request) *http.Response
}

func newShelf() *shelf { return &shelf{manifests: map[string][]byte{}, blobs: map[string][]byte{}} }

// RoundTrip implements http.RoundTripper.
func (s *shelf) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	s.origins = append(s.origins, r.Header.Get(replicate.OriginHeader))
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		if a := fault(r); a != nil {
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			a.Request = r
			return a, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.answer(r, body)
	a.Request = r
	return a, nil
}

// said is an answer.
func said(status int, body string, header ...string) *http.Response {
	a := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
	for i := 0; i < len(header); i += 2 {
		a.Header.Set(header[i], header[i+1])
	}
	return a
}

func (s *shelf) answer(r *http.Request, body []byte) *http.Response {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	d := digest.FromBytes(digest.SHA256, body).String()
	if repo, ref, ok := strings.Cut(path, "/manifests/"); ok {
		key := repo + " " + ref
		switch r.Method {
		case http.MethodPut:
			s.manifests[key], s.manifests[repo+" "+d] = body, body
			return said(201, "", "Docker-Content-Digest", d)
		case http.MethodDelete:
			delete(s.manifests, key)
			return said(202, "")
		}
		m, ok := s.manifests[key]
		if !ok {
			return said(404, "")
		}
		a := said(200, string(m), "Docker-Content-Digest", digest.FromBytes(digest.SHA256, m).String(), "Content-Type", "application/vnd.oci.image.manifest.v1+json")
		if r.Method == http.MethodHead {
			a.Body = http.NoBody
		}
		return a
	}
	repo, rest, _ := strings.Cut(path, "/blobs/")
	mount, from := r.URL.Query().Get("mount"), r.URL.Query().Get("from")
	switch {
	case r.Method == http.MethodPost && mount != "" && s.blobs[from+" "+mount] != nil:
		s.blobs[repo+" "+mount] = s.blobs[from+" "+mount]
		return said(201, "")
	case r.Method == http.MethodPost:
		return said(202, "", "Location", r.URL.Path+"one")
	case r.Method == http.MethodPut:
		if want := r.URL.Query().Get("digest"); want != d {
			return said(400, `{"errors":[{"code":"DIGEST_INVALID","message":"other bytes"}]}`)
		}
		s.blobs[repo+" "+d] = body
		return said(201, "")
	case s.blobs[repo+" "+rest] == nil:
		return said(404, "")
	}
	return said(200, "")
}

// count is how many requests began so.
func (s *shelf) count(method, part string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.asked {
		if strings.HasPrefix(line, method+" ") && strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func (s *shelf) fails(fault func(*http.Request) *http.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// has fails the test unless a tag names an image there, with its layer.
func (s *shelf) has(t testing.TB, repo, tag string, img registry.Image) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	body := s.manifests[repo+" "+tag]
	if got := digest.FromBytes(digest.SHA256, body); got != img.Digest {
		t.Errorf("%s:%s there is %s, want %s", repo, tag, got, img.Digest)
		return
	}
	for key := range s.blobs {
		if d, ok := strings.CutPrefix(key, repo+" "); ok && bytes.Contains(body, []byte(d)) {
			return
		}
	}
	t.Errorf("%s:%s has no layers", repo, tag)
}

// sender is a worker that sends to a shelf what goes to far.
func sender(t testing.TB, s *registry.Service, at *shelf, change ...func(*replicate.RemoteOptions, *replicate.Options)) *replicate.Worker {
	t.Helper()
	p, err := peer.New(peer.Options{URL: "https://far.example", Client: &http.Client{Transport: at}})
	must(t, err)
	o := replicate.RemoteOptions{Source: s, To: far, Peer: p}
	w := replicate.Options{Registry: s, Takes: func(id registry.ID) bool { return id == far }}
	for _, c := range change {
		c(&o, &w)
	}
	w.Remote, err = replicate.NewRemote(o)
	must(t, err)
	made, err := replicate.New(w)
	must(t, err)
	return made
}

// layerOf is the layer that push gives an image.
func layerOf(path, tag string) string {
	return digest.FromBytes(digest.SHA256, fmt.Appendf(nil, "%s %s", path, tag)).String()
}
