package manifest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

const (
	ociManifest    = manifest.MediaTypeOCIManifest
	ociIndex       = manifest.MediaTypeOCIIndex
	dockerManifest = manifest.MediaTypeDockerManifest
	dockerList     = manifest.MediaTypeDockerList
	ociArtifact    = manifest.MediaTypeOCIArtifact
	orasArtifact   = manifest.MediaTypeORASArtifact
	unknown        = "application/vnd.example.thing+json"

	layerType   = "application/vnd.oci.image.layer.v1.tar+gzip"
	configType  = "application/vnd.oci.image.config.v1+json"
	foreignType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// blob is content by a name, as a descriptor refers to it.
func blob(mediaType, name string) manifest.Descriptor {
	return manifest.Descriptor{
		MediaType: mediaType, Digest: digest.FromBytes(digest.SHA256, []byte(name)), Size: int64(len(name)),
	}
}

// desc is the JSON of blob, with more members behind its own.
func desc(mediaType, name string, more ...string) string {
	d := blob(mediaType, name)
	own := fmt.Sprintf(`"mediaType":%q,"digest":%q,"size":%d`, d.MediaType, d.Digest, d.Size)
	return "{" + strings.Join(append([]string{own}, more...), ",") + "}"
}

// change is d changed by f.
func change(d manifest.Descriptor, f func(*manifest.Descriptor)) manifest.Descriptor {
	f(&d)
	return d
}

func optional(d *manifest.Descriptor) { d.Optional = true }
func foreign(d *manifest.Descriptor)  { d.Foreign = true }

func TestParse(t *testing.T) {
	config, layer, child := blob(configType, "config"), blob(layerType, "layer"), blob(ociManifest, "child")
	sha512 := manifest.Descriptor{MediaType: layerType, Digest: digest.FromBytes(digest.SHA512, []byte("long")), Size: 4}
	tests := []struct {
		name, contentType, body string
		want                    manifest.Manifest
	}{
		{
			"Docker manifest", dockerManifest,
			`{"schemaVersion":2,"mediaType":"` + dockerManifest + `","config":` + desc(configType, "config") + `,"layers":[` + desc(layerType, "layer") + `]}`,
			manifest.Manifest{MediaType: dockerManifest, Config: &config, Layers: []manifest.Descriptor{layer}},
		},
		{
			"Docker list", "",
			`{"schemaVersion":2,"mediaType":"` + dockerList + `","manifests":[` + desc(ociManifest, "child", `"platform":{"architecture":"amd64","os":"linux","features":["sse4"]}`) + `]}`,
			manifest.Manifest{MediaType: dockerList, Manifests: []manifest.Descriptor{child}},
		},
		{
			"OCI manifest", ociManifest,
			`{"schemaVersion":2,"artifactType":"a/b","config":` + desc(configType, "config") + `,"layers":[` + desc(layerType, "layer") + `,` + desc(layerType, "layer") + `],
			  "subject":` + desc(ociManifest, "child") + `,"annotations":{"Layers":"x","":"y"}}`,
			manifest.Manifest{
				MediaType: ociManifest, ArtifactType: "a/b", Config: &config, Layers: []manifest.Descriptor{layer, layer},
				Subject: &child, Annotations: map[string]string{"Layers": "x", "": "y"},
			},
		},
		{
			"OCI index", ociIndex,
			`{"schemaVersion":2,"mediaType":"` + ociIndex + `","artifactType":"a/b","manifests":[` + desc(ociManifest, "child") + `],"subject":` + desc(ociIndex, "other") + `,"annotations":{"a":"b"}}`,
			manifest.Manifest{
				MediaType: ociIndex, ArtifactType: "a/b", Manifests: []manifest.Descriptor{child},
				Subject: new(blob(ociIndex, "other")), Annotations: map[string]string{"a": "b"},
			},
		},
		{
			"OCI artifact manifest", ociArtifact,
			`{"mediaType":"` + ociArtifact + `","artifactType":"a/b","blobs":[` + desc(layerType, "layer") + `],"subject":` + desc(ociManifest, "child") + `,"annotations":{"a":"b"}}`,
			manifest.Manifest{
				MediaType: ociArtifact, ArtifactType: "a/b", Layers: []manifest.Descriptor{layer},
				Subject: &child, Annotations: map[string]string{"a": "b"},
			},
		},
		{
			"ORAS artifact manifest", orasArtifact,
			`{"mediaType":"` + orasArtifact + `","artifactType":"a/b","blobs":[` + desc(layerType, "layer") + `]}`,
			manifest.Manifest{MediaType: orasArtifact, ArtifactType: "a/b", Layers: []manifest.Descriptor{layer}},
		},
		{
			"no layers", ociManifest, `{"schemaVersion":2,"config":` + desc(configType, "config") + `,"layers":[]}`,
			manifest.Manifest{MediaType: ociManifest, Config: &config},
		},
		{
			"null for what may be missing", ociManifest,
			`{"schemaVersion":2,"mediaType":null,"config":` + desc(configType, "config") + `,"layers":null,"subject":null,"annotations":null}`,
			manifest.Manifest{MediaType: ociManifest, Config: &config},
		},
		{
			"no layers member", dockerManifest, `{"schemaVersion":2,"config":` + desc(configType, "config") + `}`,
			manifest.Manifest{MediaType: dockerManifest, Config: &config},
		},
		{
			"what descriptors say of the content", ociIndex,
			`{"schemaVersion":2,"manifests":[` + desc(ociManifest, "child", `"artifactType":"a/b","annotations":{"a":"b"}`) + `]}`,
			manifest.Manifest{MediaType: ociIndex, Manifests: []manifest.Descriptor{change(child, func(d *manifest.Descriptor) {
				d.ArtifactType, d.Annotations = "a/b", map[string]string{"a": "b"}
			})}},
		},
		{
			"empty index", ociIndex, `{"schemaVersion":2,"manifests":[]}`,
			manifest.Manifest{MediaType: ociIndex},
		},
		{
			"any config and layer type, sha512, strange members", ociManifest,
			`{"schemaVersion":2,"config":` + desc("application/vnd.cncf.helm.config.v1+json", "config", `"data":"Y29uZmln"`) + `,
			  "layers":[{"mediaType":"` + layerType + `","digest":"` + sha512.Digest.String() + `","size":4,"x":{"Digest":1}}],"x":[1,{"layers":2,"manifests":3}],"Ünknown":1}`,
			manifest.Manifest{
				MediaType: ociManifest, Config: new(blob("application/vnd.cncf.helm.config.v1+json", "config")), Layers: []manifest.Descriptor{sha512},
			},
		},
		{
			"foreign layers", dockerManifest,
			`{"schemaVersion":2,"config":` + desc(configType, "config") + `,"layers":[` +
				desc(foreignType, "a", `"urls":["http://169.254.169.254/"]`) + `,` + desc(foreignType, "b") + `,` +
				desc(layerType, "c", `"urls":["https://example.com/"]`) + `,` +
				desc("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "d", `"urls":["https://example.com/"]`) + `]}`,
			manifest.Manifest{MediaType: dockerManifest, Config: &config, Layers: []manifest.Descriptor{
				change(blob(foreignType, "a"), foreign), blob(foreignType, "b"), blob(layerType, "c"),
				change(blob("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "d"), foreign),
			}},
		},
		{
			"names with escapes", ociManifest,
			`{"schem\u0061Version":2,"config":` + desc(configType, "config") + `,"l\u0061yers":[` + desc(layerType, "layer") + `]}`,
			manifest.Manifest{MediaType: ociManifest, Config: &config, Layers: []manifest.Descriptor{layer}},
		},
		{
			"Docker manifest with a subject, which has no meaning there", dockerManifest,
			`{"schemaVersion":2,"config":` + desc(configType, "config") + `,"layers":[],"subject":` + desc(ociManifest, "child") + `}`,
			manifest.Manifest{MediaType: dockerManifest, Config: &config},
		},
		{
			"unknown type", unknown, `{"schemaVersion":"1.0","config":7,"layers":{"a":"b"},"manifest":true,"subject":[],"annotations":{"a":1},"artifactType":{}}`,
			manifest.Manifest{MediaType: unknown},
		},
		{
			"unknown type with references", unknown,
			`{"config":` + desc(configType, "config") + `,"layers":[` + desc(layerType, "layer") + `,7,{"digest":"x"}],"blobs":[` + desc(layerType, "blob") + `],
			  "subject":` + desc(ociManifest, "child") + `,"artifactType":"a/b","annotations":{"a":"b"}}`,
			manifest.Manifest{
				MediaType: unknown, ArtifactType: "a/b", Annotations: map[string]string{"a": "b"},
				Config: new(change(config, optional)), Subject: new(change(child, optional)),
				Layers: []manifest.Descriptor{change(layer, optional), change(blob(layerType, "blob"), optional)},
			},
		},
		{
			"unknown type with children", unknown, `{"manifests":[` + desc(ociManifest, "child") + `,null]}`,
			manifest.Manifest{MediaType: unknown, Manifests: []manifest.Descriptor{change(child, optional)}},
		},
		{"unknown type, nothing in it", unknown, ` {} `, manifest.Manifest{MediaType: unknown}},
	}
	for _, tt := range tests {
		got, err := manifest.Parse(tt.contentType, []byte(tt.body))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, sameDigest); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		again, err := manifest.Reread(got.MediaType, []byte(tt.body))
		if diff := cmp.Diff(tt.want, again, sameDigest); err != nil || diff != "" {
			t.Errorf("%s, read again: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

// What Parse refuses by a rule that was not always there can still be read.
func TestRereadAsksForLess(t *testing.T) {
	body := `{"schemaVersion":1,"layers":[],"config":` + desc(configType, "config", `"data":"bm8="`) + `}`
	if _, err := manifest.Parse(ociManifest, []byte(body)); err == nil {
		t.Fatal("Parse takes it")
	}
	got, err := manifest.Reread(ociManifest, []byte(body))
	want := manifest.Manifest{MediaType: ociManifest, Config: new(blob(configType, "config"))}
	if diff := cmp.Diff(want, got, sameDigest, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("Reread: %v (-want +got):\n%s", err, diff)
	}
}

var sameDigest = cmp.Comparer(func(a, b digest.Digest) bool { return a == b })

func TestIsIndex(t *testing.T) {
	for mediaType, want := range map[string]bool{
		ociIndex: true, dockerList: true, ociManifest: false, dockerManifest: false, ociArtifact: false, unknown: false, "": false,
	} {
		if got := (manifest.Manifest{MediaType: mediaType}).IsIndex(); got != want {
			t.Errorf("IsIndex of %q = %v, want %v", mediaType, got, want)
		}
	}
}

func TestMediaType(t *testing.T) {
	const rest = `"schemaVersion":2,"manifests":[]}`
	tests := []struct {
		contentType, own string
		want             string
		err              error
	}{
		{ociIndex, ociIndex, ociIndex, nil},
		{"", ociIndex, ociIndex, nil},
		{ociIndex, "", ociIndex, nil},
		{ociIndex + "; charset=utf-8", ociIndex, ociIndex, nil},
		{" " + ociIndex + " ;a=b;c", ociIndex, ociIndex, nil},
		{strings.ToUpper(ociIndex), ociIndex, ociIndex, nil},
		{strings.ToUpper(ociIndex), "", ociIndex, nil},
		{strings.ToUpper(unknown), unknown, unknown, nil},
		{unknown, "", unknown, nil},
		{"application/json", "", "application/json", nil},
		{"", "", "", manifest.ErrNoMediaType},
		{"; charset=utf-8", "", "", manifest.ErrNoMediaType},
		{dockerList, ociIndex, "", manifest.ErrInvalid},
		{"application/json", ociIndex, "", manifest.ErrInvalid},
		{ociManifest, ociIndex, "", manifest.ErrInvalid},
		{"", strings.ToUpper(ociIndex), "", manifest.ErrInvalid},
		{ociIndex, ociIndex + "; charset=utf-8", "", manifest.ErrInvalid},
		{"", "index", "", manifest.ErrInvalid},
		{"", "a/b\u000d\u000ax: y", "", manifest.ErrInvalid},
		{"a/b\r\nx: y", "", "", manifest.ErrInvalid},
		{"index", "", "", manifest.ErrInvalid},
		{"a/" + strings.Repeat("b", 200), "", "", manifest.ErrInvalid},
		{manifest.MediaTypeDockerSchema1, "", "", manifest.ErrInvalid},
		{manifest.MediaTypeDockerSchema1Signed, "", "", manifest.ErrInvalid},
		{"", manifest.MediaTypeDockerSchema1Signed, "", manifest.ErrInvalid},
		{strings.ToUpper(manifest.MediaTypeDockerSchema1), "", "", manifest.ErrInvalid},
	}
	for _, tt := range tests {
		body := "{" + rest
		if tt.own != "" {
			body = fmt.Sprintf(`{"mediaType":%q,%s`, tt.own, rest)
		}
		m, err := manifest.Parse(tt.contentType, []byte(body))
		if m.MediaType != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("sent as %q, itself %q: %q, %v; want %q, %v", tt.contentType, tt.own, m.MediaType, err, tt.want, tt.err)
		}
	}
}
