package ecrapi

import (
	"context"
	"errors"
	"regexp"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// pushedTags are the tags that a push names. Without imageTag the manifest may have one
// of its own.
func pushedTags(in any) [][]string {
	if tag := in.(*shape.PutImageRequest).ImageTag; tag != nil {
		return [][]string{{*tag}}
	}
	return [][]string{nil}
}

func (a *API) putImage(ctx context.Context, c *call, in *shape.PutImageRequest) (*shape.PutImageResponse, error) {
	// MayCreate is left out: ECR creates on push at its Docker endpoint alone
	// (ECR reference, registry-http.md section 3).
	push := registry.Push{MediaType: value(in.ImageManifestMediaType), Body: []byte(*in.ImageManifest), OwnTag: true, May: c.may[0], MaySign: registry.MaySignAs(a.authorizer, c.by)}
	var err error
	if in.ImageTag != nil {
		// The model lets through what no client could pull (see registry.ParseTag).
		tag, err := registry.ParseTag(*in.ImageTag)
		if err != nil {
			return nil, err
		}
		push.Tags = []registry.Tag{tag}
	}
	if in.ImageDigest != nil {
		if push.Want, err = a.wantedDigest(ctx, c, *in.ImageDigest); err != nil {
			return nil, err
		}
	}
	done, err := a.registry.PutImage(ctx, c.repo, push)
	if err != nil {
		return nil, err
	}
	tag := "" // perhaps the manifest's own
	if len(done.Tags) > 0 {
		tag = done.Tags[0].String()
	}
	if done.Existed {
		return nil, except(shape.ImageAlreadyExistsException,
			"Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'",
			done.Image.Digest, wording.OrNull(tag), c.repo, c.id.Account)
	}
	return &shape.PutImageResponse{Image: c.image(done.Image, tag, done.Body)}, nil
}

// wantedDigest reads the digest that a pushed image is said to have. One that
// no image can have, such as an MD5, is a wrong one.
func (a *API) wantedDigest(ctx context.Context, c *call, s string) (digest.Digest, error) {
	if !digestSyntax.MatchString(s) {
		return digest.Digest{}, invalid("imageDigest", "Member must satisfy regular expression pattern: "+digestPattern)
	}
	d, err := digest.Parse(s)
	if err != nil {
		if _, missing := a.registry.Repository(ctx, c.repo); missing != nil {
			return digest.Digest{}, missing
		}
		return digest.Digest{}, except(shape.ImageDigestDoesNotMatchException, "%s", wording.DigestMismatch(c.repo, s))
	}
	return d, nil
}

// image shows an image with its manifest, under the tag that it was asked for
// by.
func (c *call) image(img registry.Image, tag string, manifest []byte) *shape.Image {
	id := imageID(img.Digest.String(), tag)
	return &shape.Image{
		RegistryID:             c.id.Account,
		RepositoryName:         c.repo.String(),
		ImageID:                &id,
		ImageManifest:          string(manifest),
		ImageManifestMediaType: img.MediaType,
	}
}

// imageID is an identifier with what of it is not "".
func imageID(d, tag string) (id shape.ImageIdentifier) {
	if d != "" {
		id.ImageDigest = &d
	}
	if tag != "" {
		id.ImageTag = &tag
	}
	return id
}

// imageName is an image identifier as plain strings, which can be compared.
type imageName struct{ digest, tag string }

func imageNames(ids []shape.ImageIdentifier) []imageName {
	names := make([]imageName, len(ids))
	for i, id := range ids {
		names[i] = imageName{value(id.ImageDigest), value(id.ImageTag)}
	}
	return distinct(names)
}

func (n imageName) identifier() shape.ImageIdentifier { return imageID(n.digest, n.tag) }

// digestPattern is what the model calls a digest (model: ImageDigest in the
// documentation, LayerDigest).
const digestPattern = `[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+`

var digestSyntax = regexp.MustCompile(`^(?:` + digestPattern + `)$`)

// ref reads an identifier. A well-formed digest of no kind that this registry
// has names no image. The error is a *badImage.
func (n imageName) ref() (ref registry.Ref, err error) {
	if n == (imageName{}) {
		return ref, &badImage{shape.ImageFailureCodeMissingDigestAndTag,
			"Invalid request parameters: both tag and digest cannot be null"}
	}
	if n.tag != "" {
		if ref.Tag, err = registry.ParseTag(n.tag); err != nil {
			return ref, &badImage{shape.ImageFailureCodeInvalidImageTag,
				"Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'"}
		}
	}
	if n.digest != "" {
		if !digestSyntax.MatchString(n.digest) {
			return ref, &badImage{shape.ImageFailureCodeInvalidImageDigest,
				"Invalid request parameters: image digest should satisfy the regex '" + digestPattern + "'"}
		}
		if ref.Digest, err = digest.Parse(n.digest); err != nil {
			return ref, noImage
		}
	}
	return ref, nil
}

// badImage says why an identifier of a list names no image that could be
// worked on.
type badImage struct {
	code   shape.ImageFailureCode
	reason string
}

func (b *badImage) Error() string { return b.reason }

var noImage = &badImage{shape.ImageFailureCodeImageNotFound, "Requested image not found"}

// imageFailure is the entry among a list's failures for an image, nil if err
// is not about the one image but ends the whole request.
func imageFailure(n imageName, err error) *shape.ImageFailure {
	var bad *badImage
	var refused *registry.Error
	switch {
	case errors.As(err, &bad):
	case !errors.As(err, &refused):
		return nil
	case refused.Code == registry.ImageNotFound, refused.Code == registry.ImageArchived:
		bad = noImage
	case refused.Code == registry.TagMismatch:
		bad = &badImage{shape.ImageFailureCodeImageTagDoesNotMatchDigest, "Requested image tag does not match the image digest"}
	case refused.Code == registry.ImageReferenced:
		bad = &badImage{shape.ImageFailureCodeImageReferencedByManifestList, wording.Of(refused)}
	case refused.Code == registry.UpstreamUnavailable:
		bad = &badImage{shape.ImageFailureCodeUpstreamUnavailable, wording.Of(refused)}
	case refused.Code == registry.UpstreamTooMany:
		bad = &badImage{shape.ImageFailureCodeUpstreamTooManyRequests, wording.Of(refused)}
	case refused.Code == registry.UpstreamDenied:
		bad = &badImage{shape.ImageFailureCodeUpstreamAccessDenied, wording.Of(refused)}
	case refused.Code == registry.Protected:
		// The list has no code for what is not to be deleted. This one says that an
		// image is there and not to be had for the call, and no tool takes it for
		// "there is none" or "delete the index first".
		bad = &badImage{shape.ImageFailureCodeImageInaccessible, wording.Of(refused)}
	default:
		return nil
	}
	id := n.identifier()
	return &shape.ImageFailure{ImageID: &id, FailureCode: bad.code, FailureReason: bad.reason}
}
