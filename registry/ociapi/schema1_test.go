package ociapi_test

import (
	"encoding/base64"
	"fmt"
	"testing"
)

// TestSchema1 pushes and pulls the manifests of the first Docker clients, signed
// and not.
func TestSchema1(t *testing.T) {
	d := open(t)
	d.create("team/app")
	doc := `{"schemaVersion":1,"name":"team/app","tag":"old","fsLayers":[{"blobSum":"` + d.push("team/app", "layer").Digest.String() + `"}]}`
	header := fmt.Sprintf(`{"formatLength":%d,"formatTail":"fQ"}`, len(doc)-1)
	signed := doc[:len(doc)-1] + `,"signatures":[{"protected":"` + base64.RawURLEncoding.EncodeToString([]byte(header)) + `"}]}`
	const plain = "application/vnd.docker.distribution.manifest.v1+json"
	dig := sha256Of(doc).String()
	for _, tt := range []struct{ ref, sent, body, kept string }{
		{"signed", schema1, signed, schema1},
		{dig, schema1, signed, schema1},
		{"oldest", "application/json; charset=utf-8", signed, schema1},
		{"plain", plain, doc + "\n", plain},
	} {
		want(t, d.put("team/app", tt.ref, tt.sent, tt.body), 201, "")
		a := d.do("GET", "/v2/team/app/manifests/"+tt.ref)
		want(t, a, 200, "")
		if a.body != tt.body {
			t.Errorf("%s came back as %q", tt.ref, a.body)
		}
		wantHeader(t, a, "Content-Type", tt.kept)
		if tt.kept == schema1 {
			wantHeader(t, a, "Docker-Content-Digest", dig)
		}
	}
	want(t, d.put("team/app", sha256Of(signed).String(), schema1, signed), 400, "DIGEST_INVALID")
	want(t, d.put("team/app", "1", plain, `{"schemaVersion":1,"fsLayers":[{"blobSum":"`+sha256Of("none").String()+`"}]}`), 400, "MANIFEST_BLOB_UNKNOWN")
	if a := d.do("GET", "/v2/team/app/tags/list"); a.body != `{"name":"team/app","tags":["oldest","plain","signed"]}`+"\n" { // none by its own tag
		t.Errorf("tags: %s", a.body)
	}
}
