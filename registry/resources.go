package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
)

// Resource is what there is to know for decisions on the resource that an ARN
// names. Of a repository that is the registry's policy, the repository's own and
// its resource tags. Of a repository that is not there, of a pattern of names, and
// of "*", which is the registry of whoever ctx says is asking, it is the policy of
// the registry alone. What names nothing of a registry has no policies. What it
// returns is shared, and not to be changed; it costs no transaction as long as nothing
// in the index changes.
func (s *Service) Resource(ctx context.Context, arn string) (auth.Resource, error) {
	if arn == "*" {
		return s.lookUpResource(ctx, arn)
	}
	if isProfile(arn) {
		return s.profileResource(arn)
	}
	return s.resources.Get(arn, func() (auth.Resource, error) { return s.lookUpResource(ctx, arn) })
}

func (s *Service) lookUpResource(ctx context.Context, arn string) (of auth.Resource, err error) {
	id, path, ok := resourceNamed(ctx, arn)
	if !ok {
		return auth.Resource{}, nil
	}
	err = s.view(ctx, func(rd storage.Reader) error {
		common, err := s.registryPolicies(rd, id)
		if err != nil {
			return err
		}
		of = auth.Resource{Policies: common}
		name, err := ParseName(id, path)
		if err != nil {
			return nil
		}
		repo, err := s.compiled.repository(rd, name)
		if missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		of, err = s.resource(rd, repo, common)
		return err
	})
	return of, err
}

// resourceNamed is the registry that an ARN is of, and the path of a repository, if
// it may be one's.
func resourceNamed(ctx context.Context, arn string) (id ID, path string, ok bool) {
	if arn == "*" {
		by := auth.PrincipalOf(ctx)
		id, err := ParseID(by.Account, by.Region)
		return id, "", err == nil
	}
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[2] != "ecr" || part[1] != endpoint.Partition(part[3]) {
		return ID{}, "", false
	}
	id, err := ParseID(part[4], part[3])
	path, isRepository := strings.CutPrefix(part[5], "repository/")
	return id, path, err == nil && isRepository
}

// resource is what there is to know of a repository, beside what is common to all of
// its registry.
func (s *Service) resource(rd storage.Reader, repo repository, common []policy.Attached) (auth.Resource, error) {
	of := auth.Resource{Policies: common, Tags: repo.row.ResourceTags}
	own, err := s.compiled.policy(rd, repositoryTexts, repo.key(repositoryPolicyKind), func(text string) (policy.Attached, error) {
		doc, err := policy.ParseRepository(text, endpoint.Partition(repo.name.id.Region))
		return policy.Attached{Name: "repository policy of " + repo.name.ARN(), Document: doc}, err
	})
	if err != nil {
		return of, fmt.Errorf("policy of %s: %w", repo.name.ARN(), err)
	}
	if own.Document != nil {
		of.Policies = append([]policy.Attached{own}, common...)
	}
	return of, nil
}

// registryPolicies is the policy of a registry, if it has one. It keeps to the scope
// that is set: neither is taken if it does not go with the other. So one of V1 speaks
// of three actions, and need not be looked at with the scope in hand.
func (s *Service) registryPolicies(rd storage.Reader, id ID) ([]policy.Attached, error) {
	own, err := s.compiled.policy(rd, registryTexts, id.documentKey(registryPolicyKind), func(text string) (policy.Attached, error) {
		doc, err := policy.ParseRegistry(text, endpoint.Partition(id.Region), policy.V2)
		return policy.Attached{Name: "registry policy", Document: doc}, err
	})
	if err != nil {
		return nil, fmt.Errorf("policy of the registry %s of %s: %w", id.Account, id.Region, err)
	}
	if own.Document == nil {
		return nil, nil
	}
	return []policy.Attached{own}, nil
}
