package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// What a policy decides is written down before anything is done, so that a run
// that is broken off goes on where it was. Were it decided anew each time, images
// that are gone already would no longer count, and others would be kept for them.

// decide says what a policy wants with a repository's images.
func (s *Service) decide(ctx context.Context, repo repository, p *lifecycle.Policy, now time.Time) ([]decisionRow, error) {
	all, err := s.lifecycleFacts(ctx, repo)
	if err != nil {
		return nil, err
	}
	counts := map[int]lifecycle.CountType{}
	for _, rule := range p.Rules {
		counts[rule.Priority] = rule.Count
	}
	var list []decisionRow
	for _, d := range all.decide(p, now) {
		list = append(list, decisionOf(d, counts[d.Rule]))
	}
	return list, nil
}

func decisionOf(d lifecycle.Decision, count lifecycle.CountType) decisionRow {
	img := d.Image
	row := decisionRow{
		Digest: img.Digest, Tags: img.Tags, PushedAt: img.PushedAt, ActivatedAt: img.ActivatedAt, ArchivedAt: img.ArchivedAt,
		TaggedAt: img.TaggedAt, Archived: img.Archived, Action: d.Action, Rule: d.Rule, Reason: d.Reason, Kept: d.Kept,
	}
	switch {
	case d.Follows:
		row.Subject = img.Subject
	case count == lifecycle.SinceImagePulled:
		row.PulledAt = &img.PulledAt
	}
	return row
}

// standsOn says whether the facts are still those that a decision stands on. What
// names the image is for those to look at who remove or archive it.
func (d decisionRow) standsOn(img stored, tags []string) bool {
	row := img.row
	return row.status() != Activating && d.Archived == (row.status() == Archived) &&
		d.PushedAt.Equal(row.PushedAt) && d.ActivatedAt.Equal(row.ActivatedAt) && d.ArchivedAt.Equal(row.ArchivedAt) &&
		d.TaggedAt.Equal(row.TaggedAt) && (d.PulledAt == nil || d.PulledAt.Equal(row.PulledAt)) && slices.Equal(d.Tags, tags)
}

// planBatch is how many decisions are written in a transaction.
const planBatch = 200

func planKey(n int) string { return fmt.Sprintf("%08d", n) }

// writePlan writes decisions in batches, one at least. Each transaction begins with
// note, which is told whether it is the last one, and whose error ends it all.
func (s *Service) writePlan(ctx context.Context, repo repository, plan string, list []decisionRow, note func(tx storage.Tx, last bool) error) error {
	for n := 0; ; n += planBatch {
		chunk := list[n:min(n+planBatch, len(list))]
		last := n+len(chunk) == len(list)
		err := s.update(ctx, func(tx storage.Tx) error {
			if err := note(tx, last); err != nil {
				return err
			}
			for i, d := range chunk {
				if err := decisions.Put(tx, d, repo.key(plan, planKey(n+i))...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || last {
			return err
		}
	}
}

// discard has the rows of a plan cleared away.
func (r repository) discard(tx storage.Tx, plan string) error {
	return oldPlans.Put(tx, noRow{}, r.key(plan)...)
}

// clearPlans removes the rows of plans that nobody needs any more.
func (s *Service) clearPlans(ctx context.Context) error {
	for {
		var keys [][]string
		err := s.view(ctx, func(r storage.Reader) error {
			keys = nil
			for f, err := range oldPlans.Scan(r, table.Select{Limit: batch}) {
				if err != nil {
					return err
				}
				keys = append(keys, f.Key)
			}
			return nil
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, key := range keys {
			if err := s.clearPlan(ctx, key); err != nil {
				return err
			}
		}
	}
}

func (s *Service) clearPlan(ctx context.Context, key []string) error {
	steps := []clearStep{clearTable(decisions, deleteRow(decisions)), clearTable(decided, deleteRow(decided))}
	return s.clearBy(ctx, key, steps, oldPlans.Delete)
}
