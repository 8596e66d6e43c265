package manifest

import (
	"encoding/json"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// stranger is a document of an unknown type: its members may hold anything.
type stranger struct {
	ArtifactType json.RawMessage `json:"artifactType"`
	Config       json.RawMessage `json:"config"`
	Layers       json.RawMessage `json:"layers"`
	Blobs        json.RawMessage `json:"blobs"`
	Manifests    json.RawMessage `json:"manifests"`
	Subject      json.RawMessage `json:"subject"`
	Annotations  json.RawMessage `json:"annotations"`
}

// readUnknown notes what a document of an unknown type refers to. Members of
// another shape than a manifest's are none of ours.
func readUnknown(mediaType string, body []byte) Manifest {
	m := Manifest{MediaType: mediaType}
	var doc stranger
	if err := unmarshal(body, &doc); err != nil {
		return m
	}
	m.ArtifactType = as[string](doc.ArtifactType)
	m.Annotations = as[map[string]string](doc.Annotations)
	m.Config = optional(doc.Config)
	m.Subject = optional(doc.Subject)
	m.Layers = append(optionals(doc.Layers), optionals(doc.Blobs)...)
	m.Manifests = optionals(doc.Manifests)
	return m
}

// as is the value of a member, or the zero value if it has another type.
func as[T any](raw json.RawMessage) T {
	var v T
	if json.Unmarshal(raw, &v) != nil {
		var zero T
		return zero
	}
	return v
}

// optional is the descriptor that a member holds, or nil.
func optional(raw json.RawMessage) *Descriptor {
	var d v1.Descriptor
	if json.Unmarshal(raw, &d) != nil {
		return nil
	}
	ref, err := check(d)
	if err != nil {
		return nil
	}
	ref.Optional = true
	return &ref
}

// optionals are the descriptors in the array that a member holds.
func optionals(raw json.RawMessage) []Descriptor {
	var refs []Descriptor
	for _, element := range as[[]json.RawMessage](raw) {
		if d := optional(element); d != nil {
			refs = append(refs, *d)
		}
	}
	return refs
}
