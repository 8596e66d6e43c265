package ecrapi

import (
	"context"
	"errors"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// wants says whether a filter by status takes an image that was asked for by
// name. Without a status it does.
func wants(filter *shape.ImageStatusFilter, status registry.ImageStatus) bool {
	return filter == nil || string(*filter) == string(registry.AnyStatus) || string(*filter) == string(status)
}

func (a *API) describeImages(ctx context.Context, c *call, in *shape.DescribeImagesRequest) (*shape.DescribeImagesResponse, error) {
	if in.ImageIDs != nil {
		return a.describeNamedImages(ctx, c, in)
	}
	filter := value(in.Filter)
	after, err := a.place(c, in, in.NextToken)
	if err != nil {
		return nil, err
	}
	page, next, err := a.registry.Images(ctx, c.repo, registry.ImageFilter{Tags: registry.TagFilter(value(filter.TagStatus)), Status: registry.StatusFilter(value(filter.ImageStatus))}, after, pageSize(in.MaxResults, 100))
	if err != nil {
		return nil, err
	}
	out := &shape.DescribeImagesResponse{ImageDetails: []shape.ImageDetail{}}
	for _, img := range page {
		out.ImageDetails = append(out.ImageDetails, c.imageDetail(img))
	}
	if err := a.addScans(ctx, c, out.ImageDetails, page); err != nil {
		return nil, err
	}
	out.NextToken, err = a.nextToken(c, in, next)
	return out, err
}

// describeNamedImages describes the images that a request names, each once,
// or none if one is missing. The filter applies to them as well, where it says
// something: what is named is described whatever its status (unknown of ECR).
func (a *API) describeNamedImages(ctx context.Context, c *call, in *shape.DescribeImagesRequest) (*shape.DescribeImagesResponse, error) {
	if err := noPages("imageIds", in.NextToken, in.MaxResults); err != nil {
		return nil, err
	}
	if _, err := a.registry.Repository(ctx, c.repo); err != nil {
		return nil, err
	}
	filter := value(in.Filter)
	seen := map[digest.Digest]bool{}
	out := &shape.DescribeImagesResponse{ImageDetails: []shape.ImageDetail{}}
	var page []registry.Image
	for _, n := range imageNames(in.ImageIDs) {
		img, err := a.describeImage(ctx, c, n)
		if err != nil {
			return nil, err
		}
		if !seen[img.Digest] && wants(filter.ImageStatus, img.Status) && hasTagStatus(img, value(filter.TagStatus)) {
			out.ImageDetails = append(out.ImageDetails, c.imageDetail(img))
			page = append(page, img)
		}
		seen[img.Digest] = true
	}
	return out, a.addScans(ctx, c, out.ImageDetails, page)
}

func hasTagStatus(img registry.Image, status shape.TagStatus) bool {
	switch status {
	case shape.TagStatusTagged:
		return len(img.Tags) > 0
	case shape.TagStatusUntagged:
		return len(img.Tags) == 0
	}
	return true
}

func (a *API) describeImage(ctx context.Context, c *call, n imageName) (registry.Image, error) {
	ref, err := n.ref()
	if errors.Is(err, noImage) {
		return registry.Image{}, except(shape.ImageNotFoundException, "%s", wording.NoSuchImage(c.repo, n.digest, n.tag))
	}
	if err != nil {
		return registry.Image{}, invalid("imageIds", err.Error())
	}
	return a.registry.DescribeImage(ctx, c.repo, ref)
}

func (c *call) imageDetail(img registry.Image) shape.ImageDetail {
	detail := shape.ImageDetail{
		RegistryID:             c.id.Account,
		RepositoryName:         c.repo.String(),
		ImageDigest:            img.Digest.String(),
		ImageSizeInBytes:       new(img.Size),
		ImagePushedAt:          shape.At(img.PushedAt),
		ImageManifestMediaType: img.MediaType,
		ArtifactMediaType:      img.ConfigMediaType,
		SubjectManifestDigest:  img.Subject.String(),
		ImageStatus:            shape.ImageStatus(img.Status),
		LastRecordedPullTime:   shape.At(img.PulledAt),
		LastArchivedAt:         shape.At(img.ArchivedAt),
		LastActivatedAt:        shape.At(img.ActivatedAt),
	}
	for _, tag := range img.Tags { // an image without tags shows no list
		detail.ImageTags = append(detail.ImageTags, tag.String())
	}
	return detail
}

func (a *API) listImages(ctx context.Context, c *call, in *shape.ListImagesRequest) (*shape.ListImagesResponse, error) {
	filter := value(in.Filter)
	after, err := a.place(c, in, in.NextToken)
	if err != nil {
		return nil, err
	}
	page, next, err := a.registry.ImageIDs(ctx, c.repo, registry.ImageFilter{Tags: registry.TagFilter(value(filter.TagStatus)), Status: registry.StatusFilter(value(filter.ImageStatus))}, after, pageSize(in.MaxResults, 100))
	if err != nil {
		return nil, err
	}
	out := &shape.ListImagesResponse{ImageIDs: []shape.ImageIdentifier{}}
	for _, ref := range page {
		out.ImageIDs = append(out.ImageIDs, imageID(ref.Digest.String(), ref.Tag.String()))
	}
	out.NextToken, err = a.nextToken(c, in, next)
	return out, err
}

// listImageReferrers lists what refers to a subject, be the subject there or
// not. One that no image can be has no referrers.
func (a *API) listImageReferrers(ctx context.Context, c *call, in *shape.ListImageReferrersRequest) (*shape.ListImageReferrersResponse, error) {
	subject := *in.SubjectID.ImageDigest
	if !digestSyntax.MatchString(subject) {
		return nil, invalid("subjectId.imageDigest", "Member must satisfy regular expression pattern: "+digestPattern)
	}
	d, bad := digest.Parse(subject)
	filter := value(in.Filter)
	after, err := a.place(c, in, in.NextToken)
	if err != nil {
		return nil, err
	}
	page, next, err := a.registry.Referrers(ctx, c.repo, d, registry.ReferrerFilter{ArtifactTypes: filter.ArtifactTypes, Status: registry.StatusFilter(value(filter.ArtifactStatus))}, after, pageSize(in.MaxResults, 20))
	if err != nil {
		return nil, err
	}
	out := &shape.ListImageReferrersResponse{Referrers: []shape.ImageReferrer{}}
	if bad != nil {
		return out, nil
	}
	for _, r := range page {
		out.Referrers = append(out.Referrers, shape.ImageReferrer{
			Digest:         r.Digest.String(),
			MediaType:      r.MediaType,
			ArtifactType:   r.ArtifactType,
			Size:           new(r.Size),
			Annotations:    r.Annotations,
			ArtifactStatus: shape.ArtifactStatus(r.Status),
		})
	}
	out.NextToken, err = a.nextToken(c, in, next)
	return out, err
}
