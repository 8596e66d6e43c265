package ecrapi

import (
	"context"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
)

func (a *API) updateImageStorageClass(ctx context.Context, c *call, in *shape.UpdateImageStorageClassRequest) (*shape.UpdateImageStorageClassResponse, error) {
	ref, err := a.oneImage(ctx, c, in.ImageID)
	if err != nil {
		return nil, err
	}
	img, err := a.registry.SetStorageClass(ctx, c.repo, ref, registry.StorageClass(*in.TargetStorageClass))
	if err != nil {
		return nil, err
	}
	id := imageID(img.Digest.String(), value(in.ImageID.ImageTag))
	return &shape.UpdateImageStorageClassResponse{
		RegistryID: c.id.Account, RepositoryName: c.repo.String(), ImageID: &id, ImageStatus: shape.ImageStatus(img.Status),
	}, nil
}
