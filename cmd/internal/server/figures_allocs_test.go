package server_test

import (
	"io"
	"net/http"
	"path/filepath"
	"testing"
)

// Ceilings of what one request allocates inside the server, in objects, from the id that
// it is given to its last byte, without what net/http and the client do. They are what
// was counted when they were set and a fifth more and some, for the pools that a
// collection empties in between: of a manifest (21) and a layer (35) the request's id, its
// context with one copy of the request, its record, the values of its headers and the
// opened file, and for a page one key for each entry, of which the name is a part. One
// more parse of a policy, another transaction, or a copy of a body breaks them.
const (
	allocsOfManifest    = 27
	allocsOfBlob        = 44
	allocsOfTagsPage    = 260
	allocsOfCatalogPage = 260
)

func TestFigureAllocations(t *testing.T) {
	d := openDoorway(t, map[string]string{"data": filepath.Join(t.TempDir(), "data"), "log-level": "warn"})
	d.createRepository("team/app")
	img := d.smallImage(1)
	d.must(d.pushImage("team/app", "latest", img))
	d.filled("team/tags", 1, 300)
	for _, tt := range []struct {
		what, path string
		most       float64
	}{
		{"GET manifest", "/v2/team/app/manifests/latest", allocsOfManifest},
		{"GET blob", "/v2/team/app/blobs/" + img.ids[1], allocsOfBlob},
		{"page of 100 tags", "/v2/team/tags/tags/list?n=100&last=v000000-000100", allocsOfTagsPage},
	} {
		r := d.v2(http.MethodGet, tt.path, nil)
		r.RemoteAddr = "127.0.0.1:1"
		var a discarded
		allocs := testing.AllocsPerRun(200, func() {
			a = discarded{header: http.Header{}}
			d.house.ServeHTTP(&a, r)
		})
		if a.status != http.StatusOK && a.status != 0 || a.n == 0 {
			t.Errorf("%s: %d with %d bytes", tt.what, a.status, a.n)
		}
		figure(t, "objects allocated by a "+tt.what, allocs, tt.most*slackOfRace)
	}
}

// discarded is an answer that is thrown away.
type discarded struct {
	header http.Header
	status int
	n      int64
}

func (s *discarded) Header() http.Header    { return s.header }
func (s *discarded) WriteHeader(status int) { s.status = status }

func (s *discarded) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return len(p), nil
}

func (s *discarded) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(io.Discard, r)
	s.n += n
	return n, err
}
