package ociapi_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/ociapi"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

func TestEveryCodeHasAnAnswer(t *testing.T) {
	for _, c := range registry.TrafficCodes() {
		status, code, ok := ociapi.Answer(c)
		if !ok || status < 400 || code == "UNKNOWN" {
			t.Errorf("%s is answered by %d %s", c, status, code)
		}
	}
}

// TestAnswers are those that the specification or its users rely on.
func TestAnswers(t *testing.T) {
	tests := []struct {
		refusal registry.Code
		status  int
		code    string
	}{
		{registry.RepositoryNotFound, 404, "NAME_UNKNOWN"},
		{registry.NameInvalid, 400, "NAME_INVALID"},
		{registry.ImageNotFound, 404, "MANIFEST_UNKNOWN"},
		{registry.ImageReferenced, 405, "UNSUPPORTED"},
		{registry.TagImmutable, 409, "TAG_INVALID"},
		{registry.ManifestInvalid, 400, "MANIFEST_INVALID"},
		{registry.ManifestTooLarge, 413, "SIZE_INVALID"},
		{registry.MediaTypeUnsupported, 415, "UNSUPPORTED"},
		{registry.LayersMissing, 400, "MANIFEST_BLOB_UNKNOWN"},
		{registry.ChildrenMissing, 400, "MANIFEST_BLOB_UNKNOWN"},
		{registry.LayerNotFound, 404, "BLOB_UNKNOWN"},
		{registry.LayerReferenced, 405, "UNSUPPORTED"},
		{registry.LayerDigestMismatch, 400, "DIGEST_INVALID"},
		{registry.LayerTooLarge, 413, "SIZE_INVALID"},
		{registry.UploadNotFound, 404, "BLOB_UPLOAD_UNKNOWN"},
		{registry.UploadOffset, 416, "BLOB_UPLOAD_INVALID"},
		{registry.TooManyUploads, 429, "TOOMANYREQUESTS"},
		{registry.StoreFull, 507, "UNAVAILABLE"},
		{registry.StoreReadOnly, 405, "UNSUPPORTED"},
		{registry.StoreFailed, 503, "UNAVAILABLE"},
	}
	for _, tt := range tests {
		if status, code, _ := ociapi.Answer(tt.refusal); status != tt.status || code != tt.code {
			t.Errorf("%s is answered by %d %s, want %d %s", tt.refusal, status, code, tt.status, tt.code)
		}
	}
}

// broken is a store that fails with a secret in its words.
type broken struct{ storage.Blobs }

var errSecret = errors.New("open /srv/secret/place: permission denied")

func (broken) Open(context.Context, string) (io.ReadSeekCloser, error) { return nil, errSecret }

func TestFault(t *testing.T) {
	d := open(t, func(s *setup) { s.registry.Blobs = broken{memory.NewBlobs()} })
	d.create("team/app")
	dig := d.push("team/app", "layer").Digest.String()
	a := d.do("GET", "/v2/team/app/blobs/"+dig)
	want(t, a, 500, "UNKNOWN")
	if strings.Contains(a.body, "secret") || !strings.Contains(a.body, "request-7") {
		t.Errorf("told %q", a.body)
	}
	wantHeader(t, a, "Docker-Content-Digest", "", "Etag", "", "Cache-Control", "")
	log := d.log.String()
	if strings.Count(log, errSecret.Error()) != 1 || !strings.Contains(log, "request=request-7") {
		t.Errorf("logged %q", log)
	}
	if strings.Contains(log, d.password) {
		t.Error("the log has the password")
	}
}

// TestHeadersAreNotSplit: nothing that a client sends brings a line of its own
// into an answer.
func TestHeadersAreNotSplit(t *testing.T) {
	d := open(t)
	d.create("team/app")
	const evil = "%0d%0aX-Evil:%201"
	for _, path := range []string{
		"/v2/team" + evil + "/tags/list", "/v2/team/app/tags/list?n=1&last=" + evil, "/v2/team/app/manifests/1" + evil,
		"/v2/team/app/blobs/" + someDigest + evil, "/v2/team/app/blobs/uploads/x" + evil, "/v2/_catalog?last=" + evil,
		"/v2/team/app/referrers/" + someDigest + "?artifactType=" + evil, "/v2/x" + evil,
	} {
		for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
			a := d.do(method, path, body("{}"))
			if a.header.Get("X-Evil") != "" {
				t.Errorf("%s: the answer has the header", a.request)
			}
			for key, values := range a.header {
				if strings.ContainsAny(strings.Join(values, ""), "\r\n") {
					t.Errorf("%s: header %s: %q", a.request, key, values)
				}
			}
		}
	}
}
