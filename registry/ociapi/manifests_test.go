package ociapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
)

const (
	imageType  = v1.MediaTypeImageManifest
	indexType  = v1.MediaTypeImageIndex
	schema1    = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	dockerType = "application/vnd.docker.distribution.manifest.v2+json"
)

func TestPushAndPullManifest(t *testing.T) {
	d := open(t)
	d.create("team/app")
	m := d.image("team/app", nil, "layer")
	dig := sha256Of(m).String()
	a := d.put("team/app", "1.0", imageType, m)
	want(t, a, 201, "")
	wantHeader(t, a, "Location", base+"/v2/team/app/manifests/"+dig, "Docker-Content-Digest", dig, "OCI-Subject", "", "Content-Length", "0")
	want(t, d.put("team/app", "1.0", imageType, m), 201, "") // again, nothing changes
	// Whatever a client says it takes, it gets what was pushed.
	for _, accept := range []string{"", "*/*", imageType, dockerType, "text/html"} {
		for ref, cache := range map[string]string{
			"1.0": "private, no-cache", dig: "private, max-age=31536000, immutable", "0.9@" + dig: "private, max-age=31536000, immutable",
		} {
			for _, method := range []string{"GET", "HEAD"} {
				a := d.do(method, "/v2/team/app/manifests/"+ref, with("Accept", accept))
				want(t, a, 200, "")
				wantHeader(t, a, "Content-Type", imageType, "Content-Length", fmt.Sprint(len(m)),
					"Docker-Content-Digest", dig, "Etag", `"`+dig+`"`, "Cache-Control", cache)
				if method == "GET" && a.body != m {
					t.Errorf("%s: pulled %q", ref, a.body)
				}
			}
		}
	}
}

func TestManifestConditions(t *testing.T) {
	d := open(t)
	d.create("team/app")
	m := d.tag("team/app", "1.0", "layer")
	tag := `"` + sha256Of(m).String() + `"`
	for _, method := range []string{"GET", "HEAD"} {
		a := d.do(method, "/v2/team/app/manifests/1.0", with("If-None-Match", tag))
		want(t, a, 304, "")
		wantHeader(t, a, "Etag", tag)
		if a.body != "" {
			t.Errorf("304 with a body %q", a.body)
		}
		want(t, d.do(method, "/v2/team/app/manifests/1.0", with("If-None-Match", `"other"`)), 200, "")
	}
}

func TestPullManifestRefused(t *testing.T) {
	d := open(t)
	d.create("team/app", "team/other")
	m := d.tag("team/other", "1.0", "layer")
	dig := sha256Of(m).String()
	tests := []struct {
		path   string
		status int
		code   string
	}{
		{"team/app/manifests/1.0", 404, "MANIFEST_UNKNOWN"},
		{"team/app/manifests/" + dig, 404, "MANIFEST_UNKNOWN"}, // another repository has it
		{"team/none/manifests/1.0", 404, "NAME_UNKNOWN"},
		{"team/app/manifests/.INVALID_MANIFEST_NAME", 404, "MANIFEST_UNKNOWN"},
		{"team/app/manifests/" + strings.Repeat("a", 129), 404, "MANIFEST_UNKNOWN"},
		{"team/app/manifests/a%2fb", 404, "MANIFEST_UNKNOWN"},
		{"team/app/manifests/sha256:1234", 400, "DIGEST_INVALID"},
		{"team/app/manifests/1.0@sha256:1234", 400, "DIGEST_INVALID"},
		{"team/app/manifests/1.0@2.0", 400, "DIGEST_INVALID"},
	}
	d.unchanged(func() {
		for _, tt := range tests {
			for _, method := range []string{"GET", "DELETE"} {
				want(t, d.do(method, "/v2/"+tt.path), tt.status, tt.code)
			}
			want(t, d.do("HEAD", "/v2/"+tt.path), tt.status, "")
		}
	})
}

// TestDigestWins: of tag@digest the tag is not looked at.
func TestDigestWins(t *testing.T) {
	d := open(t)
	d.create("team/app")
	one, two := d.tag("team/app", "1", "one"), d.tag("team/app", "2", "two")
	dig := sha256Of(one).String()
	for _, ref := range []string{"2@" + dig, "none@" + dig, "@" + dig} {
		if a := d.do("GET", "/v2/team/app/manifests/"+ref); a.body != one {
			t.Errorf("%s: pulled %d %q", ref, a.status, a.body)
		}
	}
	want(t, d.put("team/app", "3@"+dig, imageType, one), 201, "")
	want(t, d.put("team/app", "3@"+dig, imageType, two), 400, "DIGEST_INVALID")
	want(t, d.do("GET", "/v2/team/app/manifests/3"), 404, "MANIFEST_UNKNOWN")
	want(t, d.do("DELETE", "/v2/team/app/manifests/2@"+dig), 202, "")
	want(t, d.do("GET", "/v2/team/app/manifests/2"), 200, "")
	want(t, d.do("GET", "/v2/team/app/manifests/1"), 404, "MANIFEST_UNKNOWN")
}

func TestPushByDigest(t *testing.T) {
	d := open(t)
	d.create("team/app")
	m := d.image("team/app", nil, "layer")
	for _, dig := range []string{sha256Of(m).String(), sha512Of(m).String()} {
		a := d.put("team/app", dig, imageType, m)
		want(t, a, 201, "")
		wantHeader(t, a, "Docker-Content-Digest", dig, "Location", base+"/v2/team/app/manifests/"+dig)
		if got := d.do("GET", "/v2/team/app/manifests/"+dig); got.body != m {
			t.Errorf("pulled %d %q", got.status, got.body)
		}
	}
	d.unchanged(func() {
		want(t, d.put("team/app", sha256Of("else").String(), imageType, m), 400, "DIGEST_INVALID")
		want(t, d.put("team/app", "sha256:12", imageType, m), 400, "DIGEST_INVALID")
	})
}

// TestManifestsOfAllKinds: the bytes come back as they went in.
func TestManifestsOfAllKinds(t *testing.T) {
	d := open(t)
	d.create("team/app")
	image := d.image("team/app", nil, "layer")
	want(t, d.put("team/app", "image", imageType, image), 201, "")
	docker := strings.ReplaceAll(image, imageType, dockerType)
	annotated := d.image("team/app", func(m *v1.Manifest) {
		m.Annotations = map[string]string{"": "no key", "weird \u2028 \x00 key": strings.Repeat("large ", 100_000)}
	})
	foreign := d.image("team/app", func(m *v1.Manifest) {
		m.Layers = []v1.Descriptor{{
			MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar", Digest: sha256Of("elsewhere").OCI(), Size: 9,
			URLs: []string{"http://169.254.169.254/latest/meta-data/"},
		}}
	})
	tests := []struct{ tag, mediaType, content string }{
		{"docker", dockerType, docker},
		{"index", indexType, indexOf(t, image)},
		{"empty-index", indexType, indexOf(t)},
		{"annotated", imageType, annotated},
		{"foreign", imageType, foreign},
		{"spaced", imageType, image + "  \n"},
		{"opaque", "application/vnd.example.thing+json", `{"thing": 1}`},
		{"parameters", imageType + "; charset=utf-8", strings.Replace(image, "{", "{ ", 1)},
	}
	for _, tt := range tests {
		a := d.put("team/app", tt.tag, tt.mediaType, tt.content)
		want(t, a, 201, "")
		wantHeader(t, a, "Docker-Content-Digest", sha256Of(tt.content).String())
		a = d.do("GET", "/v2/team/app/manifests/"+tt.tag)
		mediaType, _, _ := strings.Cut(tt.mediaType, ";")
		wantHeader(t, a, "Content-Type", mediaType, "Content-Length", fmt.Sprint(len(tt.content)))
		if a.body != tt.content {
			t.Errorf("%s: pulled other bytes", tt.tag)
		}
	}
	want(t, d.do("GET", "/v2/team/app/blobs/"+sha256Of("elsewhere").String()), 404, "BLOB_UNKNOWN")
}

func TestPushManifestRefused(t *testing.T) {
	d := open(t)
	d.create("team/app")
	m := d.image("team/app", nil, "layer")
	missing := strings.Replace(m, sha256Of("layer").String(), sha256Of("absent").String(), 1)
	resized := strings.Replace(m, `"size":5`, `"size":6`, 1)
	both := strings.Replace(m, `"layers"`, `"manifests":[],"layers"`, 1)
	twice := strings.Replace(m, `"layers"`, `"layers":[],"layers"`, 1)
	tests := []struct {
		ref, mediaType, content string
		status                  int
		code                    string
	}{
		{"1", imageType, missing, 400, "MANIFEST_BLOB_UNKNOWN"},
		{"1", indexType, indexOf(t, missing), 400, "MANIFEST_BLOB_UNKNOWN"},
		{"1", imageType, resized, 400, "MANIFEST_INVALID"},
		{"1", imageType, both, 400, "MANIFEST_INVALID"},
		{"1", imageType, twice, 400, "MANIFEST_INVALID"},
		{"1", dockerType, m, 400, "MANIFEST_INVALID"},
		{"1", indexType, m, 400, "MANIFEST_INVALID"},
		{"1", imageType, "", 400, "MANIFEST_INVALID"},
		{"1", imageType, "null", 400, "MANIFEST_INVALID"},
		{"1", imageType, "{", 400, "MANIFEST_INVALID"},
		{"1", imageType, m + "x", 400, "MANIFEST_INVALID"},
		{"1", imageType, "\ufeff" + m, 400, "MANIFEST_INVALID"},
		{"1", imageType, strings.Replace(m, "layer", "\xff", 1), 400, "MANIFEST_INVALID"},
		{"1", imageType, strings.Repeat("[", 100_000), 400, "MANIFEST_INVALID"},
		{"1", imageType, `{"layers":[` + strings.Repeat("{},", 500_000) + `{}]}`, 400, "MANIFEST_INVALID"},
		{"1", imageType, `{"schemaVersion":1e999999}`, 400, "MANIFEST_INVALID"},
		{"1", "", `{"schemaVersion":2}`, 400, "MANIFEST_INVALID"},
		{"1", "no media type", m, 400, "MANIFEST_INVALID"},
		{"1", imageType, `{"schemaVersion":1}`, 415, "UNSUPPORTED"},
		{"1", schema1, `{"schemaVersion":1}`, 400, "MANIFEST_INVALID"},
		{strings.Repeat("a", 129), imageType, m, 400, "TAG_INVALID"},
		{".a", imageType, m, 400, "TAG_INVALID"},
		{"-a", imageType, m, 400, "TAG_INVALID"},
		{"a:b", imageType, m, 400, "DIGEST_INVALID"},
		{"a@b", imageType, m, 400, "DIGEST_INVALID"},
		{"a%0d%0ab", imageType, m, 400, "TAG_INVALID"},
		{"%2e%2e", imageType, m, 400, "TAG_INVALID"},
	}
	d.unchanged(func() {
		for _, tt := range tests {
			a := d.put("team/app", tt.ref, tt.mediaType, tt.content)
			a.request = fmt.Sprintf("PUT %.20s as %s of %.40q", tt.ref, tt.mediaType, tt.content)
			want(t, a, tt.status, tt.code)
		}
		want(t, d.put("team/none", "1", imageType, m), 404, "NAME_UNKNOWN")
		want(t, d.put("team/none", "1", imageType, "{"), 404, "NAME_UNKNOWN")
	})
}

func TestMissingContentIsNamed(t *testing.T) {
	d := open(t)
	d.create("team/app")
	var absent []string
	m := d.image("team/app", func(m *v1.Manifest) {
		for i := range 150 {
			dig := sha256Of(fmt.Sprint("absent", i))
			absent = append(absent, dig.String())
			m.Layers = append(m.Layers, v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: dig.OCI(), Size: 1})
		}
	})
	a := d.put("team/app", "1", imageType, m)
	want(t, a, 400, "MANIFEST_BLOB_UNKNOWN")
	var e envelope
	must(t, strictJSON(a.body, &e))
	if len(e.Errors) != 100 {
		t.Errorf("%d errors for 150 layers, want the first 100", len(e.Errors))
	}
	for i, one := range e.Errors {
		if detail, _ := one.Detail.(map[string]any); detail["digest"] != absent[i] {
			t.Errorf("error %d has the detail %v, want %s", i, one.Detail, absent[i])
		}
	}
}

// counted is an endless body that counts what is read of it.
type counted struct{ n int64 }

func (c *counted) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	c.n += int64(len(p))
	return len(p), nil
}

func TestManifestTooLarge(t *testing.T) {
	const limit = 10_000
	d := build(t, func(s *setup) { s.registry.Limits = registry.Limits{Manifest: limit} })
	d.create("team/app")
	m := d.image("team/app", nil)
	d.unchanged(func() {
		want(t, d.put("team/app", "1", imageType, m+strings.Repeat(" ", limit+1-len(m))), 413, "SIZE_INVALID")
		endless := &counted{}
		want(t, d.do("PUT", "/v2/team/app/manifests/1", with("Content-Type", imageType), stream(endless)), 413, "SIZE_INVALID")
		if endless.n > limit+1 {
			t.Errorf("%d bytes were read", endless.n)
		}
		unread := &counted{}
		announced := func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(unread), limit+1 }
		want(t, d.do("PUT", "/v2/team/app/manifests/1", with("Content-Type", imageType), announced), 413, "SIZE_INVALID")
		if unread.n > 0 {
			t.Errorf("%d bytes were read of a body that was announced as too large", unread.n)
		}
	})
	want(t, d.put("team/app", "1", imageType, m+strings.Repeat(" ", limit-len(m))), 201, "")
}

func TestSubject(t *testing.T) {
	d := open(t)
	d.create("team/app")
	subject := v1.Descriptor{MediaType: imageType, Digest: sha256Of("not here yet").OCI(), Size: 12}
	m := d.image("team/app", func(m *v1.Manifest) { m.Subject = &subject })
	a := d.put("team/app", sha256Of(m).String(), imageType, m)
	want(t, a, 201, "")
	wantHeader(t, a, "OCI-Subject", subject.Digest.String())
	x := marshal(t, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: indexType, Subject: &subject, Manifests: []v1.Descriptor{},
	})
	a = d.put("team/app", sha256Of(x).String(), indexType, x)
	want(t, a, 201, "")
	wantHeader(t, a, "OCI-Subject", subject.Digest.String())
}

func TestDeleteManifest(t *testing.T) {
	d := open(t)
	d.create("team/app")
	m := d.tag("team/app", "1", "layer")
	want(t, d.put("team/app", "2", imageType, m), 201, "")
	by := "/v2/team/app/manifests/"
	dig := sha256Of(m).String()

	want(t, d.do("DELETE", by+"1"), 202, "")
	want(t, d.do("GET", by+"1"), 404, "MANIFEST_UNKNOWN")
	want(t, d.do("DELETE", by+"2"), 202, "")
	want(t, d.do("DELETE", by+"2"), 404, "MANIFEST_UNKNOWN")
	want(t, d.do("GET", by+dig), 200, "") // deleting tags leaves the manifest

	want(t, d.put("team/app", "3", imageType, m), 201, "")
	want(t, d.do("DELETE", by+dig), 202, "")
	want(t, d.do("GET", by+dig), 404, "MANIFEST_UNKNOWN")
	want(t, d.do("GET", by+"3"), 404, "MANIFEST_UNKNOWN")
	want(t, d.do("DELETE", by+dig), 404, "MANIFEST_UNKNOWN")
	want(t, d.do("DELETE", "/v2/team/app/blobs/"+sha256Of("layer").String()), 202, "")
}

func TestDeleteChildRefused(t *testing.T) {
	d := open(t)
	d.create("team/app")
	m := d.tag("team/app", "child", "layer")
	x := indexOf(t, m)
	want(t, d.put("team/app", "index", indexType, x), 201, "")
	dig := sha256Of(m).String()
	d.unchanged(func() { want(t, d.do("DELETE", "/v2/team/app/manifests/"+dig), 405, "UNSUPPORTED") })
	want(t, d.do("DELETE", "/v2/team/app/manifests/child"), 202, "") // the image stays
	want(t, d.do("DELETE", "/v2/team/app/manifests/"+sha256Of(x).String()), 202, "")
	want(t, d.do("DELETE", "/v2/team/app/manifests/"+dig), 202, "")
}

func TestImmutableTag(t *testing.T) {
	d := open(t)
	d.create("team/app")
	first := d.tag("team/app", "1", "first")
	second := d.image("team/app", nil, "second")
	_, err := d.service.SetTagRule(d.ctx(), name(t, "team/app"), registry.TagRule{Mutability: registry.Immutable})
	must(t, err)
	d.unchanged(func() {
		a := d.put("team/app", "1", imageType, second)
		want(t, a, 409, "TAG_INVALID")
		const text = "The image tag '1' already exists in the 'team/app' repository and cannot be overwritten because the tag is immutable."
		if !strings.Contains(a.body, text) {
			t.Errorf("said %q", a.body)
		}
		want(t, d.put("team/app", "1", imageType, first), 201, "")
	})
	if a := d.do("GET", "/v2/team/app/manifests/1"); a.body != first {
		t.Errorf("the tag names %q", a.body)
	}
}

func TestCreateOnPush(t *testing.T) {
	for _, may := range []bool{true, false} {
		d := open(t, func(s *setup) {
			s.registry.CreateOnPush = registry.CreateAlways
			s.authorizer = auth.AuthorizerFunc(denying{"ecr:CreateRepository": !may}.Authorize)
		})
		status := map[bool]int{true: 202, false: 404}[may]
		if a := d.do("POST", "/v2/new/one/blobs/uploads/"); a.status != status {
			t.Errorf("may create: %v: upload status %d, want %d", may, a.status, status)
		}
		status = map[bool]int{true: 201, false: 404}[may]
		if a := d.put("new/two", "1", indexType, indexOf(t)); a.status != status {
			t.Errorf("may create: %v: push status %d, want %d", may, a.status, status)
		}
		if d.do("GET", "/v2/new/three/manifests/1").status != 404 || d.do("GET", "/v2/new/three/tags/list").status != 404 {
			t.Error("a pull created a repository")
		}
	}
}
