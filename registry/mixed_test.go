package registry_test

import (
	"bytes"
	"slices"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

func sha512Of(b []byte) digest.Digest { return digest.FromBytes(digest.SHA512, b) }

// addBlobAs uploads content under any digest, hashed on its way by the
// algorithm of that digest or by the other.
func addBlobAs(t testing.TB, s *registry.Service, n registry.Name, hashed digest.Algorithm, d digest.Digest, mediaType, content string) v1.Descriptor {
	t.Helper()
	u, err := s.StartUpload(alice(t), n, registry.NewUpload{Algorithm: hashed})
	must(t, err)
	send(t, s, n, u.ID, content)
	_, err = finish(t, s, n, u.ID, d)
	must(t, err)
	return v1.Descriptor{MediaType: mediaType, Digest: d.OCI(), Size: int64(len(content))}
}

func putAs(t testing.TB, s *registry.Service, n registry.Name, want digest.Digest, tags []registry.Tag, body []byte) registry.Image {
	t.Helper()
	done, err := s.PutImage(alice(t), n, registry.Push{Want: want, Tags: tags, Body: body})
	must(t, err)
	return done.Image
}

// An image, an index and a referrer whose parts go by both algorithms.
func TestAlgorithmsInOneImage(t *testing.T) {
	s := open(t, registry.Options{})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	long, short := sha512Of([]byte("long")), sha256Of([]byte("long"))
	layers := []v1.Descriptor{
		addBlobAs(t, s, n, digest.SHA512, long, v1.MediaTypeImageLayer, "long"),
		addBlobAs(t, s, n, digest.SHA512, sha256Of([]byte("short")), v1.MediaTypeImageLayer, "short"),
	}
	config := addBlobAs(t, s, n, digest.SHA256, sha512Of([]byte("{}")), v1.MediaTypeImageConfig, "{}")
	body := imageOf(t, v1.Manifest{Config: config, Layers: layers})
	img := putAs(t, s, n, sha512Of(body), tagList(t, "1", "latest"), body)
	if img.Digest != sha512Of(body) || img.Size != int64(len("{}longshort")) {
		t.Errorf("pushed %+v", img)
	}
	index := put(t, s, n, "all", indexOf(t, img, addImage(t, s, n, "", "plain")))
	_, got, err := s.Manifest(alice(t), n, tagged(t, "latest"))
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("pulled %q, %v", got, err)
	}

	// A right is to content under one digest, and so is protection.
	_, err = s.Layer(alice(t), n, short)
	wantCode(t, "the bytes under the other digest", err, registry.LayerNotFound)
	addLayer(t, s, n, "long")
	must(t, s.DeleteLayer(alice(t), n, short))
	wantCode(t, "delete the layer", s.DeleteLayer(alice(t), n, long), registry.LayerReferenced)
	must(t, s.PutAccountSetting(alice(t), other.ID(), registry.BlobMounting, registry.Enabled))
	_, err = s.Mount(alice(t), other, long, registry.Mount{From: n, MayRead: anyone, AsECR: true})
	must(t, err)
	if got := readLayer(t, s, other, long); got != "long" {
		t.Errorf("the mounted layer reads %q", got)
	}
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
	wantCode(t, "delete a child", err, registry.ImageReferenced)

	subject := subjectOf(img)
	sbom := imageOf(t, v1.Manifest{ArtifactType: "application/x.sbom", Config: config, Subject: &subject})
	want := []string{putAs(t, s, n, sha256Of(sbom), nil, sbom).Digest.String(), putAs(t, s, n, sha512Of(sbom), nil, sbom).Digest.String()}
	for limit := 1; limit < 4; limit++ {
		if got := pages(t, referrerReader(t, s, n, img.Digest, nil, limit), limit); !slices.Equal(got, want) {
			t.Errorf("referrers in pages of %d: %q, want %q", limit, got, want)
		}
	}
	for _, d := range []digest.Digest{index.Digest, img.Digest} {
		_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: d}, nil)
		must(t, err)
	}
	wantCode(t, "the config, which the referrers use", s.DeleteLayer(alice(t), n, sha512Of([]byte("{}"))), registry.LayerReferenced)
	must(t, s.DeleteLayer(alice(t), n, long))
}

// What a manifest names is not there if only its bytes are, under the other
// digest.
func TestMissingUnderTheOtherAlgorithm(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	config, layer, child := addConfig(t, s, n), addLayer(t, s, n, "one"), addImage(t, s, n, "", "child")
	_, body, err := s.Manifest(alice(t), n, registry.Ref{Digest: child.Digest})
	must(t, err)
	layer.Digest, child.Digest = sha512Of([]byte("one")).OCI(), sha512Of(body)
	_, err = s.PutImage(alice(t), n, registry.Push{Body: imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{layer}})})
	wantCode(t, "a layer", err, registry.LayersMissing)
	_, err = s.PutImage(alice(t), n, registry.Push{Body: indexOf(t, child)})
	wantCode(t, "a child", err, registry.ChildrenMissing)
	putAs(t, s, n, sha512Of(body), nil, body)
	put(t, s, n, "all", indexOf(t, child))
}

// emptyJSON is what the image specification has for a config that says nothing
// (manifest.md, "Guidance for an Empty Descriptor").
var emptyJSON = v1.Descriptor{
	MediaType: "application/vnd.oci.empty.v1+json", Digest: sha256Of([]byte("{}")).OCI(), Size: 2, Data: []byte("{}"),
}

func TestManifestsOfNextToNothing(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addConfig(t, s, n) // the same bytes
	nothing := addLayer(t, s, n, "")
	for _, tt := range []struct {
		what   string
		layers []v1.Descriptor
		size   int64
	}{
		{"no layers", []v1.Descriptor{}, 2},
		{"null as layers", nil, 2},
		{"the empty descriptor as layer", []v1.Descriptor{emptyJSON}, 4},
		{"a layer of no bytes", []v1.Descriptor{nothing}, 2},
	} {
		body := imageOf(t, v1.Manifest{ArtifactType: "application/x.thing", Config: emptyJSON, Layers: tt.layers})
		img := put(t, s, n, "thing", body)
		if img.Size != tt.size || img.ArtifactType != "application/x.thing" || img.ConfigMediaType != emptyJSON.MediaType {
			t.Errorf("%s: %+v, want the size %d", tt.what, img, tt.size)
		}
		if _, got, err := s.Manifest(alice(t), n, tagged(t, "thing")); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: pulled %q, %v", tt.what, got, err)
		}
	}
	wantCode(t, "delete the layer of no bytes", s.DeleteLayer(alice(t), n, sha256Of(nil)), registry.LayerReferenced)
	if got := readLayer(t, s, n, sha256Of(nil)); got != "" {
		t.Errorf("the layer of no bytes reads %q", got)
	}
}

// Data beside a digest is the content itself, and no stand-in for it.
func TestEmbeddedData(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	config, child := addConfig(t, s, n), addImage(t, s, n, "", "child")
	_, childBody, err := s.Manifest(alice(t), n, registry.Ref{Digest: child.Digest})
	must(t, err)
	with := func(d v1.Descriptor, data string) v1.Descriptor {
		d.Data = []byte(data)
		return d
	}
	layer, absent := addLayer(t, s, n, "one"), descriptor(v1.MediaTypeImageLayer, []byte("two"))
	image := func(d v1.Descriptor) []byte {
		return imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{d}})
	}
	about := func(d v1.Descriptor) []byte { return imageOf(t, v1.Manifest{Config: config, Subject: &d}) }
	for _, tt := range []struct {
		what string
		body []byte
		code registry.Code // "" if it is taken
	}{
		{"the layer's bytes", image(with(layer, "one")), ""},
		{"other bytes", image(with(layer, "two")), registry.ManifestInvalid},
		{"more bytes", image(with(layer, "onee")), registry.ManifestInvalid},
		{"bytes of a layer that is not there", image(with(absent, "two")), registry.LayersMissing},
		{"of the config", imageOf(t, v1.Manifest{Config: with(config, "{}")}), ""},
		{"of another config", imageOf(t, v1.Manifest{Config: with(config, "[]")}), registry.ManifestInvalid},
		{"of the subject", about(with(subjectOf(child), string(childBody))), ""},
		{"of another subject", about(with(subjectOf(child), "{}")), registry.ManifestInvalid},
		{"of a subject that is not there", about(with(absent, "two")), ""},
	} {
		done, err := s.PutImage(alice(t), n, registry.Push{Body: tt.body})
		if tt.code != "" {
			wantCode(t, tt.what, err, tt.code)
			_, err = s.Image(alice(t), n, registry.Ref{Digest: sha256Of(tt.body)})
			wantCode(t, tt.what+", refused", err, registry.ImageNotFound)
			continue
		}
		if err != nil || done.Image.Digest != sha256Of(tt.body) {
			t.Errorf("%s: %+v, %v", tt.what, done, err)
		}
	}
}
