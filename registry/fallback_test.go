package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// addArtifact pushes an artifact without a subject, as clients do that keep
// referrers by tags.
func addArtifact(t testing.TB, s *registry.Service, n registry.Name, artifactType, note string) registry.Image {
	t.Helper()
	return put(t, s, n, "", imageOf(t, v1.Manifest{
		ArtifactType: artifactType, Config: addConfig(t, s, n), Annotations: map[string]string{"note": note},
	}))
}

func TestFallbackTagsAreFoldedIn(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img, another := addImage(t, s, n, "1.0", "one"), addImage(t, s, n, "2.0", "two")
	var listed []registry.Image
	var want []string
	for i := range 12 {
		var r registry.Image
		switch note := fmt.Sprint(i); i % 4 {
		case 0: // known by its subject and by the index
			r = addReferrer(t, s, n, subjectOf(img), "application/x.sbom", note)
			listed, want = append(listed, r), append(want, r.Digest.String())
		case 1: // by its subject alone
			want = append(want, addReferrer(t, s, n, subjectOf(img), "application/x.sbom", note).Digest.String())
		case 2: // by the index alone
			r = addArtifact(t, s, n, "application/x.sbom", note)
			listed, want = append(listed, r, r), append(want, r.Digest.String())
		case 3: // says itself that it is about another image
			listed = append(listed, addReferrer(t, s, n, subjectOf(another), "application/x.sbom", note))
		}
	}
	slices.Sort(want)
	put(t, s, n, strings.Replace(img.Digest.String(), ":", "-", 1), indexOf(t, listed...))
	for limit := 1; limit < 12; limit++ {
		if got := pages(t, referrerReader(t, s, n, img.Digest, nil, limit), limit); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %d referrers, want %d:\n%q\n%q", limit, len(got), len(want), got, want)
		}
	}
	if got := pages(t, referrerReader(t, s, n, img.Digest, []string{"application/x.none"}, 5), 5); len(got) > 0 {
		t.Errorf("of a type that none has: %q", got)
	}
}

func TestFallbackReferrerIsDescribedByItsManifest(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1.0", "one")
	sig := addArtifact(t, s, n, "application/x.signature", "signed")
	put(t, s, n, strings.Replace(img.Digest.String(), ":", "-", 1), indexOf(t, sig))
	page, _, err := s.Referrers(alice(t), n, img.Digest, nil, "", 10)
	must(t, err)
	if len(page) != 1 || page[0].Digest != sig.Digest || page[0].ArtifactType != "application/x.signature" ||
		page[0].Size != sig.ManifestSize || page[0].Annotations["note"] != "signed" {
		t.Errorf("referrers are %+v", page)
	}
}

// Under the tag there may be anything, and in a sparse index what is not here.
func TestFallbackTagOfSomethingElse(t *testing.T) {
	s := open(t, registry.Options{SparseIndexes: true})
	n := create(t, s, "team/app")
	for _, subject := range []digest.Digest{sha256Of([]byte("a")), digest.FromBytes(digest.SHA512, []byte("a"))} {
		tagName := string(subject.Algorithm()) + "-" + subject.Encoded()[:64]
		addImage(t, s, n, tagName, "an image")
		if got := pages(t, referrerReader(t, s, n, subject, nil, 5), 5); len(got) > 0 {
			t.Errorf("an image under %s: %q", tagName, got)
		}
		absent := registry.Image{Digest: sha256Of([]byte("absent")), MediaType: v1.MediaTypeImageManifest, ManifestSize: 7}
		here := addArtifact(t, s, n, "application/x.sbom", tagName)
		put(t, s, n, tagName, indexOf(t, absent, here))
		if got := pages(t, referrerReader(t, s, n, subject, nil, 5), 5); !slices.Equal(got, []string{here.Digest.String()}) {
			t.Errorf("a sparse index under %s: %q, want %s", tagName, got, here.Digest)
		}
	}
}
