package registry

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
)

// SetRepositoryPolicy gives a repository a policy and returns its text as ECR
// shows it. Without force a policy is refused that denies the caller to set it
// again: he would be locked out. Refusals: RepositoryNotFound, PolicyInvalid.
func (s *Service) SetRepositoryPolicy(ctx context.Context, name Name, text string, force bool) (shown string, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		if err := checkPolicyLength(text); err != nil {
			return err
		}
		p, err := parseRepositoryPolicy(name.id, text)
		if err != nil {
			return err
		}
		if !force && locksOut(ctx, p, name) {
			return policyInvalid("The policy would keep you from setting the repository policy again; use force to set it all the same")
		}
		shown = p.Text()
		if _, err := s.putDocument(tx, repositoryDocuments, repo.key(repositoryPolicyKind), shown); err != nil {
			return err
		}
		return s.record(ctx, tx, RepositoryChanged, repo, eventRow{})
	})
	return shown, err
}

// parseRepositoryPolicy reads a policy for repositories of a registry.
func parseRepositoryPolicy(id ID, text string) (*policy.Document, error) {
	p, err := policy.ParseRepository(text, endpoint.Partition(id.Region))
	return p, policyRefusal(err)
}

// checkPolicyLength refuses a text that is too long as it came. What is shown of
// one that is not may be longer.
func checkPolicyLength(text string) error {
	if utf8.RuneCountInString(text) > policy.MaxText {
		return policyInvalid(fmt.Sprintf("Member must have length less than or equal to %d", policy.MaxText))
	}
	return nil
}

// policyRefusal is nil for nil.
func policyRefusal(err error) error {
	var wrong *policy.Error
	if errors.As(err, &wrong) {
		return policyInvalid(wrong.Reason)
	}
	return err
}

// policyInvalid is the refusal of a text, for ECR's reason or one of our own.
func policyInvalid(reason string) *Error {
	e := refuse(PolicyInvalid, "%s", reason)
	e.Field = "PolicyText"
	return e
}

// locksOut says whether a policy denies the caller to set it, whatever the
// circumstances: a denial under a condition, such as of calls without TLS, need not
// be his. What ECR says to that is not known.
func locksOut(ctx context.Context, p *policy.Document, name Name) bool {
	by := auth.PrincipalOf(ctx)
	d := p.Decide(policy.Request{
		Principal: policy.Principal{Account: by.Account, ARN: by.ARN}, Action: "ecr:SetRepositoryPolicy", Resource: name.ARN(),
		Pending: []string{policy.Any},
	})
	return d.Effect == policy.Denied
}

// RepositoryPolicy is the policy of a repository. Refusals: RepositoryNotFound,
// RepositoryPolicyNotFound.
func (s *Service) RepositoryPolicy(ctx context.Context, name Name) (text string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		row, err := getDocument(r, repositoryDocuments, repo.key(repositoryPolicyKind))
		text = row.Text
		return noPolicy(err, RepositoryPolicyNotFound, name)
	})
	return text, err
}

// DeleteRepositoryPolicy takes the policy from a repository and returns it.
// Refusals as for RepositoryPolicy.
func (s *Service) DeleteRepositoryPolicy(ctx context.Context, name Name) (text string, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		row, err := s.deleteDocument(tx, repositoryDocuments, repo.key(repositoryPolicyKind))
		if err != nil {
			return noPolicy(err, RepositoryPolicyNotFound, name)
		}
		text = row.Text
		return s.record(ctx, tx, RepositoryChanged, repo, eventRow{})
	})
	return text, err
}

// noPolicy is the refusal for a policy that is not there, else err.
func noPolicy(err error, code Code, name Name) error {
	if !missing(err) {
		return err
	}
	e := refuse(code, "%q has no policy", name)
	e.Name = name
	return e
}

// PutRegistryPolicy gives a registry a policy and returns its text as ECR shows
// it. What it may say depends on the account setting RegistryPolicyScope.
// Refusal: PolicyInvalid.
func (s *Service) PutRegistryPolicy(ctx context.Context, id ID, text string) (shown string, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		if err := checkPolicyLength(text); err != nil {
			return err
		}
		p, err := parseRegistryPolicy(tx, id, text)
		if err != nil {
			return err
		}
		shown = p.Text()
		if _, err := s.putDocument(tx, documents, id.documentKey(registryPolicyKind), shown); err != nil {
			return err
		}
		return s.recordDocument(ctx, tx, id, registryPolicyKind)
	})
	return shown, err
}

func parseRegistryPolicy(rd storage.Reader, id ID, text string) (*policy.Document, error) {
	scope, err := settingOf(rd, id, RegistryPolicyScope)
	if err != nil {
		return nil, err
	}
	p, err := policy.ParseRegistry(text, endpoint.Partition(id.Region), policy.Scope(scope))
	return p, policyRefusal(err)
}

// RegistryPolicy is the policy of a registry. Refusal: RegistryPolicyNotFound.
func (s *Service) RegistryPolicy(ctx context.Context, id ID) (text string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		row, err := getDocument(r, documents, id.documentKey(registryPolicyKind))
		text = row.Text
		return noPolicy(err, RegistryPolicyNotFound, Name{id: id})
	})
	return text, err
}

// DeleteRegistryPolicy takes the policy from a registry and returns it.
// Refusal: RegistryPolicyNotFound.
func (s *Service) DeleteRegistryPolicy(ctx context.Context, id ID) (text string, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		row, err := s.removeDocument(ctx, tx, id, registryPolicyKind)
		text = row.Text
		return noPolicy(err, RegistryPolicyNotFound, Name{id: id})
	})
	return text, err
}

// registryPolicy is the policy of a registry, nil if it has none. It keeps to the
// scope that is set: neither is taken if it does not go with the other.
func registryPolicy(rd storage.Reader, id ID) (*policy.Document, error) {
	row, err := getDocument(rd, documents, id.documentKey(registryPolicyKind))
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return policy.ParseRegistry(row.Text, endpoint.Partition(id.Region), policy.V2)
}
