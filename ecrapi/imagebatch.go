package ecrapi

import (
	"context"
	"slices"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
)

// maxManifests bounds the manifests of one answer: to the bytes of this many of
// the largest. ECR's own bound is unknown.
const maxManifests = 16

// batchGetImage answers each identifier once. An image is given in the form
// that it is stored in, or not at all: one that is asked for by a tag and is of
// none of the accepted types is not found, and by digest there is only one
// form.
func (a *API) batchGetImage(ctx context.Context, c *call, in *shape.BatchGetImageRequest) (*shape.BatchGetImageResponse, error) {
	if err := a.checkRepository(ctx, c.repo); err != nil {
		return nil, err
	}
	out := &shape.BatchGetImageResponse{Images: []shape.Image{}, Failures: []shape.ImageFailure{}}
	room := maxManifests * a.registry.Limits().Manifest
	for _, n := range imageNames(in.ImageIDs) {
		img, err := a.getImage(ctx, c, n, in.AcceptedMediaTypes)
		if err != nil {
			f := imageFailure(n, err)
			if f == nil {
				return nil, err
			}
			out.Failures = append(out.Failures, *f)
			continue
		}
		if room -= int64(len(img.ImageManifest)); room < 0 {
			return nil, except(shape.LimitExceededException,
				"The requested images exceed the maximum allowed size of manifests in bytes which is '%d'", maxManifests*a.registry.Limits().Manifest)
		}
		out.Images = append(out.Images, *img)
	}
	return out, nil
}

// checkRepository refuses a repository that is not there, unless a pull may make it.
func (a *API) checkRepository(ctx context.Context, name registry.Name) error {
	_, missing := a.registry.Repository(ctx, name)
	if registry.CodeOf(missing) != registry.RepositoryNotFound {
		return missing
	}
	mirrored, err := a.registry.IsMirrored(ctx, name)
	if err != nil || mirrored {
		return err
	}
	return missing
}

func (a *API) getImage(ctx context.Context, c *call, n imageName, accepted []string) (*shape.Image, error) {
	ref, err := n.ref()
	if err != nil {
		return nil, err
	}
	img, manifest, err := a.registry.Manifest(ctx, c.repo, ref)
	if err != nil {
		return nil, err
	}
	if n.digest == "" && accepted != nil && !slices.Contains(accepted, img.MediaType) {
		return nil, noImage
	}
	return c.image(img, n.tag, manifest), nil
}

// removedTags are the tags that a removal names, by identifier: its tag or, where it
// has a digest, nil, because all tags of the image go.
func removedTags(in any) (tags [][]string) {
	for _, n := range imageNames(in.(*shape.BatchDeleteImageRequest).ImageIDs) {
		if n.digest == "" {
			tags = append(tags, []string{n.tag})
		} else {
			tags = append(tags, nil)
		}
	}
	return tags
}

// removal is an identifier with what decides on the tags that go with it.
type removal struct {
	imageName
	may registry.May
}

// batchDeleteImage removes images one by one; what worked stays done when
// others fail. An image that a list needs is tried again after the others, so
// that lists go first wherever in the request they are. Whoever may not remove one
// of them removes none.
func (a *API) batchDeleteImage(ctx context.Context, c *call, in *shape.BatchDeleteImageRequest) (*shape.BatchDeleteImageResponse, error) {
	if _, err := a.registry.Repository(ctx, c.repo); err != nil {
		return nil, err
	}
	waiting, err := a.removals(ctx, c, in)
	if err != nil {
		return nil, err
	}
	out := &shape.BatchDeleteImageResponse{ImageIDs: []shape.ImageIdentifier{}, Failures: []shape.ImageFailure{}}
	for progress := true; progress; {
		var blocked []removal
		var why []shape.ImageFailure
		progress = false
		for _, n := range waiting {
			gone, err := a.deleteImage(ctx, c, n)
			f := imageFailure(n.imageName, err)
			switch {
			case err == nil:
				progress = true
				out.ImageIDs = append(out.ImageIDs, gone...)
			case f == nil:
				return nil, err
			case f.FailureCode == shape.ImageFailureCodeImageReferencedByManifestList:
				blocked, why = append(blocked, n), append(why, *f)
			default:
				out.Failures = append(out.Failures, *f)
			}
		}
		if waiting = blocked; !progress {
			out.Failures = append(out.Failures, why...)
		}
	}
	return out, nil
}

// removals are what a request would remove, all of which the caller may.
func (a *API) removals(ctx context.Context, c *call, in *shape.BatchDeleteImageRequest) (list []removal, err error) {
	for i, n := range imageNames(in.ImageIDs) {
		if ref, err := n.ref(); err == nil {
			if err := a.registry.MayRemove(ctx, c.repo, ref, c.may[i]); err != nil {
				return nil, err
			}
		}
		list = append(list, removal{n, c.may[i]})
	}
	return list, nil
}

// deleteImage removes a tag, and with the last one the image; or an image with
// all its tags, if it is named by its digest.
func (a *API) deleteImage(ctx context.Context, c *call, n removal) ([]shape.ImageIdentifier, error) {
	ref, err := n.ref()
	if err != nil {
		return nil, err
	}
	var gone []registry.Ref
	if n.digest != "" {
		gone, err = a.registry.DeleteImage(ctx, c.repo, ref, n.may)
	} else {
		gone = make([]registry.Ref, 1)
		gone[0], err = a.registry.Untag(ctx, c.repo, ref.Tag, registry.RemoveLast, n.may)
	}
	if err != nil {
		return nil, err
	}
	ids := make([]shape.ImageIdentifier, len(gone))
	for i, ref := range gone {
		ids[i] = imageID(ref.Digest.String(), ref.Tag.String())
	}
	return ids, nil
}
