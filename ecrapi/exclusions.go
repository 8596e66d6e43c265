package ecrapi

import (
	"context"

	"github.com/seed-78150930/berth/ecrapi/shape"
)

func (a *API) registerPullTimeUpdateExclusion(ctx context.Context, c *call, in *shape.RegisterPullTimeUpdateExclusionRequest) (*shape.RegisterPullTimeUpdateExclusionResponse, error) {
	at, err := a.registry.ExcludePulls(ctx, c.id, *in.PrincipalARN)
	if err != nil {
		return nil, err
	}
	return &shape.RegisterPullTimeUpdateExclusionResponse{PrincipalARN: *in.PrincipalARN, CreatedAt: shape.At(at)}, nil
}

func (a *API) deregisterPullTimeUpdateExclusion(ctx context.Context, c *call, in *shape.DeregisterPullTimeUpdateExclusionRequest) (*shape.DeregisterPullTimeUpdateExclusionResponse, error) {
	if err := a.registry.IncludePulls(ctx, c.id, *in.PrincipalARN); err != nil {
		return nil, err
	}
	return &shape.DeregisterPullTimeUpdateExclusionResponse{PrincipalARN: *in.PrincipalARN}, nil
}

func (a *API) listPullTimeUpdateExclusions(ctx context.Context, c *call, in *shape.ListPullTimeUpdateExclusionsRequest) (*shape.ListPullTimeUpdateExclusionsResponse, error) {
	after, err := a.place(c, in, in.NextToken)
	if err != nil {
		return nil, err
	}
	page, more, err := a.registry.PullExclusions(ctx, c.id, after, pageSize(in.MaxResults, 100))
	if err != nil {
		return nil, err
	}
	out := &shape.ListPullTimeUpdateExclusionsResponse{PullTimeUpdateExclusions: append([]string{}, page...)}
	if more {
		out.NextToken, err = a.nextToken(c, in, page[len(page)-1])
	}
	return out, err
}
