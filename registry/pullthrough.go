package registry

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// PullThroughRule says that repositories whose names begin with a prefix mirror
// those of another registry.
type PullThroughRule struct {
	// Prefix is a path such as "ecr-public" or RootPrefix. A slash is implied
	// behind it, so "team" and "team/" are the same rule; it is shown as it was
	// given.
	Prefix string
	// UpstreamHost is a host name without scheme or path, one of those that are
	// known or of Options.Upstreams; Upstream is its kind, "" for the latter.
	UpstreamHost string
	Upstream     Upstream
	// UpstreamPrefix stands for Prefix in the names that upstream has;
	// RootPrefix has nothing there. "" is RootPrefix.
	UpstreamPrefix string
	// Credential is the ARN of a secret, or "", and Role that of an IAM role,
	// or "": what upstream asks for.
	Credential, Role     string
	CreatedAt, UpdatedAt time.Time
}

// PullThroughChange is a change to a rule. What is nil stays as it is.
type PullThroughChange struct {
	Credential, Role *string
}

// pullThroughKey is the key of a rule's row.
func (id ID) pullThroughKey(prefix string) []string {
	return []string{id.Account, id.Region, strings.TrimSuffix(prefix, "/")}
}

// CreatePullThroughRule keeps a new rule and returns it as it is kept: its times
// are not looked at, and Upstream, which may be "", is checked where ECR does.
// Refusals: SettingInvalid, ConfigurationInvalid, UpstreamInvalid,
// UpstreamUnauthenticated, PullThroughRuleExists, TooManyPullThroughRules.
func (s *Service) CreatePullThroughRule(ctx context.Context, id ID, rule PullThroughRule) (PullThroughRule, error) {
	setDefault(&rule.UpstreamPrefix, RootPrefix)
	if err := rule.settle(id, s.live.Load().Upstreams); err != nil {
		return PullThroughRule{}, err
	}
	rule.CreatedAt = s.now().UTC()
	rule.UpdatedAt = rule.CreatedAt
	return rule, s.updateRules(ctx, func(tx storage.Tx) error {
		there, err := pullThroughRules.Has(tx, id.pullThroughKey(rule.Prefix)...)
		if err != nil {
			return err
		}
		if there {
			return ofRule(PullThroughRuleExists, id, rule.Prefix, "there is a pull-through rule for %q already", rule.Prefix)
		}
		if err := s.checkRuleCount(tx, id); err != nil {
			return err
		}
		return s.putRule(ctx, tx, id, rule)
	})
}

// UpdatePullThroughRule changes what a rule gets into its upstream with, and
// returns the rule as it is then. Refusals: PullThroughRuleNotFound,
// SettingInvalid, ConfigurationInvalid, UpstreamUnauthenticated.
func (s *Service) UpdatePullThroughRule(ctx context.Context, id ID, prefix string, change PullThroughChange) (rule PullThroughRule, err error) {
	err = s.updateRules(ctx, func(tx storage.Tx) error {
		if rule, err = findRule(tx, id, prefix); err != nil {
			return err
		}
		if change == (PullThroughChange{}) { // ECR's answer is not known
			return refuse(ConfigurationInvalid, "Invalid input: Specify a credential ARN or a custom role ARN to update the pull through cache rule with")
		}
		if change.Credential != nil {
			rule.Credential = *change.Credential
		}
		if change.Role != nil {
			rule.Role = *change.Role
		}
		known, _ := upstreamOf(rule.UpstreamHost, nil)
		if err := rule.checkCredentials(id, known); err != nil {
			return err
		}
		rule.UpdatedAt = s.now().UTC()
		return s.putRule(ctx, tx, id, rule)
	})
	return rule, err
}

// DeletePullThroughRule removes a rule and returns what it was. The repositories
// that it filled stay. Refusal: PullThroughRuleNotFound.
func (s *Service) DeletePullThroughRule(ctx context.Context, id ID, prefix string) (rule PullThroughRule, err error) {
	err = s.updateRules(ctx, func(tx storage.Tx) error {
		if rule, err = findRule(tx, id, prefix); err != nil {
			return err
		}
		if err := pullThroughRules.Delete(tx, id.pullThroughKey(prefix)...); err != nil {
			return err
		}
		return s.recordDocument(ctx, tx, id, pullThroughKind)
	})
	return rule, err
}

// PullThroughRule finds a rule by its prefix. Refusal: PullThroughRuleNotFound.
func (s *Service) PullThroughRule(ctx context.Context, id ID, prefix string) (rule PullThroughRule, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		rule, err = findRule(r, id, prefix)
		return err
	})
	return rule, err
}

// PullThroughRules lists a registry's rules in byte order of prefix, those after
// the given one ("" for the first page), at most limit. more says that there are
// others. Refusal: PageInvalid.
func (s *Service) PullThroughRules(ctx context.Context, id ID, after string, limit int) (page []PullThroughRule, more bool, err error) {
	rows := id.selectAfter(strings.TrimSuffix(after, "/"), limit)
	err = s.view(ctx, func(r storage.Reader) error {
		page, more, err = pageOf(pullThroughRules.Scan(r, rows), limit, func(f table.Found[pullThroughRow]) PullThroughRule { return f.Row.public() })
		return err
	})
	return page, more, err
}

// ValidatePullThroughRule logs in to a rule's upstream. Refusals:
// PullThroughRuleNotFound; UpstreamUnavailable, UpstreamTooMany and UpstreamDenied say what
// came of it; NotAvailable without a Mirror.
func (s *Service) ValidatePullThroughRule(ctx context.Context, id ID, prefix string) (PullThroughRule, error) {
	rule, err := s.PullThroughRule(ctx, id, prefix)
	if err != nil {
		return rule, err
	}
	if s.mirror == nil {
		return rule, notAvailable("The validation of pull through cache rules")
	}
	return rule, s.mirror.Validate(ctx, id, rule)
}

func (s *Service) putRule(ctx context.Context, tx storage.Tx, id ID, rule PullThroughRule) error {
	if err := pullThroughRules.Put(tx, pullThroughRow(rule), id.pullThroughKey(rule.Prefix)...); err != nil {
		return err
	}
	return s.recordDocument(ctx, tx, id, pullThroughKind)
}

func findRule(rd storage.Reader, id ID, prefix string) (PullThroughRule, error) {
	row, err := pullThroughRules.Get(rd, id.pullThroughKey(prefix)...)
	if errors.Is(err, storage.ErrNotFound) {
		return PullThroughRule{}, ofRule(PullThroughRuleNotFound, id, prefix, "there is no pull-through rule for %.300q", prefix)
	}
	return row.public(), err
}

func ofRule(code Code, id ID, prefix, format string, args ...any) *Error {
	e := refuse(code, format, args...)
	e.Name, e.Field = Name{id: id}, prefix
	return e
}

func (s *Service) checkRuleCount(rd storage.Reader, id ID) error {
	limit := s.Limits().PullThroughRules
	n, err := countRows(pullThroughRules.Scan(rd, table.Select{Prefix: []string{id.Account, id.Region}, Limit: limit}))
	if err != nil || n < limit {
		return err
	}
	e := ofRule(TooManyPullThroughRules, id, "", "a registry has at most %d pull-through rules", limit)
	e.Limit = int64(limit)
	return e
}

// ruleChanges counts the Service's changes of pull-through rules, or of other ones, so that
// it is known over all others, such as pushes, whether there are any.
type ruleChanges struct{ n atomic.Uint64 }

// Last implements storage.Changes.
func (c *ruleChanges) Last() uint64 { return c.n.Load() }

// counted are the changes if they are all that there are: where the index numbers its
// updates, one process alone has it, and one Service. Else it is nil.
func (c *ruleChanges) counted(x storage.Index) storage.Changes {
	if storage.ChangesOf(x) == nil {
		return nil
	}
	return c
}

// updateRules is update for what changes rules. A change that failed counts too.
func (s *Service) updateRules(ctx context.Context, fn func(storage.Tx) error) error {
	defer s.rules.n.Add(1)
	return s.update(ctx, fn)
}
