package registry

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
)

// Replication is the replication configuration of a registry: what is pushed to
// its repositories from now on, or restored there, is brought to repositories of
// the same names in other registries (ECR reference, policies.md section 7), which are
// of this server unless a Destination says otherwise. The zero value brings nothing anywhere.
type Replication struct {
	Rules []ReplicationRule // at most Limits.ReplicationRules
}

// ReplicationRule brings the images of some repositories to all of its
// destinations: of those whose names begin with one of Prefixes, or of all if
// there are none.
type ReplicationRule struct {
	// Destinations are registries other than the rule's own, in the partition of
	// its region unless they are of other servers. All rules together name at most Limits.ReplicationDestinations
	// different ones.
	Destinations []ID
	Prefixes     []string `json:",omitempty"` // at most Limits.ReplicationFilters
}

func (r ReplicationRule) matches(name Name) bool {
	return len(r.Prefixes) == 0 ||
		slices.ContainsFunc(r.Prefixes, func(prefix string) bool { return strings.HasPrefix(name.path, prefix) })
}

// destinations are the registries that the images of a repository go to, each
// once.
func (c Replication) destinations(name Name) (list []ID) {
	for _, rule := range c.Rules {
		if !rule.matches(name) {
			continue
		}
		for _, to := range rule.Destinations {
			if !slices.Contains(list, to) {
				list = append(list, to)
			}
		}
	}
	return list
}

// replicationField is where ECR's messages say that a configuration is wrong.
const replicationField = "replicationConfiguration"

// (model: RepositoryFilterValue)
var replicationPrefixSyntax = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*$`)

// checkReplication holds a configuration of a registry against the limits and the
// regions that there are.
func (s *Service) checkReplication(id ID, c Replication) error {
	limits, all := s.Limits(), map[ID]bool{}
	if len(c.Rules) > limits.ReplicationRules {
		return invalidSetting(replicationField+".rules", "Member must have length less than or equal to %d", limits.ReplicationRules)
	}
	for i, rule := range c.Rules {
		if err := rule.checkPrefixes(fmt.Sprintf("%s.rules.%d.member.repositoryFilters", replicationField, i+1), limits); err != nil {
			return err
		}
		for _, to := range rule.Destinations {
			if err := s.checkDestination(id, to); err != nil {
				return err
			}
			all[to] = true
		}
	}
	if len(all) > limits.ReplicationDestinations { // ECR's words are not known
		return invalidSetting(replicationField, "The number of unique replication destinations must be less than or equal to %d", limits.ReplicationDestinations)
	}
	return nil
}

func (r ReplicationRule) checkPrefixes(at string, limits Limits) error {
	if len(r.Prefixes) > limits.ReplicationFilters {
		return invalidSetting(at, "Member must have length less than or equal to %d", limits.ReplicationFilters)
	}
	for _, prefix := range r.Prefixes {
		if len(prefix) < 2 || len(prefix) > MaxName || !replicationPrefixSyntax.MatchString(prefix) {
			return invalidSetting(at, "%.300q is not the beginning of a name: 2 to %d characters", prefix, MaxName)
		}
	}
	return nil
}

// checkDestination has ECR's sentences (ECR reference, errors-and-limits.md section 3).
func (s *Service) checkDestination(from, to ID) error {
	if from == to {
		return invalidSetting(replicationField, "Replication destination cannot be the same as the source registry")
	}
	if s.special(to).Remote {
		return nil
	}
	if !s.hasRegion(to.Region) || endpoint.Partition(to.Region) != endpoint.Partition(from.Region) {
		return invalidSetting(replicationField, "Invalid region '%s'", to.Region)
	}
	return nil
}

func (s *Service) hasRegion(region string) bool {
	return slices.Contains(s.live.Load().Regions, region)
}

// PutReplication replaces a registry's replication configuration by another, or
// takes it away if that has no rules. What was pushed before is brought where the
// rules of then said, unless a Destination has Backfill. Whether destinations let anything in is seen when an image
// comes there. Refusal: SettingInvalid.
func (s *Service) PutReplication(ctx context.Context, id ID, c Replication) error {
	if err := s.checkReplication(id, c); err != nil {
		return err
	}
	err := s.update(ctx, func(tx storage.Tx) error {
		if len(c.Rules) > 0 {
			return s.writeJSON(ctx, tx, id, replicationKind, c)
		}
		_, err := s.removeDocument(ctx, tx, id, replicationKind)
		return ignoreNotFound(err)
	})
	if err != nil {
		return err
	}
	select {
	case s.rulesChanged <- struct{}{}:
	default:
	}
	return nil
}

// RulesChanged has a value when replication rules were set: see Backfill.
func (s *Service) RulesChanged() <-chan struct{} { return s.rulesChanged }

// Replication is a registry's replication configuration.
func (s *Service) Replication(ctx context.Context, id ID) (c Replication, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		c, err = replicationOf(r, id)
		return err
	})
	return c, err
}

func replicationOf(rd storage.Reader, id ID) (Replication, error) {
	c, err := readJSON[Replication](rd, id, replicationKind)
	return c, ignoreNotFound(err)
}
