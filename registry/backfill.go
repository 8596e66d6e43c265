package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// backfillRow is how far it was looked for what was there before a rule: in one
// registry, for one destination.
type backfillRow struct {
	// Of says what the rules and the destination take. Where that is another thing now
	// than it was, it is begun anew.
	Of string
	// Repository and Digest are where it goes on.
	Repository, Digest string `json:",omitempty"`
	Done               bool   `json:",omitempty"`
}

// backfillPage is how many images are looked at in one transaction.
const backfillPage = 100

// Backfill plans what was there before a rule named a destination, for destinations that
// are to get that: once for each change of what goes there. A page at a time is planned,
// in a transaction that also notes how far it came, so it goes on where it was after a
// restart. What came by replication is left out.
func (s *Service) Backfill(ctx context.Context) error {
	for _, d := range s.live.Load().Destinations {
		if !d.Backfill {
			continue
		}
		sources, err := s.sourcesOf(ctx, d.To)
		if err != nil {
			return err
		}
		for _, from := range sources {
			if err := s.backfill(ctx, d, from); err != nil {
				return fmt.Errorf("backfill %s in %s from %s in %s: %w", d.To.Account, d.To.Region, from.Account, from.Region, err)
			}
		}
	}
	return nil
}

// sourcesOf are the registries with rules that name a destination.
func (s *Service) sourcesOf(ctx context.Context, to ID) (list []ID, err error) {
	all, err := s.ReplicationSources(ctx)
	for from, destinations := range all {
		if slices.Contains(destinations, to) {
			list = append(list, from)
		}
	}
	return list, err
}

// to are the rules that name a destination.
func (c Replication) to(id ID) (rules []ReplicationRule) {
	for _, r := range c.Rules {
		if slices.Contains(r.Destinations, id) {
			rules = append(rules, r)
		}
	}
	return rules
}

// taken says in words what goes to a destination by these rules.
func (d Destination) taken(rules []ReplicationRule) string {
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "%q", r.Prefixes)
	}
	fmt.Fprintf(&b, " %q", d.Tags)
	return b.String()
}

func (s *Service) backfill(ctx context.Context, d Destination, from ID) error {
	for done := false; !done; {
		err := s.update(ctx, func(tx storage.Tx) (err error) {
			done, err = s.backfillPage(tx, d, from)
			return err
		})
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) backfillPage(tx storage.Tx, d Destination, from ID) (done bool, err error) {
	rules, err := replicationOf(tx, from)
	if err != nil {
		return false, err
	}
	key := []string{d.To.Account, d.To.Region, from.Account, from.Region}
	row, err := backfills.Get(tx, key...)
	if ignoreNotFound(err) != nil {
		return false, err
	}
	of := d.taken(rules.to(d.To))
	if row.Of == of && row.Done {
		return true, nil
	}
	if row.Of != of {
		row = backfillRow{Of: of}
	}
	w := filling{to: d, from: from, rules: rules, place: place{row.Repository, row.Digest}, left: backfillPage}
	if err := s.fill(tx, &w); err != nil {
		return false, err
	}
	row.Repository, row.Digest, row.Done = w.place.repository, w.place.digest, w.left > 0
	return row.Done, backfills.Put(tx, row, key...)
}

// PlanReplicas plans what is in the repositories of a registry and is not known to have
// come to a destination that the rules name, a page at a time: all repositories, or one.
// What has failed is tried again with it. Refusals: RepositoryNotFound.
func (s *Service) PlanReplicas(ctx context.Context, from ID, only string, to ID) (planned int, err error) {
	if only != "" {
		name, err := ParseName(from, only)
		if err != nil {
			return 0, err
		}
		if _, err := s.Repository(ctx, name); err != nil {
			return 0, err
		}
	}
	at := place{repository: only}
	for done := false; !done; {
		var w filling
		err := s.update(ctx, func(tx storage.Tx) error {
			rules, err := replicationOf(tx, from)
			if err != nil {
				return err
			}
			w = filling{to: s.special(to), from: from, rules: rules, only: only, missing: true, place: at, left: backfillPage}
			return s.fill(tx, &w)
		})
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return planned, err
		}
		at, done, planned = w.place, w.left > 0, planned+w.planned
		if only != "" && strings.HasSuffix(at.repository, passed) {
			return planned, nil
		}
	}
	return planned, nil
}

// ReplicationSources are the registries whose rules name any destination, with those
// destinations.
func (s *Service) ReplicationSources(ctx context.Context) (all map[ID][]ID, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		all = map[ID][]ID{}
		for f, err := range documents.Scan(r, table.Select{}) {
			if err != nil {
				return err
			}
			if f.Key[2] != replicationKind || f.Row.Text == "" {
				continue
			}
			from := ID{f.Key[0], f.Key[1]}
			rules, err := replicationOf(r, from)
			if err != nil {
				return err
			}
			for _, rule := range rules.Rules {
				for _, to := range rule.Destinations {
					if !slices.Contains(all[from], to) {
						all[from] = append(all[from], to)
					}
				}
			}
		}
		return nil
	})
	return all, err
}

// BackfillDue says whether there is anything to plan for Backfill.
func (s *Service) BackfillDue(ctx context.Context) (due bool, err error) {
	for _, d := range s.live.Load().Destinations {
		if !d.Backfill {
			continue
		}
		sources, err := s.sourcesOf(ctx, d.To)
		if err != nil {
			return false, err
		}
		err = s.view(ctx, func(r storage.Reader) error {
			due = false
			for _, from := range sources {
				rules, err := replicationOf(r, from)
				if err != nil {
					return err
				}
				row, err := backfills.Get(r, d.To.Account, d.To.Region, from.Account, from.Region)
				if ignoreNotFound(err) != nil {
					return err
				}
				due = due || !row.Done || row.Of != d.taken(rules.to(d.To))
			}
			return nil
		})
		if err != nil || due {
			return due, err
		}
	}
	return false, nil
}
