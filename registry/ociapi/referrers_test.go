package ociapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
)

// referrers asks for the referrers of a digest.
func (d *door) referrers(path string) (answer, v1.Index) {
	d.t.Helper()
	a := d.do("GET", path)
	want(d.t, a, 200, "")
	wantHeader(d.t, a, "Content-Type", indexType)
	var x v1.Index
	must(d.t, strictJSON(a.body, &x))
	if x.SchemaVersion != 2 || x.MediaType != indexType || x.Manifests == nil {
		d.t.Errorf("%s: not an index: %s", path, a.body)
	}
	return a, x
}

// refer pushes an artifact of some type that refers to subject.
func (d *door) refer(repo string, subject v1.Descriptor, artifactType string, annotations map[string]string) v1.Descriptor {
	d.t.Helper()
	m := d.image(repo, func(m *v1.Manifest) {
		m.Subject, m.ArtifactType, m.Annotations = &subject, artifactType, annotations
	})
	dig := sha256Of(m)
	want(d.t, d.put(repo, dig.String(), imageType, m), 201, "")
	if artifactType == "" {
		artifactType = v1.MediaTypeImageConfig
	}
	return v1.Descriptor{MediaType: imageType, Digest: dig.OCI(), Size: int64(len(m)), ArtifactType: artifactType, Annotations: annotations}
}

func TestReferrers(t *testing.T) {
	d := open(t)
	d.create("team/app", "team/other")
	subject := v1.Descriptor{MediaType: imageType, Digest: sha256Of("any").OCI(), Size: 3}
	path := "/v2/team/app/referrers/" + subject.Digest.String()
	if _, x := d.referrers(path); len(x.Manifests) != 0 {
		t.Errorf("referrers before there are any: %v", x.Manifests)
	}
	refer := func(artifactType string, annotations map[string]string) v1.Descriptor {
		return d.refer("team/app", subject, artifactType, annotations)
	}
	all := map[string]v1.Descriptor{}
	for _, r := range []v1.Descriptor{
		refer("application/vnd.example.sbom", map[string]string{"one": "1"}),
		refer("application/vnd.example.sbom", map[string]string{"two": "2"}),
		refer("application/vnd.example.signature+x", nil),
		refer("", nil), // goes by its config's media type
	} {
		all[r.Digest.String()] = r
	}
	d.refer("team/other", subject, "application/vnd.example.sbom", nil)
	index := strings.Replace(indexOf(t), "{", `{"subject":`+marshal(t, subject)+`,`, 1)
	want(t, d.put("team/app", "index", indexType, index), 201, "")
	all[sha256Of(index).String()] = v1.Descriptor{MediaType: indexType, Digest: sha256Of(index).OCI(), Size: int64(len(index))}

	tests := []struct {
		query, filters string
		types          []string
	}{
		{"", "", nil},
		{"?artifactType=", "", nil},
		{"?artifactType=application/vnd.example.sbom", "artifactType", []string{"application/vnd.example.sbom"}},
		{"?artifactType=application%2Fvnd.example.signature%2Bx", "artifactType", []string{"application/vnd.example.signature+x"}},
		{"?artifactType=" + v1.MediaTypeImageConfig[:12] + "vnd.oci.image.config.v1%2Bjson", "artifactType", []string{v1.MediaTypeImageConfig}},
		{"?artifactType=none", "artifactType", []string{"none"}},
	}
	for _, tt := range tests {
		a, x := d.referrers(path + tt.query)
		wantHeader(t, a, "OCI-Filters-Applied", tt.filters, "Link", "")
		got, expected := map[string]v1.Descriptor{}, map[string]v1.Descriptor{}
		for _, m := range x.Manifests {
			got[m.Digest.String()] = m
		}
		for dig, m := range all {
			if tt.types == nil || m.ArtifactType == tt.types[0] {
				expected[dig] = m
			}
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.query, diff)
		}
	}
	want(t, d.do("HEAD", path), 200, "")
}

func TestReferrersRefused(t *testing.T) {
	d := open(t)
	d.create("team/app")
	dig := sha256Of("x").String()
	d.unchanged(func() {
		want(t, d.do("GET", "/v2/team/app/referrers/sha256:1"), 400, "DIGEST_INVALID")
		want(t, d.do("GET", "/v2/team/app/referrers/latest"), 400, "DIGEST_INVALID")
		want(t, d.do("GET", "/v2/team/app/referrers/"+dig+"?last=a%00"), 400, "PAGINATION_NUMBER_INVALID")
		want(t, d.do("GET", "/v2/team/none/referrers/"+dig), 404, "NAME_UNKNOWN")
		want(t, d.do("PUT", "/v2/team/app/referrers/"+dig), 405, "UNSUPPORTED")
	})
}

// pageReferrers pushes more than a page of them, and reads them page by page,
// the filter going along.
func (d *door) pageReferrers() {
	t := d.t
	t.Helper()
	const count, others = 1_100, 11
	subject := sha256Of("any")
	for i := range count {
		m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"artifactType":"application/x.%v",`+
			`"subject":{"mediaType":%q,"digest":%q,"size":3},"annotations":{"i":"%d"}}`, indexType, i >= others, imageType, subject, i)
		_, err := d.service.PutImage(d.ctx(), name(t, "app"), registry.Push{Body: []byte(m)})
		must(t, err)
	}
	for query, expected := range map[string]int{"": count, "?artifactType=application/x.true": count - others} {
		seen := map[string]bool{}
		path, pages := "/v2/app/referrers/"+subject.String()+query, 0
		for ; path != ""; pages++ {
			a, x := d.referrers(path)
			for _, m := range x.Manifests {
				seen[m.Digest.String()] = true
			}
			if query != "" {
				wantHeader(t, a, "OCI-Filters-Applied", "artifactType")
			}
			path = nextOf(t, a)
		}
		if len(seen) != expected || pages < 2 {
			t.Errorf("%q: %d referrers on %d pages, want %d", query, len(seen), pages, expected)
		}
	}
}

// TestReferrerCycles: a manifest cannot name itself, but an index may name its
// subject's referrer, and lists follow no reference.
func TestReferrerCycles(t *testing.T) {
	d := open(t)
	d.create("team/app")
	subject := v1.Descriptor{MediaType: imageType, Digest: sha256Of("any").OCI(), Size: 3}
	first := d.refer("team/app", subject, "application/x.1", nil)
	second := d.refer("team/app", first, "application/x.2", nil)
	for dig, expected := range map[string]string{subject.Digest.String(): first.Digest.String(), first.Digest.String(): second.Digest.String()} {
		_, x := d.referrers("/v2/team/app/referrers/" + dig)
		if len(x.Manifests) != 1 || x.Manifests[0].Digest.String() != expected {
			t.Errorf("referrers of %s: %v", dig, x.Manifests)
		}
	}
}
