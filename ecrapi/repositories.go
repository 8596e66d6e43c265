package ecrapi

import (
	"context"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
)

func (a *API) createRepository(ctx context.Context, c *call, in *shape.CreateRepositoryRequest) (*shape.CreateRepositoryResponse, error) {
	tags, err := resourceTags(in.Tags)
	if err != nil {
		return nil, err
	}
	encryption, err := encryption(c.id, in.EncryptionConfiguration)
	if err != nil {
		return nil, err
	}
	set := registry.Settings{
		TagRule:      tagRule(value(in.ImageTagMutability), in.ImageTagMutabilityExclusionFilters),
		Encryption:   encryption,
		ResourceTags: tags,
	}
	if scan := in.ImageScanningConfiguration; scan != nil {
		set.ScanOnPush = value(scan.ScanOnPush)
	}
	repo, err := a.registry.CreateRepository(ctx, c.repo, set)
	if err != nil {
		return nil, err
	}
	return &shape.CreateRepositoryResponse{Repository: c.repository(repo)}, nil
}

func (a *API) describeRepositories(ctx context.Context, c *call, in *shape.DescribeRepositoriesRequest) (*shape.DescribeRepositoriesResponse, error) {
	if in.RepositoryNames != nil {
		return a.describeNamed(ctx, c, in)
	}
	after, err := a.place(c, in, in.NextToken)
	if err != nil {
		return nil, err
	}
	sight, err := registry.SightFor(ctx, a.authorizer, c.check("ecr:DescribeRepositories", c.id.ARN("*")))
	if err != nil {
		return nil, err
	}
	page, more, err := a.registry.Repositories(ctx, c.id, after, pageSize(in.MaxResults, 100), sight)
	if err != nil {
		return nil, err
	}
	out := &shape.DescribeRepositoriesResponse{Repositories: []shape.Repository{}}
	for _, repo := range page {
		out.Repositories = append(out.Repositories, *c.repository(repo))
	}
	if more {
		out.NextToken, err = a.nextToken(c, in, page[len(page)-1].Name.String())
	}
	return out, err
}

// describeNamed describes the repositories that a request names, in its order,
// or none if one is missing.
func (a *API) describeNamed(ctx context.Context, c *call, in *shape.DescribeRepositoriesRequest) (*shape.DescribeRepositoriesResponse, error) {
	if err := noPages("repositoryNames", in.NextToken, in.MaxResults); err != nil {
		return nil, err
	}
	out := &shape.DescribeRepositoriesResponse{Repositories: []shape.Repository{}}
	for _, s := range distinct(in.RepositoryNames) {
		name, err := registry.ParseName(c.id, s)
		if err != nil {
			return nil, err
		}
		repo, err := a.registry.Repository(ctx, name)
		if err != nil {
			return nil, err
		}
		out.Repositories = append(out.Repositories, *c.repository(repo))
	}
	return out, nil
}

func (a *API) deleteRepository(ctx context.Context, c *call, in *shape.DeleteRepositoryRequest) (*shape.DeleteRepositoryResponse, error) {
	repo, err := a.registry.DeleteRepository(ctx, c.repo, value(in.Force))
	if err != nil {
		return nil, err
	}
	return &shape.DeleteRepositoryResponse{Repository: c.repository(repo)}, nil
}

func (a *API) putImageTagMutability(ctx context.Context, c *call, in *shape.PutImageTagMutabilityRequest) (*shape.PutImageTagMutabilityResponse, error) {
	repo, err := a.registry.SetTagRule(ctx, c.repo, tagRule(value(in.ImageTagMutability), in.ImageTagMutabilityExclusionFilters))
	if err != nil {
		return nil, err
	}
	return &shape.PutImageTagMutabilityResponse{
		RegistryID:                         c.id.Account,
		RepositoryName:                     c.repo.String(),
		ImageTagMutability:                 shape.ImageTagMutability(repo.TagRule.Mutability),
		ImageTagMutabilityExclusionFilters: exclusionFilters(repo.TagRule),
	}, nil
}

func (a *API) putImageScanningConfiguration(ctx context.Context, c *call, in *shape.PutImageScanningConfigurationRequest) (*shape.PutImageScanningConfigurationResponse, error) {
	repo, err := a.registry.SetScanOnPush(ctx, c.repo, value(in.ImageScanningConfiguration.ScanOnPush))
	if err != nil {
		return nil, err
	}
	return &shape.PutImageScanningConfigurationResponse{
		RegistryID:                 c.id.Account,
		RepositoryName:             c.repo.String(),
		ImageScanningConfiguration: &shape.ImageScanningConfiguration{ScanOnPush: new(repo.ScanOnPush)},
	}, nil
}

// repository shows a repository to the caller.
func (c *call) repository(repo registry.Repository) *shape.Repository {
	id := repo.Name.ID()
	return &shape.Repository{
		RepositoryARN:                      repo.Name.ARN(),
		RegistryID:                         id.Account,
		RepositoryName:                     repo.Name.String(),
		RepositoryURI:                      c.site.RepositoryURI(id.Account, id.Region, repo.Name.String()),
		CreatedAt:                          shape.At(repo.CreatedAt),
		ImageTagMutability:                 shape.ImageTagMutability(repo.TagRule.Mutability),
		ImageTagMutabilityExclusionFilters: exclusionFilters(repo.TagRule),
		ImageScanningConfiguration:         &shape.ImageScanningConfiguration{ScanOnPush: new(repo.ScanOnPush)},
		EncryptionConfiguration:            encryptionConfiguration(repo.Encryption),
	}
}

func tagRule(m shape.ImageTagMutability, filters []shape.ImageTagMutabilityExclusionFilter) registry.TagRule {
	rule := registry.TagRule{Mutability: registry.Mutability(m)}
	for _, f := range filters {
		rule.Exclusions = append(rule.Exclusions, value(f.Filter))
	}
	return rule
}

// exclusionFilters is nil, and so not shown, for the two settings without any.
func exclusionFilters(rule registry.TagRule) (filters []shape.ImageTagMutabilityExclusionFilter) {
	for _, pattern := range rule.Exclusions {
		filters = append(filters, shape.ImageTagMutabilityExclusionFilter{
			FilterType: new(shape.ImageTagMutabilityExclusionFilterTypeWildcard),
			Filter:     new(pattern),
		})
	}
	return filters
}

// distinct is list without what is in it already.
func distinct[T comparable](list []T) []T {
	seen := map[T]bool{}
	var once []T
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			once = append(once, v)
		}
	}
	return once
}
