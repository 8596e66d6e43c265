package ecrapi

import (
	"context"

	"github.com/seed-78150930/berth/ecrapi/shape"
)

func (a *API) setRepositoryPolicy(ctx context.Context, c *call, in *shape.SetRepositoryPolicyRequest) (*shape.SetRepositoryPolicyResponse, error) {
	text, err := a.registry.SetRepositoryPolicy(ctx, c.repo, *in.PolicyText, value(in.Force))
	if err != nil {
		return nil, err
	}
	return &shape.SetRepositoryPolicyResponse{RegistryID: c.id.Account, RepositoryName: c.repo.String(), PolicyText: text}, nil
}

func (a *API) getRepositoryPolicy(ctx context.Context, c *call, _ *shape.GetRepositoryPolicyRequest) (*shape.GetRepositoryPolicyResponse, error) {
	text, err := a.registry.RepositoryPolicy(ctx, c.repo)
	if err != nil {
		return nil, err
	}
	return &shape.GetRepositoryPolicyResponse{RegistryID: c.id.Account, RepositoryName: c.repo.String(), PolicyText: text}, nil
}

func (a *API) deleteRepositoryPolicy(ctx context.Context, c *call, _ *shape.DeleteRepositoryPolicyRequest) (*shape.DeleteRepositoryPolicyResponse, error) {
	text, err := a.registry.DeleteRepositoryPolicy(ctx, c.repo)
	if err != nil {
		return nil, err
	}
	return &shape.DeleteRepositoryPolicyResponse{RegistryID: c.id.Account, RepositoryName: c.repo.String(), PolicyText: text}, nil
}

func (a *API) putRegistryPolicy(ctx context.Context, c *call, in *shape.PutRegistryPolicyRequest) (*shape.PutRegistryPolicyResponse, error) {
	text, err := a.registry.PutRegistryPolicy(ctx, c.id, *in.PolicyText)
	if err != nil {
		return nil, err
	}
	return &shape.PutRegistryPolicyResponse{RegistryID: c.id.Account, PolicyText: text}, nil
}

func (a *API) getRegistryPolicy(ctx context.Context, c *call, _ *shape.GetRegistryPolicyRequest) (*shape.GetRegistryPolicyResponse, error) {
	text, err := a.registry.RegistryPolicy(ctx, c.id)
	if err != nil {
		return nil, err
	}
	return &shape.GetRegistryPolicyResponse{RegistryID: c.id.Account, PolicyText: text}, nil
}

func (a *API) deleteRegistryPolicy(ctx context.Context, c *call, _ *shape.DeleteRegistryPolicyRequest) (*shape.DeleteRegistryPolicyResponse, error) {
	text, err := a.registry.DeleteRegistryPolicy(ctx, c.id)
	if err != nil {
		return nil, err
	}
	return &shape.DeleteRegistryPolicyResponse{RegistryID: c.id.Account, PolicyText: text}, nil
}
