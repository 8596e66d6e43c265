package registry_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

func TestDeleteImage(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "b", "one")
	for _, other := range []string{"a", "c"} {
		_, body, err := s.Manifest(alice(t), n, tagged(t, "b"))
		must(t, err)
		put(t, s, n, other, body)
	}
	bare := addImage(t, s, n, "", "two")
	tests := []struct {
		what string
		ref  registry.Ref
		gone []registry.Ref
	}{
		{"without tags", registry.Ref{Digest: bare.Digest}, []registry.Ref{{Digest: bare.Digest}}},
		{"with three tags", registry.Ref{Digest: img.Digest}, []registry.Ref{
			{Tag: tag(t, "a"), Digest: img.Digest}, {Tag: tag(t, "b"), Digest: img.Digest}, {Tag: tag(t, "c"), Digest: img.Digest},
		}},
	}
	for _, tt := range tests {
		gone, err := s.DeleteImage(alice(t), n, tt.ref, nil)
		must(t, err)
		if diff := cmp.Diff(tt.gone, gone, asTheyAre); diff != "" {
			t.Errorf("%s: removed (-want +got):\n%s", tt.what, diff)
		}
		_, err = s.DeleteImage(alice(t), n, tt.ref, nil)
		wantCode(t, "delete again", err, registry.ImageNotFound)
	}
	if got := tagNames(t, s, n); len(got) > 0 {
		t.Errorf("tags %v are left", got)
	}
	for _, content := range []string{"{}", "one", "two"} { // what it referred to stays
		if got := readLayer(t, s, n, sha256Of([]byte(content))); got != content {
			t.Errorf("layer %q reads %q", content, got)
		}
	}
}

func TestDeleteImageByTag(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	one, two := addImage(t, s, n, "1", "one"), addImage(t, s, n, "2", "two")
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Tag: tag(t, "1"), Digest: two.Digest}, nil)
	wantCode(t, "delete by tag and another digest", err, registry.TagMismatch)
	_, err = s.DeleteImage(alice(t), n, tagged(t, "1"), nil)
	must(t, err)
	_, err = s.Image(alice(t), n, registry.Ref{Digest: one.Digest})
	wantCode(t, "find it by digest", err, registry.ImageNotFound)
	if got := tagNames(t, s, n); len(got) != 1 || got["2"] != two.Digest {
		t.Errorf("tags %v, want 2 alone", got)
	}
}

func TestUntag(t *testing.T) {
	tests := []struct {
		what string
		tags []string
		last registry.LastTag
		left bool // the image
	}{
		{"one of two, keeping", []string{"1", "2"}, registry.KeepImage, true},
		{"one of two, removing the last", []string{"1", "2"}, registry.RemoveLast, true},
		{"the last, keeping", []string{"1"}, registry.KeepImage, true},
		{"the last, removing the last", []string{"1"}, registry.RemoveLast, false},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			s := open(t, registry.Options{})
			n := create(t, s, "team/app")
			var img registry.Image
			for _, name := range tt.tags {
				img = put(t, s, n, name, indexOf(t))
			}
			gone, err := s.Untag(alice(t), n, tag(t, "1"), tt.last, nil)
			if err != nil || gone != (registry.Ref{Tag: tag(t, "1"), Digest: img.Digest}) {
				t.Errorf("removed %v, %v", gone, err)
			}
			_, err = s.Image(alice(t), n, registry.Ref{Digest: img.Digest})
			if (err == nil) != tt.left {
				t.Errorf("find the image: %v, want it there: %v", err, tt.left)
			}
			if got := tagNames(t, s, n); len(got) != len(tt.tags)-1 {
				t.Errorf("tags %v are left", got)
			}
			_, err = s.Untag(alice(t), n, tag(t, "1"), tt.last, nil)
			wantCode(t, "untag again", err, registry.ImageNotFound)
		})
	}
}

func TestChildrenOfAnIndexStay(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	child := addImage(t, s, n, "child", "one")
	ref := registry.Ref{Digest: child.Digest}
	first, second := put(t, s, n, "1", indexOf(t, child)), put(t, s, n, "2", indexOf(t, child, child))
	removals := map[string]func() error{
		"delete by digest": func() error { _, err := s.DeleteImage(alice(t), n, ref, nil); return err },
		"delete by tag":    func() error { _, err := s.DeleteImage(alice(t), n, tagged(t, "child"), nil); return err },
		"remove last tag":  func() error { _, err := s.Untag(alice(t), n, tag(t, "child"), registry.RemoveLast, nil); return err },
	}
	for what, remove := range removals {
		if e := wantCode(t, what, remove(), registry.ImageReferenced); len(e.Digests) != 2 {
			t.Errorf("%s: the refusal names %v, want both indexes", what, e.Digests)
		}
	}
	_, err := s.Untag(alice(t), n, tag(t, "child"), registry.KeepImage, nil) // a tag is no image
	must(t, err)
	for _, index := range []registry.Image{first, second} {
		_, err := s.DeleteImage(alice(t), n, ref, nil)
		wantCode(t, "delete with an index left", err, registry.ImageReferenced)
		_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: index.Digest}, nil)
		must(t, err)
	}
	_, err = s.DeleteImage(alice(t), n, ref, nil)
	must(t, err)
}

func TestManyIndexesAreNotAllNamed(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	child := addImage(t, s, n, "", "one")
	body := indexOf(t, child)
	for range 12 {
		put(t, s, n, "", body)
		body = append(body, ' ')
	}
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: child.Digest}, nil)
	if e := wantCode(t, "delete", err, registry.ImageReferenced); len(e.Digests) != 10 {
		t.Errorf("the refusal names %d indexes, want 10", len(e.Digests))
	}
}

func TestUsedLayersStay(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	config, layer := addConfig(t, s, n), addLayer(t, s, n, "one")
	first := put(t, s, n, "1", imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{layer, layer}}))
	second := put(t, s, n, "", imageOf(t, v1.Manifest{Config: layer}))
	d := sha256Of([]byte("one"))
	for _, img := range []registry.Image{first, second} {
		e := wantCode(t, "delete a used layer", s.DeleteLayer(alice(t), n, d), registry.LayerReferenced)
		found, err := s.Layer(alice(t), n, d)
		if err != nil || !found.Referenced || len(e.Digests) == 0 {
			t.Errorf("layer %+v, %v, used by %v; want it used", found, err, e.Digests)
		}
		_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
		must(t, err)
	}
	found, err := s.Layer(alice(t), n, d)
	if err != nil || found.Referenced || found.MediaType != "" {
		t.Errorf("layer %+v, %v; want it unused", found, err)
	}
	must(t, s.DeleteLayer(alice(t), n, d))
}

func TestDeleteByTheOtherAlgorithm(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	body := indexOf(t)
	short := put(t, s, n, "1", body)
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: digest.FromBytes(digest.SHA512, body)}, nil)
	wantCode(t, "delete under a digest that it was not pushed by", err, registry.ImageNotFound)
	if got := tagNames(t, s, n); got["1"] != short.Digest {
		t.Errorf("tags %v", got)
	}
}

// Rules may become stricter; what was taken before stays as good as it was.
func TestImageOfOldRules(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img, config := addImage(t, s, n, "1", "one"), addConfig(t, s, n)
	layer, subject := addLayer(t, s, n, "two"), subjectOf(img)
	layer.Data = []byte("other content than the digest says")
	body := imageOf(t, v1.Manifest{
		ArtifactType: "a/b", Config: config, Layers: []v1.Descriptor{layer}, Subject: &subject, Annotations: map[string]string{"a": "b"},
	})
	_, err := s.PutImage(alice(t), n, registry.Push{Body: body})
	wantCode(t, "push by today's rules", err, registry.ManifestInvalid)
	must(t, registry.PutByOldRules(alice(t), s, n, v1.MediaTypeImageManifest, body))

	old := registry.Ref{Digest: sha256Of(body)}
	if _, got, err := s.Manifest(alice(t), n, old); err != nil || !bytes.Equal(got, body) {
		t.Errorf("pulled %q, %v", got, err)
	}
	page, _, err := s.Referrers(alice(t), n, img.Digest, registry.ReferrerFilter{}, "", 10)
	if err != nil || len(page) != 1 || page[0].Digest != old.Digest || page[0].Annotations["a"] != "b" {
		t.Errorf("referrers %+v, %v", page, err)
	}
	wantCode(t, "delete its layer", s.DeleteLayer(alice(t), n, sha256Of([]byte("two"))), registry.LayerReferenced)
	_, err = s.DeleteImage(alice(t), n, old, nil)
	must(t, err)
	must(t, s.DeleteLayer(alice(t), n, sha256Of([]byte("two"))))
}
