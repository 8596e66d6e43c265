package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/specs-go"
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
	page, _, err := s.Referrers(alice(t), n, img.Digest, registry.ReferrerFilter{}, "", 10)
	must(t, err)
	if len(page) != 1 || page[0].Digest != sig.Digest || page[0].ArtifactType != "application/x.signature" ||
		page[0].Size != sig.ManifestSize || page[0].Annotations["note"] != "signed" {
		t.Errorf("referrers are %+v", page)
	}
}

// What the index says of an image counts where the image says nothing, and
// never against it.
func TestFallbackIndexDescribesWhatSaysNothing(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1.0", "one")
	silent, outspoken := put(t, s, n, "", indexOf(t)), addArtifact(t, s, n, "application/x.signature", "signed")
	claim := func(of registry.Image) v1.Descriptor {
		return v1.Descriptor{
			MediaType: "application/x.claimed", Digest: of.Digest.OCI(), Size: of.ManifestSize,
			ArtifactType: "application/x.claimed", Annotations: map[string]string{"note": "claimed"},
		}
	}
	put(t, s, n, strings.Replace(img.Digest.String(), ":", "-", 1), marshal(t, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{claim(img), claim(silent), claim(outspoken)}, // the first is the subject itself
	}))
	want := map[digest.Digest]registry.Referrer{
		silent.Digest: {
			Digest: silent.Digest, MediaType: silent.MediaType, ArtifactType: "application/x.claimed",
			Size: silent.ManifestSize, Annotations: map[string]string{"note": "claimed"}, Status: registry.Active,
		},
		outspoken.Digest: {
			Digest: outspoken.Digest, MediaType: outspoken.MediaType, ArtifactType: "application/x.signature",
			Size: outspoken.ManifestSize, Annotations: map[string]string{"note": "signed"}, Status: registry.Active,
		},
	}
	page, _, err := s.Referrers(alice(t), n, img.Digest, registry.ReferrerFilter{}, "", 10)
	must(t, err)
	got := map[digest.Digest]registry.Referrer{}
	for _, r := range page {
		got[r.Digest] = r
	}
	if diff := cmp.Diff(want, got, asTheyAre); diff != "" || len(page) != len(want) {
		t.Errorf("%d referrers (-want +got):\n%s", len(page), diff)
	}
	if got := pages(t, referrerReader(t, s, n, img.Digest, []string{"application/x.claimed"}, 5), 5); !slices.Equal(got, []string{silent.Digest.String()}) {
		t.Errorf("of the claimed type: %q, want %s", got, silent.Digest)
	}
}

// However long the index is, a page looks at bounded rows.
func TestLongFallbackIndex(t *testing.T) {
	s := open(t, registry.Options{SparseIndexes: true})
	n := create(t, s, "team/app")
	var list []registry.Image
	for i := range 2_500 {
		list = append(list, registry.Image{Digest: sha256Of(fmt.Append(nil, i)), MediaType: v1.MediaTypeImageManifest, ManifestSize: 7})
	}
	here := addArtifact(t, s, n, "application/x.sbom", "here")
	subject := sha256Of([]byte("subject"))
	put(t, s, n, "sha256-"+subject.Encoded(), indexOf(t, append(list, here)...))
	calls := 0
	read := referrerReader(t, s, n, subject, nil, 10)
	got := pages(t, func(after string) ([]string, string, error) {
		calls++
		return read(after)
	}, 10)
	if !slices.Equal(got, []string{here.Digest.String()}) || calls < 2 {
		t.Errorf("%q in %d pages, want %s in several", got, calls, here.Digest)
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
