package server_test

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const quota = 10 << 10

// bytesKept are all that lie in the folder of layers.
func (s *shelf) bytesKept() (n int64) {
	s.Helper()
	s.must(filepath.WalkDir(filepath.Join(s.folder, "blobs"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	}))
	return n
}

// Each kind of write at both doors is refused where it would go beyond a quota, of the
// repository or of the registry, in the words of the door. Nothing of it is kept.
func TestQuotasAtBothDoors(t *testing.T) {
	for _, of := range []string{"repository", "registry"} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			s := openShelf(t, "limits."+of+"-bytes", fmt.Sprint(quota))
			oci, ecr := ociDoor{s.doorway}, ecrDoor{s.doorway}
			config := s.player(oci).config(v1.MediaTypeImageConfig)
			layer := s.player(oci).layer(v1.MediaTypeImageLayer, strings.Repeat("x", 3<<10), accepted)
			atV2, _ := oci.begin("team/app")
			atAPI, _ := ecr.begin("team/app")
			before := s.bytesKept()
			beyond := []byte(strings.Repeat("y", quota))
			for what, c := range map[string]struct{ got, want string }{
				"a part at /v2/":    {oci.send("team/app", atV2, 0, beyond).text, "403 DENIED"},
				"a part at the API": {ecr.send("team/app", atAPI, 0, beyond).text, "400 LimitExceededException"},
				"a whole layer":     {s.status(s.v2(http.MethodPost, "/v2/team/app/blobs/uploads/?digest="+sha256Of(beyond), beyond)), "403 DENIED"},
				"without a length":  {s.status(s.endless(atV2, beyond)), "403 DENIED"},
			} {
				if c.got != c.want {
					t.Errorf("%s: %q, want %q", what, c.got, c.want)
				}
			}
			if n := s.bytesKept(); n != before {
				t.Errorf("%d bytes are kept of what was refused", n-before)
			}
			for at, id := range map[string]string{"/v2/": atV2, "the API": atAPI} { // an upload that was refused a part goes on
				if r := oci.send("team/app", id, 0, []byte("z")); r.text != "" {
					t.Errorf("a part that fits, of an upload begun at %s: %q", at, r.text)
				}
			}
			// Each image counts its layers once more.
			for n := range 2 {
				s.player(oci).put(tagOf(n), v1.MediaTypeImageManifest, s.manifest(config, layer, n), accepted)
			}
			large := s.manifest(config, layer, 2)
			for what, c := range map[string]struct{ got, want string }{
				"an image at /v2/":    {oci.put("team/app", manifestPush{tag: "large", mediaType: v1.MediaTypeImageManifest, body: large}).text, "403 DENIED"},
				"an image at the API": {ecr.put("team/app", manifestPush{tag: "large", mediaType: v1.MediaTypeImageManifest, body: large}).text, "400 LimitExceededException"},
			} {
				if c.got != c.want {
					t.Errorf("%s: %q, want %q", what, c.got, c.want)
				}
			}
			if _, there := s.readManifest("team/app", "large", sha256Of(large)); there {
				t.Error("an image that was refused is there")
			}
		})
	}
}

// Where a quota has no room left no upload begins, and one that was let in before the
// quota became smaller does not become a layer and is gone. Deletion makes room.
func TestFullQuotas(t *testing.T) {
	s := openShelf(t, "limits.repository-bytes", fmt.Sprint(quota))
	oci, ecr := ociDoor{s.doorway}, ecrDoor{s.doorway}
	open := map[string]string{}
	for at, by := range s.doors() {
		id, _ := by.begin("team/app")
		if r := by.send("team/app", id, 0, []byte(at)); r.text != "" {
			t.Fatal(r.text)
		}
		open[at] = id
	}
	filling := strings.Repeat("f", quota-100)
	s.player(oci).layer(v1.MediaTypeImageLayer, filling, accepted)
	s.house.flags["limits.repository-bytes"] = "100"
	if _, err := s.house.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, begun := oci.begin("team/app")
	_, initiated := ecr.begin("team/app")
	for what, c := range map[string]struct{ got, want string }{
		"begin at /v2/":     {begun.text, "403 DENIED"},
		"begin at the API":  {initiated.text, "400 InvalidParameterException"}, // the model has no other for it
		"finish at /v2/":    {oci.finish("team/app", open[atOCI], sha256Of([]byte(atOCI))).text, "403 DENIED"},
		"finish at the API": {ecr.finish("team/app", open[atECR], sha256Of([]byte(atECR))).text, "400 InvalidParameterException"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", what, c.got, c.want)
		}
	}
	for at := range open {
		if a := s.do(s.v2(http.MethodGet, "/v2/team/app/blobs/"+sha256Of([]byte(at)), nil)); a.status != http.StatusNotFound {
			t.Errorf("GET of a layer that was refused: %d", a.status)
		}
	}
	if r := oci.removeLayer("team/app", sha256Of([]byte(filling))); r.text != "" {
		t.Fatal(r.text)
	}
	for at, by := range s.doors() {
		s.player(by).layer(v1.MediaTypeImageLayer, at, accepted)
	}
}

// A body whose length is told and goes beyond a quota is refused before it is sent.
func TestQuotaByLength(t *testing.T) {
	s := openShelf(t, "limits.repository-bytes", fmt.Sprint(quota))
	id, _ := ociDoor{s.doorway}.begin("team/app")
	auth := s.v2(http.MethodGet, "/v2/", nil).Header.Get("Authorization")
	for _, request := range []string{
		"PATCH /v2/team/app/blobs/uploads/" + id, "PUT /v2/team/app/blobs/uploads/" + id + "?digest=" + sha256Of(nil),
		"POST /v2/team/app/blobs/uploads/?digest=" + sha256Of(nil),
	} {
		w := s.house.dial()
		w.send("%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", request, auth, quota+1)
		if status := w.status(); status != http.StatusForbidden {
			t.Errorf("%s of too much is answered %d before its body", request, status)
		}
	}
}

// status sends a request to the OCI door, and says what is wrong with it.
func (s *shelf) status(r *http.Request) string {
	s.Helper()
	_, got := ociDoor{s.doorway}.ask(r, http.StatusCreated)
	return got.text
}

// endless is a part of an upload that does not say how long it is.
func (s *shelf) endless(id string, part []byte) *http.Request {
	s.Helper()
	r := s.v2(http.MethodPatch, "/v2/team/app/blobs/uploads/"+id, nil)
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(strings.NewReader(string(part))), -1, nil
	r.Header.Set("Content-Type", "application/octet-stream")
	return r
}

// manifest is one of a layer, another for each number.
func (s *shelf) manifest(config, layer v1.Descriptor, n int) []byte {
	s.Helper()
	return s.encode(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: config,
		Layers: []v1.Descriptor{layer}, Annotations: map[string]string{"n": fmt.Sprint(n)},
	})
}
