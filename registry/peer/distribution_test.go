package peer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/peer/peertest"
)

// from opens bytes as PushBlob wants them.
func from(content []byte) func(int64) (io.ReadCloser, error) {
	return func(from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[from:])), nil
	}
}

// pushImage pushes the image, and returns its digest.
func pushImage(t testing.TB, r *peer.Registry, repo, ref, manifest string) {
	t.Helper()
	for _, content := range []string{"{}", layer} {
		must(t, r.PushBlob(t.Context(), repo, sha256Of(content), int64(len(content)), from([]byte(content))))
	}
	must(t, r.PushManifest(t.Context(), repo, ref, imageType, []byte(manifest)))
}

// list collects a list.
func list(t testing.TB, all func(func(string, error) bool)) []string {
	t.Helper()
	var found []string
	for text, err := range all {
		must(t, err)
		found = append(found, text)
	}
	return found
}

// TestDistribution pushes to distribution, and pulls from it again.
func TestDistribution(t *testing.T) {
	r := to(t, peertest.Distribution(t))
	must(t, r.Ping(t.Context()))
	if _, err := r.Head(t.Context(), repo, "v1"); !errors.Is(err, peer.ErrNotFound) {
		t.Errorf("of an empty registry: %v", err)
	}
	pushImage(t, r, repo, "v1", image(""))
	pushImage(t, r, repo, sha256Of(image("")).String(), image(""))
	d, err := r.Head(t.Context(), repo, "v1")
	if err != nil || d.Digest != sha256Of(image("")) || d.Size != int64(len(image(""))) || d.MediaType != imageType {
		t.Errorf("it has %+v, %v", d, err)
	}
	m, err := r.Manifest(t.Context(), repo, "v1")
	if err != nil || string(m.Body) != image("") {
		t.Errorf("it has %q, %v", m.Body, err)
	}
	for _, at := range []int64{0, 5} {
		got, size, err := readAll(t, r, at)
		if err != nil || got != layer[at:] || size != int64(len(layer)) {
			t.Errorf("from %d: %q of %d, %v", at, got, size, err)
		}
	}
	mounted, err := r.MountBlob(t.Context(), "team/other", repo, sha256Of(layer))
	notMounted, err2 := r.MountBlob(t.Context(), "team/other", repo, sha256Of("nothing"))
	if !mounted || err != nil || notMounted || err2 != nil {
		t.Errorf("mounted %v, %v; what is not there %v, %v", mounted, err, notMounted, err2)
	}
	must(t, r.PushManifest(t.Context(), repo, "v2", imageType, []byte(image(""))))
	if diff := cmp.Diff([]string{"v1", "v2"}, list(t, r.Tags(t.Context(), repo))); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{repo}, list(t, r.Repositories(t.Context()))); diff != "" {
		t.Errorf("repositories (-want +got):\n%s", diff)
	}
	must(t, r.DeleteManifest(t.Context(), repo, sha256Of(image("")).String()))
	if _, err := r.Manifest(t.Context(), repo, "v1"); !errors.Is(err, peer.ErrNotFound) {
		t.Errorf("of a manifest that was deleted: %v", err)
	}
}

// Distribution has no API of referrers, so a tag tells of them.
func TestReferrersByTag(t *testing.T) {
	r := to(t, peertest.Distribution(t))
	subject := image("")
	pushImage(t, r, repo, "v1", subject)
	signature := image(subject)
	pushImage(t, r, repo, sha256Of(signature).String(), signature)
	found, err := r.Referrers(t.Context(), repo, sha256Of(subject))
	if err != nil || len(found) != 1 || found[0].Digest != sha256Of(signature) || found[0].MediaType != imageType {
		t.Errorf("refers to it: %+v, %v", found, err)
	}
	if none, err := r.Referrers(t.Context(), repo, sha256Of(signature)); err != nil || len(none) != 0 {
		t.Errorf("refers to the signature: %+v, %v", none, err)
	}
}

// TestParts pushes in parts, of which some requests break.
func TestParts(t *testing.T) {
	content := make([]byte, 1000)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	d := digest.FromBytes(digest.SHA256, content)
	for _, breaks := range []string{"", "PATCH 2", "PATCH 1", "PATCH 4", "PUT 1", "PUT after", "GET 1", "PATCH half"} {
		t.Run(breaks, func(t *testing.T) {
			r := to(t, breaking(t, breaks))
			peer.InParts(r, 300)
			peer.Hurry(r, func(time.Duration) {})
			must(t, r.PushBlob(t.Context(), repo, d, int64(len(content)), from(content)))
			body, _, err := r.OpenBlob(t.Context(), repo, d, 0)
			must(t, err)
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

// breaking is distribution behind a network that breaks one request.
func breaking(t testing.TB, which string) string {
	method, what, _ := strings.Cut(which, " ")
	whole, seen := peertest.Handler(t), map[string]int{}
	var mu sync.Mutex
	count := func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Method]++
		return seen[r.Method]
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := count(r)
		if n > 1 && what != fmt.Sprint(n) || r.Method != method && !(method == "GET" && r.Method == "PATCH") {
			whole.ServeHTTP(w, r)
			return
		}
		switch what {
		case "after":
			whole.ServeHTTP(httptest.NewRecorder(), r)
		case "half":
			r.Body = io.NopCloser(io.LimitReader(r.Body, 100))
			r.ContentLength = 100
			r.Header.Set("Content-Length", "100")
			r.Header.Set("Content-Range", "0-99")
			whole.ServeHTTP(httptest.NewRecorder(), r)
		default:
			if what != fmt.Sprint(n) {
				whole.ServeHTTP(w, r)
				return
			}
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
