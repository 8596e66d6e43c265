package transfer

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/peer"
)

// The files of a layout (OCI image specification v1.1, "Image Layout").
const (
	layoutFile    = "oci-layout"
	indexFile     = "index.json"
	layoutVersion = "1.0.0"
	refName       = "org.opencontainers.image.ref.name"
)

// entry is a manifest that the index of a layout names.
type entry struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	Platform     json.RawMessage   `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// tag is the tag that an entry has, "" for none. Some tools write a whole name of an
// image there.
func (e entry) tag() string {
	name := e.Annotations[refName]
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[i+1:]
	}
	if strings.ContainsAny(name, "/@") {
		return ""
	}
	return name
}

// index is that of a layout, with what is looked for in it.
type index struct {
	entries []entry
	tags    map[string]int // the first entry with it
	double  map[string]bool
	digests map[digest.Digest]int
}

func newIndex(entries []entry) *index {
	x := &index{entries: entries, tags: map[string]int{}, double: map[string]bool{}, digests: map[digest.Digest]int{}}
	for i, e := range entries {
		if _, ok := x.digests[e.Digest]; !ok {
			x.digests[e.Digest] = i
		}
		tag := e.tag()
		if first, ok := x.tags[tag]; ok {
			x.double[tag] = x.double[tag] || entries[first].Digest != e.Digest
			continue
		}
		x.tags[tag] = i
	}
	return x
}

// find is the entry that a reference means. A digest needs none.
func (x *index) find(ref string) (entry, error) {
	if d, err := digest.Parse(ref); err == nil {
		if i, ok := x.digests[d]; ok {
			return x.entries[i], nil
		}
		return entry{Digest: d, Size: -1}, nil
	}
	i, ok := x.tags[ref]
	switch {
	case !ok || ref == "":
		return entry{}, fmt.Errorf("%w: the layout has no tag %.150q", peer.ErrNotFound, ref)
	case x.double[ref]:
		return entry{}, fmt.Errorf("%w: two images of the layout have the tag %s", peer.ErrWrong, ref)
	}
	return x.entries[i], nil
}

// readIndex reads the index of the layout in a folder.
func readIndex(t tree, dir string) ([]entry, error) {
	var said struct{ ImageLayoutVersion string }
	if err := readJSON(t, path.Join(dir, layoutFile), &said); err != nil {
		return nil, err
	}
	if said.ImageLayoutVersion != layoutVersion {
		return nil, fmt.Errorf("%w: a layout of version %.40q, and %s is known", peer.ErrWrong, said.ImageLayoutVersion, layoutVersion)
	}
	var index struct{ Manifests []entry }
	if err := readJSON(t, path.Join(dir, indexFile), &index); err != nil {
		return nil, err
	}
	for _, e := range index.Manifests {
		if e.Digest.IsZero() || e.Size < 0 {
			return nil, fmt.Errorf("%w: %s names a manifest without a digest or a size", peer.ErrWrong, indexFile)
		}
	}
	return index.Manifests, nil
}

// maxIndex bounds the index of a layout: some hundred thousand images.
const maxIndex = 64 << 20

func readJSON(t tree, name string, into any) error {
	body, err := readSmall(t, name, maxIndex)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %s: %w", peer.ErrWrong, name, err)
	}
	return nil
}

// checked is a manifest that is what its digest says, of the type that it is.
func checked(m peer.Manifest) (peer.Manifest, error) {
	if m.MediaType == "" {
		m.MediaType = guess(m.Body)
	}
	signed, err := manifest.Digested(m.MediaType, m.Body)
	if err != nil {
		return m, fmt.Errorf("%w: manifest %s: %w", peer.ErrWrong, m.Digest, err)
	}
	if !m.Digest.Matches(signed) {
		return m, fmt.Errorf("%w: the bytes of manifest %s have another digest", peer.ErrWrong, m.Digest)
	}
	return m, nil
}

// guess is the media type of a manifest that was kept without one: what it calls
// itself, or else what it looks like, as distribution decides it (v3.1.2,
// registry/storage/manifeststore.go).
func guess(body []byte) string {
	var said struct {
		SchemaVersion int
		MediaType     string
		Manifests     json.RawMessage
		Signatures    json.RawMessage
	}
	switch err := json.Unmarshal(body, &said); {
	case err != nil:
		return ""
	case said.MediaType != "":
		return said.MediaType
	case said.SchemaVersion == 1 && said.Signatures != nil:
		return manifest.MediaTypeDockerSchema1Signed
	case said.SchemaVersion == 1:
		return manifest.MediaTypeDockerSchema1
	case said.Manifests != nil:
		return manifest.MediaTypeOCIIndex
	}
	return manifest.MediaTypeOCIManifest
}
