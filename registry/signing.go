package registry

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/pattern"
	"github.com/seed-78150930/berth/storage"
)

// Signing is the signing configuration of a registry: which images are to be
// signed when they are pushed, and with what. What was pushed before is signed when
// it is pushed again.
type Signing struct {
	Rules []SigningRule // at most Limits.SigningRules
}

// SigningRule has the images of some repositories signed: of those whose whole
// names match one of Filters, in which a star stands for any run of characters,
// or of all if there are none.
type SigningRule struct {
	Profile string   // ARN of a signing profile of this region, of any account
	Filters []string `json:",omitempty"` // at most Limits.SigningFilters
}

func (r SigningRule) matches(name Name) bool {
	return len(r.Filters) == 0 ||
		slices.ContainsFunc(r.Filters, func(filter string) bool { return pattern.Match(filter, name.path) })
}

var (
	// (model: SigningProfileArn, SigningRepositoryFilterValue)
	signingProfileSyntax = regexp.MustCompile(`^arn:aws(-[a-z]+)*:signer:[a-z0-9-]+:[0-9]{12}:/signing-profiles/[a-zA-Z0-9_]{2,}$`)
	signingFilterSyntax  = regexp.MustCompile(`^(?:[a-z0-9*]+(?:[._-][a-z0-9*]+)*/)*[a-z0-9*]+(?:[._-][a-z0-9*]+)*$`)
)

// check holds a configuration for a registry of a region against the limits. The sentence
// about regions is ECR's (ECR reference, errors-and-limits.md section 3).
func (c Signing) check(region string, limits Limits) error {
	const at = "signingConfiguration.rules"
	if len(c.Rules) > limits.SigningRules {
		return invalidSetting(at, "Member must have length less than or equal to %d", limits.SigningRules)
	}
	for i, rule := range c.Rules {
		if err := rule.check(fmt.Sprintf("%s.%d.member", at, i+1), limits.SigningFilters); err != nil {
			return err
		}
		if of := strings.Split(rule.Profile, ":")[3]; of != region {
			return invalidSetting("signingProfileArn", "The region of signing profile ARN '%s' is '%s' but must be '%s' (the current region)", rule.Profile, of, region)
		}
	}
	return nil
}

func (r SigningRule) check(at string, maxFilters int) error {
	if len(r.Profile) > 200 || !signingProfileSyntax.MatchString(r.Profile) {
		return invalidSetting(at+".signingProfileArn", "%.300q is not the ARN of a signing profile", r.Profile)
	}
	at += ".repositoryFilters"
	if len(r.Filters) > maxFilters {
		return invalidSetting(at, "Member must have length less than or equal to %d", maxFilters)
	}
	for _, filter := range r.Filters {
		if len(filter) > 256 || !signingFilterSyntax.MatchString(filter) {
			return invalidSetting(at, "%.300q is not a filter of at most 256 characters", filter)
		}
	}
	return nil
}

// updateSigning is update for what changes a signing configuration. A change that failed
// counts too.
func (s *Service) updateSigning(ctx context.Context, fn func(storage.Tx) error) error {
	defer s.signingChanges.n.Add(1)
	return s.update(ctx, fn)
}

// signingRules are the rules of a registry, which cost no transaction as long as none are
// changed.
func (s *Service) signingRules(ctx context.Context, id ID) ([]SigningRule, error) {
	return s.signed.Get(id, func() ([]SigningRule, error) {
		c, err := s.Signing(ctx, id)
		if CodeOf(err) == SigningNotFound {
			return nil, nil
		}
		return c.Rules, err
	})
}

// profiles are those that sign the images of a repository, each once.
func profiles(rules []SigningRule, name Name) (list []string) {
	for _, rule := range rules {
		if rule.matches(name) && !slices.Contains(list, rule.Profile) {
			list = append(list, rule.Profile)
		}
	}
	return list
}

// PutSigning replaces a registry's signing configuration. Refusal: SettingInvalid.
func (s *Service) PutSigning(ctx context.Context, id ID, c Signing) error {
	if err := c.check(id.Region, s.Limits()); err != nil {
		return err
	}
	return s.updateSigning(ctx, func(tx storage.Tx) error { return s.writeJSON(ctx, tx, id, signingKind, c) })
}

// Signing is a registry's signing configuration. Refusal: SigningNotFound.
func (s *Service) Signing(ctx context.Context, id ID) (c Signing, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		c, err = signingOf(r, id)
		return err
	})
	return c, err
}

// DeleteSigning removes a registry's signing configuration and returns what it
// was. Signatures that were made stay, and so does what is known of them. Refusal:
// SigningNotFound.
func (s *Service) DeleteSigning(ctx context.Context, id ID) (c Signing, err error) {
	err = s.updateSigning(ctx, func(tx storage.Tx) error {
		if c, err = signingOf(tx, id); err != nil {
			return err
		}
		_, err = s.removeDocument(ctx, tx, id, signingKind)
		return err
	})
	return c, err
}

func signingOf(rd storage.Reader, id ID) (c Signing, err error) {
	c, err = readJSON[Signing](rd, id, signingKind)
	if missing(err) {
		e := refuse(SigningNotFound, "registry %s of %s has no signing configuration", id.Account, id.Region)
		e.Name = Name{id: id}
		return Signing{}, e
	}
	return c, err
}
