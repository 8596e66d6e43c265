package manifest

import (
	"errors"
	"fmt"

	"github.com/distribution/distribution/v3/manifest/manifestlist"
	"github.com/distribution/distribution/v3/manifest/schema2"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry/digest"
)

// kind is how documents of a known media type are read.
type kind struct {
	decode func(body []byte) (contents, error)
	needs  string   // a member that must be there; "" for none
	bars   []string // members that make another kind of it
}

var kinds = map[string]kind{
	MediaTypeDockerManifest: {dockerManifest, "config", notInImages},
	MediaTypeOCIManifest:    {ociManifest, "config", notInImages},
	MediaTypeDockerList:     {dockerList, "manifests", notInIndexes},
	MediaTypeOCIIndex:       {ociIndex, "manifests", notInIndexes},
	MediaTypeOCIArtifact:    {artifact, "", notInArtifacts},
	MediaTypeORASArtifact:   {artifact, "", notInArtifacts},

	MediaTypeDockerSchema1:       {schema1, "fsLayers", notInSchema1},
	MediaTypeDockerSchema1Signed: {schema1, "fsLayers", notInSchema1},
}

var (
	notInImages    = []string{"manifests", "blobs", "fsLayers"}
	notInIndexes   = []string{"config", "layers", "blobs", "fsLayers"}
	notInArtifacts = []string{"config", "layers", "manifests", "fsLayers"}
	notInSchema1   = []string{"config", "layers", "manifests", "blobs"}
)

// check holds the members of a document against its kind. A member counts
// whatever its value, null too.
func (k kind) check(mediaType string, has members) error {
	for _, name := range k.bars {
		if has[name] {
			return fmt.Errorf("%w: %s: not a member of %s", ErrInvalid, name, mediaType)
		}
	}
	if k.needs != "" && !has[k.needs] {
		return fmt.Errorf("%w: %s: missing", ErrInvalid, k.needs)
	}
	return nil
}

// imageOrIndex refuses a document that one client may run as an image and
// another one read as an index (CVE-2021-41190), whatever it calls itself.
func (m members) imageOrIndex() error {
	for _, name := range []string{"config", "layers"} {
		if m[name] && m["manifests"] {
			return fmt.Errorf("%w: both %s and manifests", ErrInvalid, name)
		}
	}
	return nil
}

// contents are the members of a document of any known kind.
type contents struct {
	version      int
	artifactType string
	config       *v1.Descriptor
	layers       []v1.Descriptor
	layersName   string // "layers", "blobs" or "fsLayers"
	unsized      bool   // nothing is said of the sizes of layers
	manifests    []v1.Descriptor
	subject      *v1.Descriptor
	annotations  map[string]string
	tag          string
}

// dockerManifest reads schema 2, which has no subject and no annotations: the
// OCI specification gives them a meaning in its own types alone.
func dockerManifest(body []byte) (contents, error) {
	var m schema2.Manifest
	err := unmarshal(body, &m)
	return contents{version: m.SchemaVersion, config: &m.Config, layers: m.Layers, layersName: "layers"}, err
}

func dockerList(body []byte) (contents, error) {
	var list manifestlist.ManifestList
	if err := unmarshal(body, &list); err != nil {
		return contents{}, err
	}
	c := contents{version: list.SchemaVersion}
	for _, m := range list.Manifests {
		c.manifests = append(c.manifests, m.Descriptor)
	}
	return c, nil
}

func ociManifest(body []byte) (contents, error) {
	var m v1.Manifest
	err := unmarshal(body, &m)
	return contents{
		version: m.SchemaVersion, artifactType: m.ArtifactType,
		config: &m.Config, layers: m.Layers, layersName: "layers",
		subject: m.Subject, annotations: m.Annotations,
	}, err
}

func ociIndex(body []byte) (contents, error) {
	var x v1.Index
	err := unmarshal(body, &x)
	return contents{
		version: x.SchemaVersion, artifactType: x.ArtifactType,
		manifests: x.Manifests, subject: x.Subject, annotations: x.Annotations,
	}, err
}

// artifact reads both artifact manifests. Neither has a schemaVersion.
func artifact(body []byte) (contents, error) {
	var a struct {
		ArtifactType string            `json:"artifactType"`
		Blobs        []v1.Descriptor   `json:"blobs"`
		Subject      *v1.Descriptor    `json:"subject"`
		Annotations  map[string]string `json:"annotations"`
	}
	err := unmarshal(body, &a)
	return contents{
		version: schemaVersion, artifactType: a.ArtifactType,
		layers: a.Blobs, layersName: "blobs", subject: a.Subject, annotations: a.Annotations,
	}, err
}

// schemaVersion is what the image specification asks of manifests and indexes.
const schemaVersion = 2

// versionOf is the schemaVersion of documents of a known media type.
func versionOf(mediaType string) int {
	if IsSchema1(mediaType) {
		return 1
	}
	return schemaVersion
}

// taker checks a descriptor and takes it over. Its error begins with the member
// at fault.
type taker func(v1.Descriptor) (Descriptor, error)

// manifest takes the contents over.
func (c contents) manifest(mediaType string, take taker) (m Manifest, err error) {
	m = Manifest{MediaType: mediaType, ArtifactType: c.artifactType, Annotations: c.annotations, Tag: c.tag}
	if m.Config, err = take.one("config", c.config); err != nil {
		return Manifest{}, err
	}
	if m.Subject, err = take.one("subject", c.subject); err != nil {
		return Manifest{}, err
	}
	if m.Layers, err = take.all(c.layersName, c.layers); err != nil {
		return Manifest{}, err
	}
	for i := range m.Layers {
		m.Layers[i].Unsized = c.unsized
	}
	if m.Manifests, err = take.all("manifests", c.manifests); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// one takes the descriptor at a member, if there is one.
func (take taker) one(member string, d *v1.Descriptor) (*Descriptor, error) {
	if d == nil {
		return nil, nil
	}
	ref, err := take(*d)
	if err != nil {
		return nil, fmt.Errorf("%w: %s.%w", ErrInvalid, member, err)
	}
	return &ref, nil
}

func (take taker) all(member string, list []v1.Descriptor) ([]Descriptor, error) {
	var refs []Descriptor
	for i, d := range list {
		ref, err := take(d)
		if err != nil {
			return nil, fmt.Errorf("%w: %s[%d].%w", ErrInvalid, member, i, err)
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// verified is check for a descriptor whose data, if it has some, must be the
// content itself (image-spec descriptor.md, "data"): who reads the one must not
// see something else than who fetches the other.
func verified(d v1.Descriptor) (Descriptor, error) {
	ref, err := check(d)
	switch {
	case err != nil || d.Data == nil:
		return ref, err
	case int64(len(d.Data)) != d.Size:
		return Descriptor{}, fmt.Errorf("data: %d bytes, size says %d", len(d.Data), d.Size)
	case !ref.Digest.Matches(d.Data):
		return Descriptor{}, fmt.Errorf("data: not of the digest %s", ref.Digest)
	}
	return ref, nil
}

// check is the least that is asked of a descriptor.
func check(d v1.Descriptor) (Descriptor, error) {
	if d.MediaType == "" {
		return Descriptor{}, errors.New("mediaType: missing")
	}
	ref, err := digest.Of(d.Digest)
	if err != nil {
		return Descriptor{}, fmt.Errorf("digest: %w", err)
	}
	if d.Size < 0 {
		return Descriptor{}, fmt.Errorf("size: %d is negative", d.Size)
	}
	return Descriptor{
		MediaType: d.MediaType, Digest: ref, Size: d.Size,
		Foreign:      len(d.URLs) > 0 && isForeign(d.MediaType),
		ArtifactType: d.ArtifactType, Annotations: d.Annotations,
	}, nil
}
