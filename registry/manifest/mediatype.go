package manifest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/distribution/v3/manifest/manifestlist"
	"github.com/distribution/distribution/v3/manifest/schema2"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// The media types whose documents are understood.
const (
	MediaTypeDockerManifest = schema2.MediaTypeManifest
	MediaTypeDockerList     = manifestlist.MediaTypeManifestList
	MediaTypeOCIManifest    = v1.MediaTypeImageManifest
	MediaTypeOCIIndex       = v1.MediaTypeImageIndex
	// MediaTypeOCIArtifact was in image-spec 1.1.0-rc1 and went before 1.1.0.
	MediaTypeOCIArtifact = "application/vnd.oci.artifact.manifest.v1+json"
	// MediaTypeORASArtifact is its forerunner, of the ORAS artifacts-spec.
	MediaTypeORASArtifact = "application/vnd.cncf.oras.artifact.manifest.v1+json"
)

// nonDistributable begins the media types of OCI layers that are not passed
// on (image-spec, layer.md, "Non-Distributable Layers").
const nonDistributable = "application/vnd.oci.image.layer.nondistributable."

var typeSyntax = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*$`)

// isType says whether s is a media type without parameters (RFC 6838, section 4.2).
func isType(s string) bool {
	const longest = 127 // of either half
	kind, own, _ := strings.Cut(s, "/")
	return len(kind) <= longest && len(own) <= longest && typeSyntax.MatchString(s)
}

// agreeOn is the media type of a document from its own member and the
// Content-Type it came with, either of which may be missing.
func agreeOn(contentType, own string) (string, error) {
	if own == contentType && isKnown(own) { // as nearly all are
		return own, nil
	}
	given, err := withoutParameters(contentType)
	if err != nil {
		return "", err
	}
	switch {
	case own == "" && given == "":
		return "", ErrNoMediaType
	case own == "":
		return canonical(given), nil
	case !isKnown(own) && !isType(own):
		return "", fmt.Errorf("%w: mediaType: %.100q is no media type", ErrInvalid, own)
	case given != "" && !strings.EqualFold(own, given):
		return "", fmt.Errorf("%w: mediaType: %q, but it was sent as %q", ErrInvalid, own, given)
	case canonical(own) != own:
		// A client that compares bytes would take it for another type.
		return "", fmt.Errorf("%w: mediaType: %q must be written %q", ErrInvalid, own, canonical(own))
	}
	return own, nil
}

// withoutParameters takes what follows a semicolon off a Content-Type, as the
// distribution specification asks ("Pushing Manifests").
func withoutParameters(contentType string) (string, error) {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.TrimSpace(t)
	if t == "" || isKnown(t) || isType(t) {
		return t, nil
	}
	return "", fmt.Errorf("%w: Content-Type: %.100q is no media type", ErrInvalid, t)
}

// canonical is the spelling of a media type that is known here, since HTTP
// compares types without regard to case; other types stay as they are.
func canonical(t string) string {
	if lower := strings.ToLower(t); isKnown(lower) {
		return lower
	}
	return t
}

func isKnown(mediaType string) bool {
	_, known := kinds[mediaType]
	return known
}

func isForeign(mediaType string) bool {
	return mediaType == schema2.MediaTypeForeignLayer || strings.HasPrefix(mediaType, nonDistributable)
}
