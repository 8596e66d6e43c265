package registry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// addReferrer pushes an artifact of a type about a subject.
func addReferrer(t testing.TB, s *registry.Service, n registry.Name, subject v1.Descriptor, artifactType, note string) registry.Image {
	t.Helper()
	return put(t, s, n, "", imageOf(t, v1.Manifest{
		ArtifactType: artifactType, Config: addConfig(t, s, n), Subject: &subject, Annotations: map[string]string{"note": note},
	}))
}

// subjectOf describes an image as a subject.
func subjectOf(img registry.Image) v1.Descriptor {
	return v1.Descriptor{MediaType: img.MediaType, Digest: img.Digest.OCI(), Size: img.ManifestSize}
}

func referrerReader(t testing.TB, s *registry.Service, n registry.Name, d digest.Digest, types []string, limit int) reader {
	return func(after string) (rows []string, next string, err error) {
		page, next, err := s.Referrers(alice(t), n, d, registry.ReferrerFilter{ArtifactTypes: types}, after, limit)
		for _, r := range page {
			rows = append(rows, r.Digest.String())
		}
		return rows, next, err
	}
}

func TestReferrers(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1.0", "one")
	sbom := addReferrer(t, s, n, subjectOf(img), "application/x.sbom", "a bill")
	page, next, err := s.Referrers(alice(t), n, img.Digest, registry.ReferrerFilter{}, "", 10)
	must(t, err)
	want := []registry.Referrer{{
		Digest: sbom.Digest, MediaType: v1.MediaTypeImageManifest, ArtifactType: "application/x.sbom",
		Size: sbom.ManifestSize, Annotations: map[string]string{"note": "a bill"}, Status: registry.Active,
	}}
	if diff := cmp.Diff(want, page, asTheyAre); diff != "" || next != "" {
		t.Errorf("referrers, going on at %q (-want +got):\n%s", next, diff)
	}
	if sbom.Subject != img.Digest {
		t.Errorf("the subject is %s, want %s", sbom.Subject, img.Digest)
	}
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: sbom.Digest}, nil)
	must(t, err)
	if page, _, err := s.Referrers(alice(t), n, img.Digest, registry.ReferrerFilter{}, "", 10); err != nil || len(page) > 0 {
		t.Errorf("after it is deleted: %v, %v", page, err)
	}
}

func TestReferrersOfWhatIsNotThere(t *testing.T) {
	s := open(t, registry.Options{})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	absent := descriptor(v1.MediaTypeImageManifest, indexOf(t))
	sbom := addReferrer(t, s, n, absent, "application/x.sbom", "")
	about := addReferrer(t, s, n, subjectOf(sbom), "application/x.signature", "") // a chain
	d := sha256Of(indexOf(t))
	one := func(n registry.Name, subject, want digest.Digest) {
		t.Helper()
		got := pages(t, referrerReader(t, s, n, subject, nil, 5), 5)
		if want.IsZero() && len(got) > 0 || !want.IsZero() && !slices.Equal(got, []string{want.String()}) {
			t.Errorf("referrers of %s in %q: %v, want %s", subject, n, got, want)
		}
	}
	one(n, d, sbom.Digest)
	one(n, sbom.Digest, about.Digest)
	one(n, about.Digest, digest.Digest{})
	one(other, d, digest.Digest{})
	img := put(t, s, n, "", indexOf(t)) // now it comes
	one(n, d, sbom.Digest)
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
	must(t, err)
	one(n, d, sbom.Digest)
}

func TestArtifactTypesOfReferrers(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "", "one")
	subject := subjectOf(img)
	addReferrer(t, s, n, subject, "application/x.sbom", "1")
	addReferrer(t, s, n, subject, "application/x.sbom", "2")
	addReferrer(t, s, n, subject, "application/x.signature", "3")
	addReferrer(t, s, n, subject, "", "4") // then the config's media type says it
	tests := []struct {
		types []string
		want  int
	}{
		{nil, 4},
		{[]string{"application/x.sbom"}, 2},
		{[]string{"application/x.signature"}, 1},
		{[]string{v1.MediaTypeImageConfig}, 1},
		{[]string{"application/x.sbom", "application/x.signature"}, 3},
		{[]string{"application/x.none"}, 0},
		{[]string{"application/X.SBOM"}, 0},
	}
	for _, tt := range tests {
		for limit := 1; limit < 6; limit++ {
			if got := pages(t, referrerReader(t, s, n, img.Digest, tt.types, limit), limit); len(got) != tt.want || !slices.IsSorted(got) {
				t.Errorf("types %v in pages of %d: %d referrers, want %d in order", tt.types, limit, len(got), tt.want)
			}
		}
	}
}

func TestReferrersOfBothAlgorithms(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	body := indexOf(t)
	long := digest.FromBytes(digest.SHA512, body)
	sbom := addReferrer(t, s, n, v1.Descriptor{MediaType: v1.MediaTypeImageIndex, Digest: long.OCI(), Size: int64(len(body))}, "application/x.sbom", "")
	if got := pages(t, referrerReader(t, s, n, long, nil, 5), 5); !slices.Equal(got, []string{sbom.Digest.String()}) {
		t.Errorf("referrers of %s: %v", long, got)
	}
	if got := pages(t, referrerReader(t, s, n, sha256Of(body), nil, 5), 5); len(got) > 0 {
		t.Errorf("referrers of the same bytes under the other digest: %v", got)
	}
}

func TestLargeReferrersGoInShortPages(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "", "one")
	for _, letter := range []string{"a", "b", "c"} { // two of them fill a page
		addReferrer(t, s, n, subjectOf(img), "application/x.sbom", strings.Repeat(letter, 2<<20))
	}
	calls := 0
	read := referrerReader(t, s, n, img.Digest, nil, 100)
	got := pages(t, func(after string) ([]string, string, error) {
		calls++
		return read(after)
	}, 100)
	if len(got) != 3 || calls != 2 {
		t.Errorf("%d referrers in %d pages, want 3 in 2", len(got), calls)
	}
}

func TestManyReferrers(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "", "one")
	subject := subjectOf(img)
	body := imageOf(t, v1.Manifest{ArtifactType: "application/x.sbom", Config: addConfig(t, s, n), Subject: &subject})
	const many = 1150
	for range many {
		put(t, s, n, "", body)
		body = append(body, ' ')
	}
	if got := pages(t, referrerReader(t, s, n, img.Digest, nil, 100), 100); len(got) != many {
		t.Errorf("%d referrers, want %d", len(got), many)
	}
	calls := 0
	read := referrerReader(t, s, n, img.Digest, []string{"application/x.none"}, 10)
	got := pages(t, func(after string) ([]string, string, error) {
		calls++
		return read(after)
	}, 10)
	if len(got) > 0 || calls < 2 { // a page looks at bounded rows
		t.Errorf("%d referrers of a type that none has, in %d pages", len(got), calls)
	}
}
