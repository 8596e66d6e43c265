// Package manifest reads Docker and OCI manifests and indexes: the media type,
// what they refer to and their subject. It is pure, and leaves the bytes as
// they are.
//
// A manifest is stored as it came and then read by many clients, so what two
// of them could read differently is refused: names that stand twice in an
// object or differ from a known name by case alone, bytes that are not UTF-8,
// numbers that no float64 holds, a document that is an image and an index at
// once (CVE-2021-41190), a descriptor whose embedded data is not the content
// that it refers to, signatures of another document than theirs.
//
// A document of a media type that is not known here is taken as it is. What it
// refers to is still noted, where it has the members of a manifest and they
// hold descriptors, so that the content stays for as long as the document; but
// all of it is [Descriptor.Optional], since nobody here knows what the type
// promises.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/seed-78150930/berth/registry/digest"
)

// Errors to test for with errors.Is; what Parse returns wraps one of them and
// says what is wrong with the document, and where.
var (
	ErrNotJSON     = errors.New("not a JSON document") // bad syntax, bad UTF-8, too deep
	ErrInvalid     = errors.New("invalid manifest")
	ErrNoMediaType = errors.New("no media type given") // neither by the document nor beside it
	ErrUnsupported = errors.New("unsupported media type")
)

// Manifest is what the registry needs to know of a document.
type Manifest struct {
	// MediaType is the document's own, else the one it was sent with. It has no
	// parameters.
	MediaType string
	// ArtifactType is the artifactType member; "" if there is none.
	ArtifactType string
	Config       *Descriptor  // nil in an index
	Layers       []Descriptor // layers, blobs of an artifact manifest, or fsLayers
	Manifests    []Descriptor // children of an index
	Subject      *Descriptor  // nil if it is no referrer
	Annotations  map[string]string
	// Tag is what a document of schema 1 calls itself, unchecked; "" in others.
	Tag string
}

// IsIndex says that the document is a list of manifests, by its media type.
func (m Manifest) IsIndex() bool {
	return m.MediaType == MediaTypeOCIIndex || m.MediaType == MediaTypeDockerList
}

// Descriptor refers to content.
type Descriptor struct {
	MediaType string
	Digest    digest.Digest
	Size      int64 // not negative
	// Unsized says that the document does not tell the size, and Size is 0: so
	// are layers of schema 1.
	Unsized bool
	// Foreign says that the content is fetched elsewhere and need not be here:
	// a non-distributable layer with urls.
	Foreign bool
	// Optional says that the content need not be here because the document's
	// media type is unknown. If it is here, the document refers to it.
	Optional bool
	// ArtifactType and Annotations are what the descriptor says of the content:
	// claims, which nobody holds against it.
	ArtifactType string
	Annotations  map[string]string
}

// Parse reads a manifest that was sent with contentType ("" if none). Time and
// memory are linear in the size of body, which the caller limits.
func Parse(contentType string, body []byte) (Manifest, error) {
	if err := checkObject(body); err != nil {
		return Manifest{}, err
	}
	has, h, err := scan(body)
	if err != nil {
		return Manifest{}, err
	}
	mediaType, err := h.mediaType(contentType)
	if err != nil {
		return Manifest{}, err
	}
	return read(mediaType, has, body)
}

// Reread reads a document that Parse took once, with the media type that it was
// kept under. It asks for no more than it needs to tell what the document refers
// to: a rule that is new in Parse must not put what is kept out of reach.
func Reread(mediaType string, body []byte) (Manifest, error) {
	k, known := kinds[mediaType]
	if !known {
		return readUnknown(mediaType, body), nil
	}
	c, err := k.decode(body)
	if err != nil {
		return Manifest{}, err
	}
	return c.manifest(mediaType, check)
}

// header is what says how to read the rest: members as they are written, nil for those
// that are not there.
type header struct {
	schemaVersion, ownType []byte
	signatures             []byte // of schema 1
}

// checkObject passes one JSON object in UTF-8 and nothing behind it.
func checkObject(body []byte) error {
	if !utf8.Valid(body) {
		return fmt.Errorf("%w: not valid UTF-8", ErrNotJSON)
	}
	if !json.Valid(body) {
		var syntax *json.SyntaxError
		err := json.Unmarshal(body, new(json.RawMessage))
		if errors.As(err, &syntax) {
			return fmt.Errorf("%w: byte %d: %w", ErrNotJSON, syntax.Offset, err)
		}
		return fmt.Errorf("%w: %w", ErrNotJSON, err)
	}
	if bytes.TrimLeft(body, " \t\r\n")[0] != '{' {
		return fmt.Errorf("%w: not an object", ErrInvalid)
	}
	return nil
}

// mediaType is that of a document which was sent with contentType.
func (h header) mediaType(contentType string) (string, error) {
	var own string
	if h.ownType != nil && !readPlain(h.ownType, &own) && json.Unmarshal(h.ownType, &own) != nil {
		return "", fmt.Errorf("%w: mediaType: not a string", ErrInvalid)
	}
	if string(h.schemaVersion) == "1" || IsSchema1(own) {
		return h.schema1Type(contentType, own)
	}
	t, err := agreeOn(contentType, own)
	if err == nil && IsSchema1(t) {
		return h.schema1Type(contentType, own)
	}
	return t, err
}

// readPlain reads a string without escapes, and says whether it is one.
func readPlain(quoted []byte, into *string) bool {
	if quoted[0] != '"' || bytes.IndexByte(quoted, '\\') >= 0 {
		return false
	}
	*into = string(quoted[1 : len(quoted)-1])
	return true
}

// read reads a document whose media type is settled.
func read(mediaType string, has members, body []byte) (Manifest, error) {
	if err := has.imageOrIndex(); err != nil {
		return Manifest{}, err
	}
	k, known := kinds[mediaType]
	if !known {
		return readUnknown(mediaType, body), nil
	}
	if err := k.check(mediaType, has); err != nil {
		return Manifest{}, err
	}
	c, err := k.decode(body)
	if err != nil {
		return Manifest{}, err
	}
	if want := versionOf(mediaType); c.version != want {
		return Manifest{}, fmt.Errorf("%w: schemaVersion: %d, want %d", ErrInvalid, c.version, want)
	}
	if IsSchema1(mediaType) {
		if err := checkSchema1(mediaType, body); err != nil {
			return Manifest{}, err
		}
	}
	return c.manifest(mediaType, verified)
}

// unmarshal decodes a document that scan has passed, so that what goes wrong
// is the type of a member.
func unmarshal(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		// Versioned is an embedded struct in the libraries' types, not a member.
		member := strings.TrimPrefix(wrong.Field, "Versioned.")
		return fmt.Errorf("%w: %s: unexpected %.100s", ErrInvalid, member, wrong.Value)
	default:
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
}
