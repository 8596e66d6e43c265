package registry_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

const (
	dockerConfig  = "application/vnd.docker.container.image.v1+json"
	dockerLayer   = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	dockerForeign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// comparable names and tags are compared as they are.
var asTheyAre = cmp.Options{cmp.AllowUnexported(registry.Name{}, registry.Tag{}), cmpopts.EquateComparable(digest.Digest{})}

func TestPutImage(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, registry.Options{Now: func() time.Time { return at }})
	n := create(t, s, "team/app")
	m := v1.Manifest{
		Config: addConfig(t, s, n),
		Layers: []v1.Descriptor{addLayer(t, s, n, "one"), addLayer(t, s, n, "layer two")},
	}
	body := imageOf(t, m)
	done, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "1.0")}, Body: body})
	must(t, err)
	want := registry.Image{
		Name: n, Digest: sha256Of(body), MediaType: v1.MediaTypeImageManifest, ManifestSize: int64(len(body)),
		Size: int64(len("{}onelayer two")), PushedAt: at, ArtifactType: v1.MediaTypeImageConfig, ConfigMediaType: v1.MediaTypeImageConfig,
		Status: registry.Active, TaggedAt: at,
	}
	if diff := cmp.Diff(registry.Pushed{Image: want, Tags: []registry.Tag{tag(t, "1.0")}, Body: body}, done, asTheyAre); diff != "" {
		t.Errorf("pushed (-want +got):\n%s", diff)
	}
	for _, ref := range []registry.Ref{tagged(t, "1.0"), {Digest: want.Digest}, {Tag: tag(t, "1.0"), Digest: want.Digest}} {
		img, got, err := s.Manifest(alice(t), n, ref)
		must(t, err)
		if diff := cmp.Diff(want, img, asTheyAre); diff != "" || !bytes.Equal(got, body) {
			t.Errorf("image %v came back with %d bytes (-want +got):\n%s", ref, len(got), diff)
		}
	}
	want.Tags = []registry.Tag{tag(t, "1.0")}
	img, err := s.DescribeImage(alice(t), n, tagged(t, "1.0"))
	must(t, err)
	if diff := cmp.Diff(want, img, asTheyAre); diff != "" {
		t.Errorf("described (-want +got):\n%s", diff)
	}
}

func TestFindImage(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	one, two := addImage(t, s, n, "1", "one"), addImage(t, s, n, "2", "two")
	tests := []struct {
		what string
		ref  registry.Ref
		want digest.Digest
		code registry.Code
	}{
		{"tag", tagged(t, "1"), one.Digest, ""},
		{"digest", registry.Ref{Digest: two.Digest}, two.Digest, ""},
		{"both", registry.Ref{Tag: tag(t, "2"), Digest: two.Digest}, two.Digest, ""},
		{"both, of two images", registry.Ref{Tag: tag(t, "1"), Digest: two.Digest}, digest.Digest{}, registry.TagMismatch},
		{"no such tag", tagged(t, "3"), digest.Digest{}, registry.ImageNotFound},
		{"no such tag, digest of an image", registry.Ref{Tag: tag(t, "3"), Digest: two.Digest}, digest.Digest{}, registry.ImageNotFound},
		{"no such digest", registry.Ref{Digest: sha256Of(nil)}, digest.Digest{}, registry.ImageNotFound},
		{"nothing", registry.Ref{}, digest.Digest{}, registry.ImageNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			img, err := s.Image(alice(t), n, tt.ref)
			if img.Digest != tt.want || registry.CodeOf(err) != tt.code {
				t.Errorf("found %s, %v; want %s, code %q", img.Digest, err, tt.want, tt.code)
			}
		})
	}
}

func TestMediaTypes(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	config, layer := addConfig(t, s, n), addLayer(t, s, n, "one")
	child := addImage(t, s, n, "", "two")
	oci := imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{layer}})
	docker := func(mediaType string) []byte {
		config, layer := config, layer
		config.MediaType, layer.MediaType = dockerConfig, dockerLayer
		return imageOf(t, v1.Manifest{MediaType: mediaType, Config: config, Layers: []v1.Descriptor{layer}})
	}
	list := bytes.Replace(indexOf(t, child), []byte(v1.MediaTypeImageIndex), []byte(manifest.MediaTypeDockerList), 1)
	bare := marshal(t, map[string]any{"schemaVersion": 2, "config": config, "layers": []v1.Descriptor{layer}})
	artifact := imageOf(t, v1.Manifest{ArtifactType: "application/x.sbom", Config: config, Layers: []v1.Descriptor{layer}})
	tests := []struct {
		what      string
		mediaType string
		body      []byte
		want      registry.Image // MediaType, ArtifactType, ConfigMediaType
		code      registry.Code
	}{
		{"OCI image", "", oci, registry.Image{MediaType: v1.MediaTypeImageManifest, ArtifactType: v1.MediaTypeImageConfig, ConfigMediaType: v1.MediaTypeImageConfig}, ""},
		{"OCI image with its type", v1.MediaTypeImageManifest, append(oci, '\n'), registry.Image{MediaType: v1.MediaTypeImageManifest, ArtifactType: v1.MediaTypeImageConfig, ConfigMediaType: v1.MediaTypeImageConfig}, ""},
		{"OCI image that only the caller names", v1.MediaTypeImageManifest, bare, registry.Image{MediaType: v1.MediaTypeImageManifest, ArtifactType: v1.MediaTypeImageConfig, ConfigMediaType: v1.MediaTypeImageConfig}, ""},
		{"Docker image", "", docker(manifest.MediaTypeDockerManifest), registry.Image{MediaType: manifest.MediaTypeDockerManifest, ArtifactType: dockerConfig, ConfigMediaType: dockerConfig}, ""},
		{"artifact", "", artifact, registry.Image{MediaType: v1.MediaTypeImageManifest, ArtifactType: "application/x.sbom", ConfigMediaType: v1.MediaTypeImageConfig}, ""},
		{"OCI index", "", indexOf(t, child), registry.Image{MediaType: v1.MediaTypeImageIndex}, ""},
		{"Docker list", "", list, registry.Image{MediaType: manifest.MediaTypeDockerList}, ""},
		{"unknown type", "application/x.thing+json", []byte(`{"things":[1,2]}`), registry.Image{MediaType: "application/x.thing+json"}, ""},

		{"other type than its own", v1.MediaTypeImageIndex, oci, registry.Image{}, registry.ManifestInvalid},
		{"no type at all", "", append(bare, '\n'), registry.Image{}, registry.MediaTypeMissing},
		{"schema 1 as another", manifest.MediaTypeDockerManifest, []byte(`{"schemaVersion":1}`), registry.Image{}, registry.MediaTypeUnsupported},
		{"schema 1 without layers", manifest.MediaTypeDockerSchema1, []byte(`{"schemaVersion":1}`), registry.Image{}, registry.ManifestInvalid},
		{"not JSON", v1.MediaTypeImageManifest, []byte(`{`), registry.Image{}, registry.ManifestNotJSON},
		{"nothing", v1.MediaTypeImageManifest, nil, registry.Image{}, registry.ManifestNotJSON},
		{"no object", v1.MediaTypeImageManifest, []byte(`[]`), registry.Image{}, registry.ManifestInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			done, err := s.PutImage(alice(t), n, registry.Push{MediaType: tt.mediaType, Body: tt.body})
			if registry.CodeOf(err) != tt.code || err != nil && tt.code == "" {
				t.Fatalf("got %v, want code %q", err, tt.code)
			}
			got := registry.Image{MediaType: done.Image.MediaType, ArtifactType: done.Image.ArtifactType, ConfigMediaType: done.Image.ConfigMediaType}
			if diff := cmp.Diff(tt.want, got, asTheyAre); diff != "" {
				t.Errorf("image (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatAManifestNamesMustBeThere(t *testing.T) {
	s := open(t, registry.Options{})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	config, layer := addConfig(t, s, n), addLayer(t, s, n, "one")
	elsewhere := addLayer(t, s, other, "only in the other repository")
	child, stranger := addImage(t, s, n, "", "child"), addImage(t, s, other, "", "stranger")
	absent := descriptor(v1.MediaTypeImageLayer, []byte("absent"))
	long := layer
	long.Size++
	longChild := child
	longChild.ManifestSize++
	image := func(layers ...v1.Descriptor) []byte { return imageOf(t, v1.Manifest{Config: config, Layers: layers}) }
	tests := []struct {
		what    string
		body    []byte
		code    registry.Code
		missing []string
	}{
		{"layer absent", image(layer, absent), registry.LayersMissing, []string{string(absent.Digest)}},
		{"config absent", imageOf(t, v1.Manifest{Config: absent}), registry.LayersMissing, []string{string(absent.Digest)}},
		{"both absent", image(absent, elsewhere), registry.LayersMissing, []string{string(absent.Digest), string(elsewhere.Digest)}},
		{"layer of another repository", image(elsewhere), registry.LayersMissing, []string{string(elsewhere.Digest)}},
		{"layer longer than it is", image(long), registry.ManifestInvalid, nil},
		{"child absent", indexOf(t, child, registry.Image{MediaType: v1.MediaTypeImageManifest, Digest: sha256Of(nil)}), registry.ChildrenMissing, []string{sha256Of(nil).String()}},
		{"child of another repository", indexOf(t, stranger), registry.ChildrenMissing, []string{stranger.Digest.String()}},
		{"child longer than it is", indexOf(t, longChild), registry.ManifestInvalid, nil},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			_, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "new")}, Body: tt.body})
			e := wantCode(t, "push", err, tt.code)
			var named []string
			for _, d := range e.Digests {
				named = append(named, d.String())
			}
			if diff := cmp.Diff(tt.missing, named); diff != "" || e.Name != n {
				t.Errorf("the refusal for %q names (-want +got):\n%s", e.Name, diff)
			}
			_, err = s.Image(alice(t), n, tagged(t, "new"))
			wantCode(t, "find what was refused", err, registry.ImageNotFound)
		})
	}
}

func TestForeignLayers(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	for _, mediaType := range []string{dockerForeign, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"} {
		foreign := descriptor(mediaType, []byte("kept elsewhere"))
		foreign.URLs = []string{"http://169.254.169.254/latest"}
		m := v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{foreign}}
		if img := put(t, s, n, "", imageOf(t, m)); img.Size != int64(len("{}")) {
			t.Errorf("%s: size %d, want that of the config alone", mediaType, img.Size)
		}
		m.Layers[0].URLs = nil // then it has to be here
		_, err := s.PutImage(alice(t), n, registry.Push{Body: imageOf(t, m)})
		wantCode(t, "push without urls", err, registry.LayersMissing)
	}
}

func TestUnknownTypesKeepWhatTheyName(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	layer, child := addLayer(t, s, n, "one"), addImage(t, s, n, "", "child")
	absent := descriptor(v1.MediaTypeImageLayer, []byte("absent"))
	of := func(member string, list ...v1.Descriptor) []byte {
		return marshal(t, map[string]any{"mediaType": "application/x.thing", member: list})
	}
	img := put(t, s, n, "thing", of("layers", layer, absent))
	if img.Size != layer.Size {
		t.Errorf("size %d, want that of the layer that is there, %d", img.Size, layer.Size)
	}
	err := s.DeleteLayer(alice(t), n, sha256Of([]byte("one")))
	wantCode(t, "delete the layer that is there", err, registry.LayerReferenced)

	put(t, s, n, "things", of("manifests", absent, v1.Descriptor{MediaType: child.MediaType, Digest: child.Digest.OCI(), Size: child.ManifestSize}))
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: child.Digest}, nil)
	wantCode(t, "delete the image that is there", err, registry.ImageReferenced)

	for _, name := range []string{"thing", "things"} {
		_, err := s.DeleteImage(alice(t), n, tagged(t, name), nil)
		must(t, err)
	}
	must(t, s.DeleteLayer(alice(t), n, sha256Of([]byte("one"))))
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: child.Digest}, nil)
	must(t, err)
}

func TestBothAlgorithms(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	body := indexOf(t)
	long := digest.FromBytes(digest.SHA512, body)
	for _, want := range []digest.Digest{{}, sha256Of(body), long} {
		done, err := s.PutImage(alice(t), n, registry.Push{Want: want, Body: body})
		must(t, err)
		if d := done.Image.Digest; d != want && !(want.IsZero() && d == sha256Of(body)) {
			t.Errorf("pushed as %s, want %s", d, want)
		}
	}
	page, _, err := s.Images(alice(t), n, registry.ImageFilter{}, "", 10)
	if err != nil || len(page) != 2 {
		t.Errorf("%d images, %v; want one for each algorithm", len(page), err)
	}
	for _, bad := range []digest.Digest{sha256Of(nil), digest.FromBytes(digest.SHA512, nil)} {
		_, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "1")}, Want: bad, Body: body})
		if e := wantCode(t, "push as "+bad.String(), err, registry.ImageDigestMismatch); e.Ref.Digest != bad {
			t.Errorf("the refusal names %s", e.Ref.Digest)
		}
	}
	if got := tagNames(t, s, n); len(got) > 0 {
		t.Errorf("refused pushes left the tags %v", got)
	}
}

func TestPushAgain(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	body := indexOf(t)
	for _, step := range []struct {
		tag     string
		existed bool
		tags    int
	}{
		{"", false, 0},
		{"", true, 0},
		{"1", false, 1},
		{"1", true, 1},
		{"", true, 1},
		{"2", false, 2},
		{"1", true, 2},
	} {
		done, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, step.tag)}, Body: body})
		must(t, err)
		img, err := s.DescribeImage(alice(t), n, registry.Ref{Digest: done.Image.Digest})
		must(t, err)
		if done.Existed != step.existed || len(img.Tags) != step.tags {
			t.Errorf("push with tag %q: existed %v, then %d tags; want %v, %d", step.tag, done.Existed, len(img.Tags), step.existed, step.tags)
		}
	}
}

// TestKnownManifestsAreHeldAgainstAll: that a manifest was read before spares reading
// it, and nothing else.
func TestKnownManifestsAreHeldAgainstAll(t *testing.T) {
	s := open(t, registry.Options{})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	body := imageOf(t, v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, "one")}})
	push := registry.Push{MediaType: v1.MediaTypeImageManifest, Body: body}
	first, err := s.PutImage(alice(t), n, push)
	must(t, err)
	_, err = s.PutImage(alice(t), other, push)
	wantCode(t, "where its layers are not", err, registry.LayersMissing)
	push.MediaType = v1.MediaTypeImageIndex
	_, err = s.PutImage(alice(t), n, push)
	wantCode(t, "as an index", err, registry.ManifestInvalid)
	push.MediaType, push.Want = v1.MediaTypeImageManifest, sha256Of([]byte("another"))
	_, err = s.PutImage(alice(t), n, push)
	wantCode(t, "as another", err, registry.ImageDigestMismatch)
	push.Want = first.Image.Digest
	again, err := s.PutImage(alice(t), n, push)
	must(t, err)
	if diff := cmp.Diff(first.Image, again.Image, asTheyAre); diff != "" || !again.Existed {
		t.Errorf("again (-first +again):\n%s", diff)
	}
	addConfig(t, s, other)
	addLayer(t, s, other, "one")
	there, err := s.PutImage(alice(t), other, push)
	must(t, err)
	if there.Image.Digest != first.Image.Digest || there.Image.Size != first.Image.Size {
		t.Errorf("in another repository: %+v", there.Image)
	}
	many := bytes.TrimSuffix(body, []byte("}"))
	for i := range 600 { // more than is remembered
		put(t, s, n, "", fmt.Appendf(nil, `%s,"annotations":{"n":"%d"}}`, many, i))
	}
	again, err = s.PutImage(alice(t), n, push)
	must(t, err)
	if !again.Existed {
		t.Errorf("after many others: %+v", again.Image)
	}
}

func TestOtherBytesAreAnotherImage(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	one := indexOf(t)
	two := append(bytes.Clone(one), '\n')
	for _, body := range [][]byte{one, two} {
		img := put(t, s, n, "", body)
		if _, got, err := s.Manifest(alice(t), n, registry.Ref{Digest: img.Digest}); err != nil || !bytes.Equal(got, body) {
			t.Errorf("pushed %q, read %q, %v", body, got, err)
		}
	}
	if page, _, err := s.Images(alice(t), n, registry.ImageFilter{}, "", 10); err != nil || len(page) != 2 {
		t.Errorf("%d images, %v; want 2", len(page), err)
	}
}

func TestMoveTag(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	one, two := addImage(t, s, n, "latest", "one"), addImage(t, s, n, "latest", "two")
	if got := tagNames(t, s, n); len(got) != 1 || got["latest"] != two.Digest {
		t.Errorf("tags %v, want latest on %s", got, two.Digest)
	}
	for d, want := range map[digest.Digest]int{one.Digest: 0, two.Digest: 1} {
		img, err := s.DescribeImage(alice(t), n, registry.Ref{Digest: d})
		if err != nil || len(img.Tags) != want {
			t.Errorf("image %s has the tags %v, %v; want %d", d, img.Tags, err, want)
		}
	}
	untagged, _, err := s.Images(alice(t), n, registry.ImageFilter{Tags: registry.UntaggedOnly}, "", 10)
	if err != nil || len(untagged) != 1 || untagged[0].Digest != one.Digest {
		t.Errorf("untagged are %v, %v; want %s", untagged, err, one.Digest)
	}
}

func TestImmutableTags(t *testing.T) {
	tests := []struct {
		rule  registry.TagRule
		tag   string
		moves bool
	}{
		{registry.TagRule{Mutability: registry.Mutable}, "1.0", true},
		{registry.TagRule{Mutability: registry.Immutable}, "1.0", false},
		{registry.TagRule{Mutability: registry.ImmutableWithExclusion, Exclusions: []string{"dev*"}}, "1.0", false},
		{registry.TagRule{Mutability: registry.ImmutableWithExclusion, Exclusions: []string{"dev*"}}, "dev1", true},
		{registry.TagRule{Mutability: registry.MutableWithExclusion, Exclusions: []string{"v*"}}, "v1", false},
		{registry.TagRule{Mutability: registry.MutableWithExclusion, Exclusions: []string{"v*"}}, "V1", true},
	}
	for _, tt := range tests {
		t.Run(string(tt.rule.Mutability)+" "+tt.tag, func(t *testing.T) {
			s := open(t, registry.Options{})
			n := createWith(t, s, "team/app", registry.Settings{TagRule: tt.rule})
			one := put(t, s, n, tt.tag, indexOf(t))
			again, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, tt.tag)}, Body: indexOf(t)})
			if err != nil || !again.Existed {
				t.Errorf("the same image again: %+v, %v; want that it existed", again, err)
			}
			_, err = s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, tt.tag)}, Body: append(indexOf(t), '\n')})
			if tt.moves {
				must(t, err)
				return
			}
			if e := wantCode(t, "another image", err, registry.TagImmutable); e.Ref.Tag.String() != tt.tag {
				t.Errorf("the refusal names the tag %q", e.Ref.Tag)
			}
			if got := tagNames(t, s, n); got[tt.tag] != one.Digest {
				t.Errorf("tags are %v", got)
			}
			if page, _, err := s.Images(alice(t), n, registry.ImageFilter{}, "", 10); err != nil || len(page) != 1 {
				t.Errorf("the refused push left %d images, %v", len(page), err)
			}
		})
	}
}

func TestATagStaysWhenTheRuleComesLater(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addImage(t, s, n, "1.0", "one")
	two := addImage(t, s, n, "1.0", "two")
	_, err := s.SetTagRule(alice(t), n, registry.TagRule{Mutability: registry.Immutable})
	must(t, err)
	_, err = s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "1.0")}, Body: indexOf(t)})
	wantCode(t, "move", err, registry.TagImmutable)
	put(t, s, n, "1.1", indexOf(t)) // a new tag is no move
	if got := tagNames(t, s, n); got["1.0"] != two.Digest || len(got) != 2 {
		t.Errorf("tags are %v", got)
	}
}

func TestImageLimits(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{Tags: 2, Images: 2, Manifest: 200}})
	n := create(t, s, "team/app")
	body := indexOf(t)
	push := func(tagName string, body []byte) error {
		_, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, tagName)}, Body: body})
		return err
	}
	must(t, push("a", body))
	must(t, push("b", body))
	e := wantCode(t, "third tag", push("c", body), registry.TooManyTags)
	if e.Limit != 2 || e.Ref.Tag.String() != "c" {
		t.Errorf("the refusal speaks of %d and %q", e.Limit, e.Ref.Tag)
	}
	must(t, push("a", body)) // has it already
	must(t, push("a", append(bytes.Clone(body), '\n')))
	must(t, push("c", body)) // there is room again
	if e := wantCode(t, "third image", push("d", append(bytes.Clone(body), '\t')), registry.TooManyImages); e.Limit != 2 {
		t.Errorf("the refusal speaks of %d", e.Limit)
	}
	must(t, push("", body))
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: sha256Of(body)}, nil)
	must(t, err)
	longest := append(bytes.Clone(body), strings.Repeat(" ", 200-len(body))...)
	must(t, push("d", longest))
	if e := wantCode(t, "one byte more", push("e", append(longest, ' ')), registry.ManifestTooLarge); e.Limit != 200 || e.Name != n {
		t.Errorf("the refusal speaks of %d bytes in %q", e.Limit, e.Name)
	}
}

func TestLargeManifests(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	config := addConfig(t, s, n)
	for _, size := range []int{512<<10 - 1, 512 << 10, 512<<10 + 1, 4 << 20} { // about whole rows
		m := v1.Manifest{Config: config, Layers: []v1.Descriptor{}, Annotations: map[string]string{"\u00e9\"\\": ""}}
		m.Annotations["a"] = strings.Repeat("x", size-len(imageOf(t, m))-len(`,"a":""`))
		body := imageOf(t, m)
		if len(body) != size {
			t.Fatalf("made %d bytes, want %d", len(body), size)
		}
		img := put(t, s, n, "large", body)
		_, got, err := s.Manifest(alice(t), n, tagged(t, "large"))
		if err != nil || !bytes.Equal(got, body) || img.ManifestSize != int64(size) {
			t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
		}
		_, err = s.DeleteImage(alice(t), n, tagged(t, "large"), nil)
		must(t, err)
	}
}

func TestSizeOfAnIndex(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	small, large := addImage(t, s, n, "", "small"), addImage(t, s, n, "", "much larger")
	index := put(t, s, n, "all", indexOf(t, small, large))
	if index.Size != large.Size || index.ConfigMediaType != "" || index.ArtifactType != "" {
		t.Errorf("index %+v, want the size of its largest child, %d", index, large.Size)
	}
	if outer := put(t, s, n, "outer", indexOf(t, index, small)); outer.Size != large.Size {
		t.Errorf("an index of indexes has the size %d, want %d", outer.Size, large.Size)
	}
}

func TestDeepIndexes(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	left, right := addImage(t, s, n, "", "left"), addImage(t, s, n, "", "right")
	for range 50 { // each level names both of the one below
		body := indexOf(t, left, right)
		left, right = put(t, s, n, "", body), put(t, s, n, "", append(bytes.Clone(body), '\n'))
	}
	put(t, s, n, "top", indexOf(t, left, right))
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: left.Digest}, nil)
	wantCode(t, "delete a child", err, registry.ImageReferenced)
}
