package ecrapi

import (
	"context"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
)

func (a *API) describeRegistry(ctx context.Context, c *call, _ *shape.DescribeRegistryRequest) (*shape.DescribeRegistryResponse, error) {
	kept, err := a.registry.Replication(ctx, c.id)
	if err != nil {
		return nil, err
	}
	return &shape.DescribeRegistryResponse{RegistryID: c.id.Account, ReplicationConfiguration: replication(kept)}, nil
}

func (a *API) putReplicationConfiguration(ctx context.Context, c *call, in *shape.PutReplicationConfigurationRequest) (*shape.PutReplicationConfigurationResponse, error) {
	var set registry.Replication
	for _, r := range in.ReplicationConfiguration.Rules {
		rule, err := replicationRule(r)
		if err != nil {
			return nil, err
		}
		set.Rules = append(set.Rules, rule)
	}
	if err := a.registry.PutReplication(ctx, c.id, set); err != nil {
		return nil, err
	}
	return &shape.PutReplicationConfigurationResponse{ReplicationConfiguration: replication(set)}, nil
}

func replicationRule(in shape.ReplicationRule) (rule registry.ReplicationRule, err error) {
	for _, d := range in.Destinations {
		to, err := registry.ParseID(*d.RegistryID, *d.Region)
		if err != nil {
			return rule, err
		}
		rule.Destinations = append(rule.Destinations, to)
	}
	for _, f := range in.RepositoryFilters {
		rule.Prefixes = append(rule.Prefixes, *f.Filter)
	}
	return rule, nil
}

// replication shows a configuration as it was put. A rule without filters shows
// no list of them.
func replication(kept registry.Replication) *shape.ReplicationConfiguration {
	rules := []shape.ReplicationRule{}
	for _, r := range kept.Rules {
		rule := shape.ReplicationRule{Destinations: []shape.ReplicationDestination{}}
		for _, to := range r.Destinations {
			rule.Destinations = append(rule.Destinations, shape.ReplicationDestination{Region: &to.Region, RegistryID: &to.Account})
		}
		for _, prefix := range r.Prefixes {
			rule.RepositoryFilters = append(rule.RepositoryFilters, shape.RepositoryFilter{
				Filter: &prefix, FilterType: new(shape.RepositoryFilterTypePrefixMatch),
			})
		}
		rules = append(rules, rule)
	}
	return &shape.ReplicationConfiguration{Rules: rules}
}

// describeImageReplicationStatus tells of every registry that the image went to
// or was to go to, also of one that no rule names any more.
func (a *API) describeImageReplicationStatus(ctx context.Context, c *call, in *shape.DescribeImageReplicationStatusRequest) (*shape.DescribeImageReplicationStatusResponse, error) {
	ref, err := a.oneImage(ctx, c, in.ImageID)
	if err != nil {
		return nil, err
	}
	list, err := a.registry.ReplicationStatuses(ctx, c.repo, ref)
	if err != nil {
		return nil, err
	}
	out := &shape.DescribeImageReplicationStatusResponse{
		RepositoryName: c.repo.String(), ImageID: in.ImageID, ReplicationStatuses: []shape.ImageReplicationStatus{},
	}
	for _, s := range list {
		out.ReplicationStatuses = append(out.ReplicationStatuses, shape.ImageReplicationStatus{
			Region: s.To.Region, RegistryID: s.To.Account, Status: shape.ReplicationStatus(s.State), FailureCode: s.FailureCode,
		})
	}
	return out, nil
}
