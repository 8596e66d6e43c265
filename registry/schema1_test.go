package registry_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

// schema1 is a manifest of Docker schema 1 with layers of these contents, and a
// signed one by who.
func schema1(tag string, who string, layers ...string) (doc, signed []byte) {
	var list []string
	for _, l := range layers {
		list = append(list, fmt.Sprintf(`{"blobSum":%q}`, sha256Of([]byte(l))))
	}
	text := `{"schemaVersion":1,"name":"team/app","tag":"` + tag + `","fsLayers":[` + strings.Join(list, ",") + `]}`
	header := fmt.Sprintf(`{"formatLength":%d,"formatTail":"fQ"}`, len(text)-1)
	signatures := fmt.Sprintf(`,"signatures":[{"header":{"alg":"ES256"},"signature":%q,"protected":%q}]}`, who, base64.RawURLEncoding.EncodeToString([]byte(header)))
	return []byte(text), []byte(text[:len(text)-1] + signatures)
}

func TestSchema1(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "one")
	addLayer(t, s, n, "empty")
	doc, signed := schema1("1.0", "alice", "one", "empty", "empty")
	img := put(t, s, n, "a", signed)
	if img.Digest != sha256Of(doc) || img.MediaType != manifest.MediaTypeDockerSchema1Signed || img.Size != int64(len("oneempty")) || img.ManifestSize != int64(len(signed)) {
		t.Errorf("pushed %+v", img)
	}
	if img.ConfigMediaType != "" || img.ArtifactType != "" {
		t.Errorf("an image without a config has the types %q and %q", img.ConfigMediaType, img.ArtifactType)
	}
	_, again := schema1("1.0", "bob", "one", "empty", "empty")
	if img := put(t, s, n, "b", again); img.Digest != sha256Of(doc) { // the same image, signed by another
		t.Errorf("signed by another it is %s", img.Digest)
	}
	for _, ref := range []registry.Ref{tagged(t, "a"), tagged(t, "b"), {Digest: img.Digest}} {
		_, body, err := s.Manifest(alice(t), n, ref)
		must(t, err)
		if diff := cmp.Diff(string(signed), string(body)); diff != "" {
			t.Errorf("manifest of %v (-want +got):\n%s", ref, diff)
		}
	}
	wantCode(t, "a layer in use", s.DeleteLayer(alice(t), n, sha256Of([]byte("empty"))), registry.LayerReferenced)
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
	must(t, err)
	must(t, s.DeleteLayer(alice(t), n, sha256Of([]byte("empty"))))

	_, err = s.PutImage(alice(t), n, registry.Push{Body: signed})
	if e := wantCode(t, "a missing layer", err, registry.LayersMissing); len(e.Digests) != 1 {
		t.Errorf("layers missing: %v, want the one once", e.Digests)
	}
}

func TestSchema1Digests(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "one")
	doc, signed := schema1("1.0", "alice", "one")
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		done, err := s.PutImage(alice(t), n, registry.Push{Body: signed, Want: digest.FromBytes(a, doc)})
		must(t, err)
		if done.Image.Digest != digest.FromBytes(a, doc) {
			t.Errorf("pushed as %s", done.Image.Digest)
		}
		_, err = s.PutImage(alice(t), n, registry.Push{Body: signed, Want: digest.FromBytes(a, signed)})
		wantCode(t, "the digest of all bytes", err, registry.ImageDigestMismatch)
	}
	done, err := s.PutImage(alice(t), n, registry.Push{Body: doc, Want: sha256Of(doc)})
	must(t, err)
	if !done.Existed { // without signatures it is the same image
		t.Errorf("pushed anew: %+v", done)
	}
}

func TestOwnTag(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "one")
	doc, _ := schema1("1.0", "", "one")
	push := func(body []byte, own bool, tags ...registry.Tag) ([]registry.Tag, error) {
		done, err := s.PutImage(alice(t), n, registry.Push{Body: body, OwnTag: own, Tags: tags})
		return done.Tags, err
	}
	for _, tt := range []struct {
		own  bool
		tags []registry.Tag
		want []registry.Tag
	}{
		{false, nil, nil},
		{true, []registry.Tag{tag(t, "2.0")}, []registry.Tag{tag(t, "2.0")}},
		{true, nil, []registry.Tag{tag(t, "1.0")}},
	} {
		got, err := push(doc, tt.own, tt.tags...)
		must(t, err)
		if diff := cmp.Diff(tt.want, got, asTheyAre); diff != "" {
			t.Errorf("own tag %v, tags %v (-want +got):\n%s", tt.own, tt.tags, diff)
		}
	}
	if got := tagNames(t, s, n); len(got) != 2 || got["1.0"] != sha256Of(doc) {
		t.Errorf("tags are %v", got)
	}
	bad, _ := schema1("no tag", "", "one")
	_, err := push(bad, true)
	wantCode(t, "a tag that is none", err, registry.TagInvalid)
	_, err = push(bad, false)
	must(t, err)
}

// TestSchema1IsNeitherScannedNorSigned, whatever the registry's rules say.
func TestSchema1IsNeitherScannedNorSigned(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "one")
	addLayer(t, s, n, "two")
	must(t, s.PutSigning(alice(t), here, registry.Signing{Rules: []registry.SigningRule{{Profile: profile}}}))
	doc, _ := schema1("1.0", "", "one")
	_, signed := schema1("1.0", "alice", "two")
	for _, body := range [][]byte{doc, signed} {
		img := put(t, s, n, "", body)
		ref := registry.Ref{Digest: img.Digest}
		_, err := s.StartScan(alice(t), n, ref)
		if e := wantCode(t, "StartScan", err, registry.ImageNotScannable); e.Field != img.MediaType {
			t.Errorf("refused for %q, want %q", e.Field, img.MediaType)
		}
		if d, list, err := s.SigningStatuses(alice(t), n, ref); err != nil || d != img.Digest || len(list) > 0 {
			t.Errorf("SigningStatuses: %v, %v, %v", d, list, err)
		}
	}
}
