package server_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// bulky is a layer of which the most is not sent yet when its first bytes are read: it
// is larger than what lies between a server and a slow client.
func bulky(fill string) string { return strings.Repeat(fill, 8<<20/len(fill)) }

// slow is a client that takes in little ahead of who reads from it.
func slow(t testing.TB) *http.Client {
	dialer := net.Dialer{}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return conn, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// kept is a server that keeps nothing which no image uses.
func kept(t testing.TB) *shelf { return openShelf(t, "gc-grace", "0s", "trash-window", "0s") }

// readings are the ways to a layer's bytes, both of which need its image.
func (s *shelf) readings(digest string) map[string]*http.Request {
	s.Helper()
	return map[string]*http.Request{
		atOCI: s.v2(http.MethodGet, "/v2/team/app/blobs/"+digest, nil),
		atECR: s.request(http.MethodGet, s.link(digest), nil),
	}
}

// begin sends a request and reads the first bytes of its answer.
func (s *shelf) begin(r *http.Request) (first string, rest io.ReadCloser) {
	s.Helper()
	resp, err := slow(s).Do(r)
	s.must(err)
	s.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		s.Fatalf("GET %s: %d", r.URL.Path, resp.StatusCode)
	}
	b := make([]byte, 1000)
	_, err = io.ReadFull(resp.Body, b)
	s.must(err)
	return string(b), resp.Body
}

// drop deletes an image and has what it used collected, its file too.
func (s *shelf) drop(image string) {
	s.Helper()
	s.mustCall("BatchDeleteImage", members{"repositoryName": "team/app", "imageIds": []members{{"imageDigest": image}}}, nil)
	_, err := admin.RunGC.Ask(s.Context(), s.house, admin.GCRate{})
	s.must(err)
}

// Whoever reads a layer while it is deleted and collected gets all of it, and whoever
// comes after that finds nothing.
func TestReadWhileItIsCollected(t *testing.T) {
	s := kept(t)
	content := bulky("read slowly ")
	digest, p := sha256Of([]byte(content)), s.player(ociDoor{s.doorway})
	image := p.put("1", v1.MediaTypeImageManifest, p.image(content), accepted)
	file, all := s.file(content), s.readings(digest)
	first, rest := map[string]string{}, map[string]io.ReadCloser{}
	for at, r := range all {
		first[at], rest[at] = s.begin(r)
	}
	s.drop(image)
	await(t, "the file of a collected layer stays", func() bool {
		_, err := os.Stat(file)
		return errors.Is(err, fs.ErrNotExist)
	})
	for at, r := range all {
		b, err := io.ReadAll(rest[at])
		if err != nil || first[at]+string(b) != content {
			t.Errorf("read at %s: %d of %d bytes, %v", at, len(first[at])+len(b), len(content), err)
		}
		if a := s.do(r.Clone(t.Context())); a.status != http.StatusNotFound {
			t.Errorf("read again at %s: %d", at, a.status)
		}
	}
}

// Reads beside pushes, deletions and collections of the same layer are whole, or find
// nothing.
func TestReadsBesideCollections(t *testing.T) {
	s := kept(t)
	content := strings.Repeat("now and then ", 20_000)
	digest, p := sha256Of([]byte(content)), s.player(ecrDoor{s.doorway})
	body := p.image(content)
	image := p.put("1", v1.MediaTypeImageManifest, body, accepted)
	all := s.readings(digest)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for at, r := range all {
		readers.Go(func() {
			for {
				a, err := s.exchange(r.Clone(t.Context()))
				if err != nil || a.status != http.StatusNotFound && (a.status != http.StatusOK || a.body != content) {
					t.Errorf("read at %s: %d, %d bytes, %v", at, a.status, len(a.body), err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 3 {
		s.drop(image)
		p.known = known{}
		p.put("1", v1.MediaTypeImageManifest, p.image(content), accepted)
	}
	close(done)
	readers.Wait()
}

// A layer that is cut short on the disk while it is sent is not taken for whole: the
// connection ends before the length that was said. The next who asks gets nothing.
func TestTornWhileItIsSent(t *testing.T) {
	s := kept(t)
	content := bulky("torn ")
	digest, p := sha256Of([]byte(content)), s.player(ociDoor{s.doorway})
	p.put("1", v1.MediaTypeImageManifest, p.image(content), accepted)
	all, rest := s.readings(digest), map[string]io.ReadCloser{}
	for at, r := range all {
		_, rest[at] = s.begin(r)
	}
	s.must(os.Truncate(s.file(content), 1<<20))
	for at, r := range all {
		if b, err := io.ReadAll(rest[at]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("read at %s: %d of %d bytes, %v", at, len(b), len(content), err)
		}
		s.wantNoBytes(r, content)
	}
}
