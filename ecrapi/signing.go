package ecrapi

import (
	"context"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
)

func (a *API) putSigningConfiguration(ctx context.Context, c *call, in *shape.PutSigningConfigurationRequest) (*shape.PutSigningConfigurationResponse, error) {
	var set registry.Signing
	for _, r := range in.SigningConfiguration.Rules {
		rule := registry.SigningRule{Profile: *r.SigningProfileARN}
		for _, f := range r.RepositoryFilters {
			rule.Filters = append(rule.Filters, *f.Filter)
		}
		set.Rules = append(set.Rules, rule)
	}
	if err := a.registry.PutSigning(ctx, c.id, set); err != nil {
		return nil, err
	}
	return &shape.PutSigningConfigurationResponse{SigningConfiguration: signing(set)}, nil
}

func (a *API) getSigningConfiguration(ctx context.Context, c *call, _ *shape.GetSigningConfigurationRequest) (*shape.GetSigningConfigurationResponse, error) {
	kept, err := a.registry.Signing(ctx, c.id)
	if err != nil {
		return nil, err
	}
	return &shape.GetSigningConfigurationResponse{RegistryID: c.id.Account, SigningConfiguration: signing(kept)}, nil
}

func (a *API) deleteSigningConfiguration(ctx context.Context, c *call, _ *shape.DeleteSigningConfigurationRequest) (*shape.DeleteSigningConfigurationResponse, error) {
	was, err := a.registry.DeleteSigning(ctx, c.id)
	if err != nil {
		return nil, err
	}
	return &shape.DeleteSigningConfigurationResponse{RegistryID: c.id.Account, SigningConfiguration: signing(was)}, nil
}

// signing shows a configuration. A rule without filters shows no list of them.
func signing(kept registry.Signing) *shape.SigningConfiguration {
	rules := []shape.SigningRule{}
	for _, r := range kept.Rules {
		rule := shape.SigningRule{SigningProfileARN: &r.Profile}
		for _, f := range r.Filters {
			rule.RepositoryFilters = append(rule.RepositoryFilters, shape.SigningRepositoryFilter{
				Filter: &f, FilterType: new(shape.SigningRepositoryFilterTypeWildcardMatch),
			})
		}
		rules = append(rules, rule)
	}
	return &shape.SigningConfiguration{Rules: rules}
}

func (a *API) describeImageSigningStatus(ctx context.Context, c *call, in *shape.DescribeImageSigningStatusRequest) (*shape.DescribeImageSigningStatusResponse, error) {
	ref, err := a.oneImage(ctx, c, in.ImageID)
	if err != nil {
		return nil, err
	}
	d, statuses, err := a.registry.SigningStatuses(ctx, c.repo, ref)
	if err != nil {
		return nil, err
	}
	list := []shape.ImageSigningStatus{}
	for _, status := range statuses {
		list = append(list, signingStatus(status))
	}
	id := imageID(d.String(), ref.Tag.String())
	return &shape.DescribeImageSigningStatusResponse{RepositoryName: c.repo.String(), ImageID: &id, RegistryID: c.id.Account, SigningStatuses: list}, nil
}

func signingStatus(status registry.SigningStatus) shape.ImageSigningStatus {
	return shape.ImageSigningStatus{
		SigningProfileARN: status.Profile, Status: shape.SigningStatus(status.State),
		FailureCode: status.FailureCode, FailureReason: status.FailureReason,
	}
}
