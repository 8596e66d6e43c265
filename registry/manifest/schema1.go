package manifest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/distribution/v3/manifest/schema2"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry/digest"
)

// The media types of Docker's image manifest version 2, schema 1, which is
// nearly always signed. What it says is in the document and not in the media
// type: clients look whether there are signatures.
const (
	MediaTypeDockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	MediaTypeDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// IsSchema1 says that a media type is one of schema 1.
func IsSchema1(mediaType string) bool {
	return mediaType == MediaTypeDockerSchema1 || mediaType == MediaTypeDockerSchema1Signed
}

// schema1Type is the media type of a document of schema 1 that was sent with
// contentType and calls itself own. The first clients sent it as plain JSON.
func (h header) schema1Type(contentType, own string) (string, error) {
	given, err := withoutParameters(contentType)
	if err != nil {
		return "", err
	}
	is := MediaTypeDockerSchema1
	if h.signatures != nil {
		is = MediaTypeDockerSchema1Signed
	}
	given = canonical(given)
	switch {
	case string(h.schemaVersion) != "1":
		return "", fmt.Errorf("%w: schemaVersion: want 1", ErrInvalid)
	case given != "" && !IsSchema1(given) && !strings.EqualFold(given, "application/json"):
		return "", fmt.Errorf("%w: %s: Docker image manifest version 2, schema 1", ErrUnsupported, given)
	case own != "" && own != is:
		return "", fmt.Errorf("%w: mediaType: %.100q, want %q", ErrInvalid, own, is)
	case given == MediaTypeDockerSchema1Signed && given != is:
		return "", fmt.Errorf("%w: signatures: missing", ErrInvalid)
	}
	return is, nil
}

// schema1 reads a document of schema 1. Its layers have no sizes, and the empty
// one stands there many times; here each stands once.
func schema1(body []byte) (contents, error) {
	var m struct {
		SchemaVersion int    `json:"schemaVersion"`
		Tag           string `json:"tag"`
		FSLayers      []struct {
			BlobSum digest.Digest `json:"blobSum"`
		} `json:"fsLayers"`
	}
	if err := unmarshal(body, &m); err != nil {
		return contents{}, err
	}
	c := contents{version: m.SchemaVersion, tag: m.Tag, layersName: "fsLayers", unsized: true}
	seen := map[digest.Digest]bool{}
	for i, l := range m.FSLayers {
		if l.BlobSum.IsZero() {
			return contents{}, fmt.Errorf("%w: fsLayers[%d].blobSum: missing", ErrInvalid, i)
		}
		if !seen[l.BlobSum] {
			seen[l.BlobSum] = true
			c.layers = append(c.layers, v1.Descriptor{MediaType: schema2.MediaTypeLayer, Digest: l.BlobSum.OCI()})
		}
	}
	return c, nil
}

// checkSchema1 asks of a document of schema 1 what a reader of JSON may depend
// on, and that what was signed is the document. Whether the signatures are good
// is not asked: each brings its own key, which says nothing of whose it is.
func checkSchema1(mediaType string, body []byte) error {
	doc, err := object(body, "schemaVersion", "name", "tag", "architecture", "fsLayers", "history", "signatures")
	if err != nil {
		return err
	}
	n, err := objects("fsLayers", doc["fsLayers"], "blobSum")
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w: fsLayers: an image has to have at least 1 layer", ErrInvalid)
	}
	if mediaType == MediaTypeDockerSchema1Signed {
		return checkSigned(doc, body)
	}
	return nil
}

// objects reads an array of objects as object does.
func objects(member string, array json.RawMessage, names ...string) (n int, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(array, &list); err != nil {
		return 0, fmt.Errorf("%w: %s: not an array", ErrInvalid, member)
	}
	for i, element := range list {
		if _, err := object(element, names...); err != nil {
			return 0, fmt.Errorf("%s[%d]: %w", member, i, err)
		}
	}
	return len(list), nil
}

// object reads an object whose members of these names are written in no other
// case, which some readers would take for the same.
func object(body []byte, names ...string) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := unmarshal(body, &members); err != nil {
		return nil, err
	}
	for has := range members {
		for _, name := range names {
			if has != name && strings.EqualFold(has, name) {
				return nil, fmt.Errorf("%w: the name %q must be written %q", ErrInvalid, has, name)
			}
		}
	}
	return members, nil
}

// checkSigned: some clients read what was signed, others the document, so both
// must say the same.
func checkSigned(doc map[string]json.RawMessage, body []byte) error {
	if _, err := objects("signatures", doc["signatures"], "protected", "header", "signature"); err != nil {
		return err
	}
	text, err := payload(body)
	if err != nil {
		return err
	}
	if err := checkObject(text); err != nil {
		return fmt.Errorf("%w: signatures: not of a document", ErrInvalid)
	}
	if _, _, err := scan(text); err != nil {
		return err
	}
	var signed map[string]json.RawMessage
	if err := unmarshal(text, &signed); err != nil {
		return err
	}
	rest := maps.Clone(doc)
	delete(rest, "signatures")
	same := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
	if !maps.EqualFunc(signed, rest, same) {
		return fmt.Errorf("%w: signatures: of another document", ErrInvalid)
	}
	return nil
}

// Digested are the bytes of a document that its digest is of: all of them, but
// of a signed one of schema 1 what was signed, since a signature may be added
// and the image be the same. The error wraps ErrInvalid.
func Digested(mediaType string, body []byte) ([]byte, error) {
	if mediaType != MediaTypeDockerSchema1Signed {
		return body, nil
	}
	return payload(body)
}

// cut is a signature's word on how the document was before there were
// signatures: its first bytes, and then a tail.
type cut struct {
	Length int    `json:"formatLength"`
	Tail   string `json:"formatTail"` // in base64
}

// payload is what the signatures of a document are of, in which all agree (JSON
// web signatures in the "pretty" form of Docker's libtrust).
func payload(body []byte) ([]byte, error) {
	var doc struct {
		Signatures []struct {
			Protected string `json:"protected"`
		} `json:"signatures"`
	}
	if err := unmarshal(body, &doc); err != nil {
		return nil, err
	}
	var cuts []cut
	for i, s := range doc.Signatures {
		c, err := readCut(s.Protected)
		if err != nil || c.Length < 1 || c.Length > len(body) {
			return nil, fmt.Errorf("%w: signatures[%d].protected: no header that says what was signed", ErrInvalid, i)
		}
		cuts = append(cuts, c)
	}
	if cuts = slices.Compact(cuts); len(cuts) != 1 {
		return nil, fmt.Errorf("%w: signatures: of %d documents, want 1", ErrInvalid, len(cuts))
	}
	tail, err := unpadded(cuts[0].Tail)
	if err != nil {
		return nil, fmt.Errorf("%w: signatures: formatTail: %w", ErrInvalid, err)
	}
	return slices.Concat(body[:cuts[0].Length], tail), nil
}

func readCut(protected string) (c cut, err error) {
	text, err := unpadded(protected)
	if err != nil {
		return cut{}, err
	}
	if err := checkObject(text); err != nil {
		return cut{}, err
	}
	if _, _, err := scan(text); err != nil {
		return cut{}, err
	}
	if _, err := object(text, "formatLength", "formatTail"); err != nil {
		return cut{}, err
	}
	return c, unmarshal(text, &c)
}

// unpadded reads base64 of URLs, with which libtrust leaves the padding out and
// takes it.
func unpadded(s string) ([]byte, error) {
	return base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
}
