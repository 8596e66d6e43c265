package ecrapi

import (
	"context"
	"errors"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
)

// onRegistryOf is onRegistry for the registry that registryId names.
func onRegistryOf(c *call, in any) ([]string, error) {
	return []string{"*"}, c.inRegistry(text(in, "RegistryID"))
}

func (a *API) createPullThroughCacheRule(ctx context.Context, c *call, in *shape.CreatePullThroughCacheRuleRequest) (*shape.CreatePullThroughCacheRuleResponse, error) {
	rule, err := a.registry.CreatePullThroughRule(ctx, c.id, registry.PullThroughRule{
		Prefix:         *in.EcrRepositoryPrefix,
		UpstreamHost:   *in.UpstreamRegistryURL,
		Upstream:       registry.Upstream(value(in.UpstreamRegistry)),
		UpstreamPrefix: value(in.UpstreamRepositoryPrefix),
		Credential:     value(in.CredentialARN),
		Role:           value(in.CustomRoleARN),
	})
	if err != nil {
		return nil, err
	}
	return &shape.CreatePullThroughCacheRuleResponse{
		EcrRepositoryPrefix:      rule.Prefix,
		UpstreamRegistryURL:      rule.UpstreamHost,
		CreatedAt:                shape.At(rule.CreatedAt),
		RegistryID:               c.id.Account,
		UpstreamRegistry:         shape.UpstreamRegistry(rule.Upstream),
		CredentialARN:            rule.Credential,
		CustomRoleARN:            rule.Role,
		UpstreamRepositoryPrefix: rule.UpstreamPrefix,
	}, nil
}

func (a *API) updatePullThroughCacheRule(ctx context.Context, c *call, in *shape.UpdatePullThroughCacheRuleRequest) (*shape.UpdatePullThroughCacheRuleResponse, error) {
	rule, err := a.registry.UpdatePullThroughRule(ctx, c.id, *in.EcrRepositoryPrefix, registry.PullThroughChange{
		Credential: in.CredentialARN, Role: in.CustomRoleARN,
	})
	if err != nil {
		return nil, err
	}
	return &shape.UpdatePullThroughCacheRuleResponse{
		EcrRepositoryPrefix:      rule.Prefix,
		RegistryID:               c.id.Account,
		UpdatedAt:                shape.At(rule.UpdatedAt),
		CredentialARN:            rule.Credential,
		CustomRoleARN:            rule.Role,
		UpstreamRepositoryPrefix: rule.UpstreamPrefix,
	}, nil
}

func (a *API) describePullThroughCacheRules(ctx context.Context, c *call, in *shape.DescribePullThroughCacheRulesRequest) (*shape.DescribePullThroughCacheRulesResponse, error) {
	if in.EcrRepositoryPrefixes != nil {
		return a.describeNamedRules(ctx, c, in)
	}
	after, err := a.place(c, in, in.NextToken)
	if err != nil {
		return nil, err
	}
	page, more, err := a.registry.PullThroughRules(ctx, c.id, after, pageSize(in.MaxResults, 100))
	if err != nil {
		return nil, err
	}
	out := &shape.DescribePullThroughCacheRulesResponse{PullThroughCacheRules: []shape.PullThroughCacheRule{}}
	for _, rule := range page {
		out.PullThroughCacheRules = append(out.PullThroughCacheRules, c.pullThroughRule(rule))
	}
	if more {
		out.NextToken, err = a.nextToken(c, in, page[len(page)-1].Prefix)
	}
	return out, err
}

// describeNamedRules describes the rules that a request names, in its order, or
// none if one is missing.
func (a *API) describeNamedRules(ctx context.Context, c *call, in *shape.DescribePullThroughCacheRulesRequest) (*shape.DescribePullThroughCacheRulesResponse, error) {
	if err := noPages("ecrRepositoryPrefixes", in.NextToken, in.MaxResults); err != nil {
		return nil, err
	}
	out := &shape.DescribePullThroughCacheRulesResponse{PullThroughCacheRules: []shape.PullThroughCacheRule{}}
	for _, prefix := range distinct(in.EcrRepositoryPrefixes) {
		rule, err := a.registry.PullThroughRule(ctx, c.id, prefix)
		if err != nil {
			return nil, err
		}
		out.PullThroughCacheRules = append(out.PullThroughCacheRules, c.pullThroughRule(rule))
	}
	return out, nil
}

func (c *call) pullThroughRule(rule registry.PullThroughRule) shape.PullThroughCacheRule {
	return shape.PullThroughCacheRule{
		EcrRepositoryPrefix:      rule.Prefix,
		UpstreamRegistryURL:      rule.UpstreamHost,
		CreatedAt:                shape.At(rule.CreatedAt),
		RegistryID:               c.id.Account,
		CredentialARN:            rule.Credential,
		CustomRoleARN:            rule.Role,
		UpstreamRepositoryPrefix: rule.UpstreamPrefix,
		UpstreamRegistry:         shape.UpstreamRegistry(rule.Upstream),
		UpdatedAt:                shape.At(rule.UpdatedAt),
	}
}

func (a *API) deletePullThroughCacheRule(ctx context.Context, c *call, in *shape.DeletePullThroughCacheRuleRequest) (*shape.DeletePullThroughCacheRuleResponse, error) {
	rule, err := a.registry.DeletePullThroughRule(ctx, c.id, *in.EcrRepositoryPrefix)
	if err != nil {
		return nil, err
	}
	return &shape.DeletePullThroughCacheRuleResponse{
		EcrRepositoryPrefix:      rule.Prefix,
		UpstreamRegistryURL:      rule.UpstreamHost,
		CreatedAt:                shape.At(rule.CreatedAt),
		RegistryID:               c.id.Account,
		CredentialARN:            rule.Credential,
		CustomRoleARN:            rule.Role,
		UpstreamRepositoryPrefix: rule.UpstreamPrefix,
	}, nil
}

func (a *API) validatePullThroughCacheRule(ctx context.Context, c *call, in *shape.ValidatePullThroughCacheRuleRequest) (*shape.ValidatePullThroughCacheRuleResponse, error) {
	rule, err := a.registry.ValidatePullThroughRule(ctx, c.id, *in.EcrRepositoryPrefix)
	out := &shape.ValidatePullThroughCacheRuleResponse{
		EcrRepositoryPrefix:      rule.Prefix,
		RegistryID:               c.id.Account,
		UpstreamRegistryURL:      rule.UpstreamHost,
		CredentialARN:            rule.Credential,
		CustomRoleARN:            rule.Role,
		UpstreamRepositoryPrefix: rule.UpstreamPrefix,
		IsValid:                  new(err == nil),
	}
	var refused *registry.Error
	switch {
	case err == nil:
		return out, nil
	case errors.As(err, &refused) && failures[refused.Code]:
		out.Failure = wording.Of(refused)
		return out, nil
	}
	return nil, err
}

// failures are what may come of an attempt to log in to an upstream.
var failures = map[registry.Code]bool{registry.UpstreamUnavailable: true, registry.UpstreamTooMany: true, registry.UpstreamDenied: true}
