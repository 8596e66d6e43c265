package server_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/storage"
)

// shelf is a server over files with a repository "team/app", for tests that lay hands
// on the files.
type shelf struct {
	*doorway
	folder string
	index  storage.Index // behind all that looks at what is written
}

func openShelf(t testing.TB, settings ...string) *shelf {
	t.Helper()
	s := &shelf{folder: filepath.Join(t.TempDir(), "data")}
	flags := map[string]string{"data": s.folder, "metrics.listen": "127.0.0.1:0"}
	for i := 0; i < len(settings); i += 2 {
		flags[settings[i]] = settings[i+1]
	}
	s.doorway = openWatched(t, flags, server.Watch{Index: func(x storage.Numbered) storage.Numbered { s.index = x; return x }})
	s.createRepository("team/app")
	return s
}

// player pushes to the shelf's repository by a door.
func (s *shelf) player(by door) *player {
	return &player{doorway: s.doorway, door: by, repo: "team/app"}
}

// doors are both, by name.
func (s *shelf) doors() map[string]door {
	return map[string]door{atOCI: ociDoor{s.doorway}, atECR: ecrDoor{s.doorway}}
}

// file is that of a layer.
func (s *shelf) file(content string) string {
	s.Helper()
	found := ""
	s.must(filepath.WalkDir(filepath.Join(s.folder, "blobs"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if string(b) == content {
			found = path
		}
		return err
	}))
	if found == "" {
		s.Fatalf("no file has the layer %.20q", content)
	}
	return found
}

// flipLayer flips a bit in the middle of a layer's file. Its times say so, however
// coarse the clock is by which a file system gives them.
func (s *shelf) flipLayer(content string) {
	s.Helper()
	path, wrong := s.file(content), []byte(content)
	wrong[len(wrong)/2] ^= 1
	s.must(os.WriteFile(path, wrong, 0o600))
	s.must(os.Chtimes(path, time.Now(), time.Now().Add(-time.Minute)))
}

// flipManifest flips a bit of a manifest in the index.
func (s *shelf) flipManifest(body []byte) {
	s.Helper()
	found := 0
	s.must(s.index.Update(s.Context(), func(tx storage.Tx) error {
		found = 0
		for e, err := range tx.Scan(storage.Range{Prefix: "manifest\x00"}) {
			if err != nil {
				return err
			}
			at := bytes.Index(e.Value, body)
			if at < 0 {
				continue
			}
			found++
			wrong := slices.Clone(e.Value)
			wrong[at+len(body)/2] ^= 1
			if err := tx.Put(e.Key, wrong); err != nil {
				return err
			}
		}
		return nil
	}))
	if found != 1 {
		s.Fatalf("the index has the manifest %d times", found)
	}
}

// link is where the JSON API says that a layer is to be had.
func (s *shelf) link(digest string) string {
	s.Helper()
	var out struct{ DownloadURL string }
	s.mustCall("GetDownloadUrlForLayer", members{"repositoryName": "team/app", "layerDigest": digest}, &out)
	return out.DownloadURL
}

// told are the detail-types of the events of some detail-types.
func (s *shelf) told(of ...string) (list []string) {
	s.Helper()
	page, err := s.house.Events(s.Context(), 0, false)
	s.must(err)
	for _, e := range page.Events {
		if slices.Contains(of, e.DetailType) {
			list = append(list, e.DetailType)
		}
	}
	return list
}

// wantDamages holds what the server tells of damage against what it must: the events
// since the start, and how much is damaged now.
func (s *shelf) wantDamages(now int, want ...string) {
	s.Helper()
	if diff := cmp.Diff(want, s.told(events.ContentDamaged, events.ContentHealed)); diff != "" {
		s.Errorf("events (-want +got):\n%s", diff)
	}
	scrape, found := metricsOf(s, s.house), 0
	for _, what := range want {
		if what == events.ContentDamaged {
			found++
		}
	}
	for sample, n := range map[string]int{"berth_damaged": now, "berth_damages_found_total": found, "berth_damages_healed_total": len(want) - found} {
		if got := metric(s, scrape, sample); got != fmt.Sprint(n) {
			s.Errorf("%s is %s, want %d", sample, got, n)
		}
	}
}

// A bit that is flipped on the disk goes out to nobody, by no door, whole or in part.
// Who sends the layer again, by either door, heals it.
func TestFlippedLayer(t *testing.T) {
	s := openShelf(t)
	content := strings.Repeat("some layer ", 1000)
	digest := sha256Of([]byte(content))
	s.player(ociDoor{s.doorway}).put("1", v1.MediaTypeImageManifest, s.player(ociDoor{s.doorway}).image(content), accepted)
	link, want := s.link(digest), []string{}
	for name, by := range s.doors() {
		s.flipLayer(content)
		for range 2 { // as it is found, and as it is known
			s.wantNoBytes(s.v2(http.MethodGet, "/v2/team/app/blobs/"+digest, nil), content)
			s.wantNoBytes(s.request(http.MethodGet, link, nil), content)
		}
		want = append(want, events.ContentDamaged)
		s.wantDamages(1, want...)
		if got := s.call("GetDownloadUrlForLayer", members{"repositoryName": "team/app", "layerDigest": digest}, nil); got != "500 ServerException" {
			t.Errorf("GetDownloadUrlForLayer of a damaged layer: %q", got)
		}
		s.player(by).layer(v1.MediaTypeImageLayer, content, accepted)
		if a := s.do(s.v2(http.MethodGet, "/v2/team/app/blobs/"+digest, nil)); a.status != http.StatusOK || a.body != content {
			t.Errorf("after it was sent again by %s: %d, %d bytes", name, a.status, len(a.body))
		}
		if s.follow(s.link(digest)) != digest {
			t.Errorf("after it was sent again by %s its link gives other bytes", name)
		}
		want = append(want, events.ContentHealed)
		s.wantDamages(0, want...)
	}
	if log := s.house.log.String(); strings.Count(log, "A LAYER IS DAMAGED") != 2 {
		t.Errorf("the log does not say it twice:\n%s", log)
	}
}

// wantNoBytes sends a request for a damaged layer, for all of it, for a part that is
// right, and for its head.
func (s *shelf) wantNoBytes(r *http.Request, content string) {
	s.Helper()
	for _, part := range []string{"", "bytes=0-9", "bytes=-10"} {
		r := r.Clone(s.Context())
		if part != "" {
			r.Header.Set("Range", part)
		}
		if a := s.do(r); a.status != http.StatusInternalServerError || strings.Contains(a.body, content[:10]) {
			s.Errorf("GET %s of %q: %d %.100q", part, r.URL.Path, a.status, a.body)
		}
	}
}

// A manifest of which a bit is flipped in the index is as little to be had, and is
// healed by whoever pushes it again.
func TestFlippedManifest(t *testing.T) {
	s := openShelf(t)
	p, want := s.player(ociDoor{s.doorway}), []string{}
	body := p.image("some layer")
	digest := p.put("1", v1.MediaTypeImageManifest, body, accepted)
	for name, by := range s.doors() {
		s.flipManifest(body)
		for range 2 {
			for _, ref := range []string{"1", digest} {
				if a := s.do(s.v2(http.MethodGet, "/v2/team/app/manifests/"+ref, nil)); a.status != http.StatusInternalServerError || strings.Contains(a.body, "mediaType") {
					t.Errorf("GET of manifest %s: %d %s", ref, a.status, a.body)
				}
			}
			s.wantNoImage(members{"imageTag": "1"})
			s.wantNoImage(members{"imageDigest": digest})
		}
		want = append(want, events.ContentDamaged)
		s.wantDamages(1, want...)
		p := s.player(by)
		outcome := map[string]outcome{atOCI: accepted, atECR: sameAgain}[name]
		p.put("1", v1.MediaTypeImageManifest, body, outcome)
		if a := s.do(s.v2(http.MethodGet, "/v2/team/app/manifests/1", nil)); a.status != http.StatusOK || a.body != string(body) {
			t.Errorf("after it was pushed again by %s: %d %s", name, a.status, a.body)
		}
		want = append(want, events.ContentHealed)
		s.wantDamages(0, want...)
	}
}

// wantNoImage asks the JSON API for a damaged image.
func (s *shelf) wantNoImage(id members) {
	s.Helper()
	var out struct {
		Images   []members
		Failures []struct{ FailureCode string }
	}
	if got := s.call("BatchGetImage", members{"repositoryName": "team/app", "imageIds": []members{id}}, &out); got != "500 ServerException" {
		s.Errorf("BatchGetImage of a damaged image: %q, %+v", got, out)
	}
}

// An image whose manifest is damaged can be deleted at either door.
func TestDeleteFlippedManifest(t *testing.T) {
	s := openShelf(t, "trash-window", "0s")
	p := s.player(nil)
	for name, by := range s.doors() {
		p.door = by
		body := p.image("a layer of " + name)
		digest := p.put("1", v1.MediaTypeImageManifest, body, accepted)
		s.flipManifest(body)
		if a := s.do(s.v2(http.MethodGet, "/v2/team/app/manifests/1", nil)); a.status != http.StatusInternalServerError {
			t.Errorf("GET of a damaged manifest: %d", a.status)
		}
		p.remove(digest, accepted)
		if a := s.do(s.v2(http.MethodGet, "/v2/team/app/manifests/"+digest, nil)); a.status != http.StatusNotFound {
			t.Errorf("GET after it was deleted at %s: %d", name, a.status)
		}
	}
	if got := metric(t, metricsOf(t, s.house), "berth_damaged"); got != "0" {
		t.Errorf("%s are damaged of what was deleted", got)
	}
	s.house.wantSound()
}
