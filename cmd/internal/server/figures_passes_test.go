package server_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/digest"
)

// TestFigurePassesOfTheDigest counts how many times the bytes of a layer go through the
// hash of its digest, whichever way they come.
func TestFigurePassesOfTheDigest(t *testing.T) {
	var c tally
	settings := map[string]string{"data": filepath.Join(t.TempDir(), "data"), "log-level": "warn"}
	d := openWatched(t, settings, c.watch())
	d.createRepository("team/app")
	another := func() { // server, on the same folder
		d.must(d.house.stop())
		d = openWatched(t, maps.Clone(settings), c.watch())
	}
	const size = 6 << 20 // so that a part may come before the last
	for i, tt := range []struct {
		how  string
		most float64
		push func(u upload)
	}{
		{"POST alone", 1, func(u upload) {
			d.sent(http.MethodPost, uploads+"?digest="+u.id, u.content, http.StatusCreated)
		}},
		{"POST, PUT", 1, func(u upload) {
			d.finished(d.begun(""), u.id, u.content)
		}},
		{"POST, PATCH, PUT", 1, func(u upload) {
			d.finished(d.patched(d.begun(""), u.content), u.id, nil)
		}},
		{"POST, two PATCHes, PUT of the rest", 1, func(u upload) {
			d.finished(d.patched(d.patched(d.begun(""), u.content[:size/2]), u.content[size/2:size/2+1]), u.id, u.content[size/2+1:])
		}},
		{"the same with a stop of the server between", 1, func(u upload) {
			at := d.patched(d.begun(""), u.content[:size/2])
			another()
			d.finished(d.patched(at, u.content[size/2:size/2+1]), u.id, u.content[size/2+1:])
		}},
		{"POST for sha512, PATCH, PUT", 1, func(u upload) {
			d.finished(d.patched(d.begun("?digest-algorithm=sha512"), u.content), u.long, nil)
		}},
		{"POST, PATCH, PUT with a sha512", 2, func(u upload) {
			d.finished(d.patched(d.begun(""), u.content), u.long, nil)
		}},
		{"InitiateLayerUpload, UploadLayerPart twice, CompleteLayerUpload", 1, func(u upload) {
			d.uploadParts(u, u.content[:size-1], u.content[size-1:])
		}},
	} {
		u := newUpload(size, i)
		hashed := during(&c.hashed, func() { tt.push(u) })
		if hashed < size {
			t.Errorf("%s: %d of %d bytes were hashed: it is not counted", tt.how, hashed, size)
		}
		figure(t, "passes over a layer's bytes: "+tt.how, float64(hashed)/size, tt.most)
	}
}

// uploads is where uploads to team/app begin.
const uploads = "/v2/team/app/blobs/uploads/"

// upload is a layer with its digests.
type upload struct {
	content  []byte
	id, long string
}

func newUpload(size, n int) upload {
	content := bytes.Repeat(fmt.Appendf(nil, "%16d", n), size/16)
	return upload{content, sha256Of(content), digest.FromBytes(digest.SHA512, content).String()}
}

// sent sends a request that must be answered with a status, and returns the path of the Location.
func (d *doorway) sent(method, to string, content []byte, status int) string {
	d.Helper()
	a, err := d.ok(d.v2(method, to, content), status)
	d.must(err)
	_, path, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Location"), "http://"), "/") // of any server on the folder
	return "/" + path
}

func (d *doorway) begun(query string) string {
	d.Helper()
	return d.sent(http.MethodPost, uploads+query, nil, http.StatusAccepted)
}

func (d *doorway) patched(at string, content []byte) string {
	d.Helper()
	return d.sent(http.MethodPatch, at, content, http.StatusAccepted)
}

func (d *doorway) finished(at, id string, content []byte) {
	d.Helper()
	d.sent(http.MethodPut, at+"?digest="+id, content, http.StatusCreated)
}

func (d *doorway) uploadParts(u upload, parts ...[]byte) {
	d.Helper()
	var begun struct{ UploadID string }
	d.mustCall("InitiateLayerUpload", members{"repositoryName": "team/app"}, &begun)
	first := 0
	for _, p := range parts {
		d.mustCall("UploadLayerPart", members{
			"repositoryName": "team/app", "uploadId": begun.UploadID, "partFirstByte": first, "partLastByte": first + len(p) - 1, "layerPartBlob": p,
		}, nil)
		first += len(p)
	}
	d.mustCall("CompleteLayerUpload", members{"repositoryName": "team/app", "uploadId": begun.UploadID, "layerDigests": []string{u.id}}, nil)
}
