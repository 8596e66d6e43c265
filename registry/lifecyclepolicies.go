package registry

import (
	"context"
	"errors"
	"time"

	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage"
)

// LifecyclePolicy is the lifecycle policy of a repository.
type LifecyclePolicy struct {
	Text        string    // compact; see lifecycle.Compact
	Version     int       // 1 for the first one of the repository
	EvaluatedAt time.Time // when the last run ended, zero before the first one
}

func (row lifecycleRow) public() LifecyclePolicy {
	return LifecyclePolicy{row.Text, row.Version, row.EvaluatedAt}
}

// PutLifecyclePolicy gives a repository a lifecycle policy, in place of the one
// that it may have. Nothing happens to images at once: the first run comes when
// Options.LifecycleInterval is over. Refusals: RepositoryNotFound,
// LifecyclePolicyInvalid.
func (s *Service) PutLifecyclePolicy(ctx context.Context, name Name, text string) (p LifecyclePolicy, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		if _, err := s.parseLifecycle(text); err != nil {
			return err
		}
		row, err := s.putLifecycle(tx, repo, text)
		if err != nil {
			return err
		}
		p = row.public()
		return s.record(ctx, tx, RepositoryChanged, repo, eventRow{})
	})
	return p, err
}

// LifecyclePolicy is the lifecycle policy of a repository. Refusals:
// RepositoryNotFound, LifecyclePolicyNotFound.
func (s *Service) LifecyclePolicy(ctx context.Context, name Name) (p LifecyclePolicy, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		row, err := repo.lifecycle(r)
		p = row.public()
		return err
	})
	return p, err
}

// DeleteLifecyclePolicy takes the lifecycle policy from a repository and returns
// what it was. A run under way stops. Refusals as for LifecyclePolicy.
func (s *Service) DeleteLifecyclePolicy(ctx context.Context, name Name) (p LifecyclePolicy, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		row, err := repo.lifecycle(tx)
		if err != nil {
			return err
		}
		p = row.public()
		if err := repo.unschedule(tx, row); err != nil {
			return err
		}
		if err := lifecycles.Put(tx, lifecycleRow{Version: row.Version}, repo.key()...); err != nil {
			return err
		}
		return s.record(ctx, tx, RepositoryChanged, repo, eventRow{})
	})
	return p, err
}

// parseLifecycle reads the text of a lifecycle policy within the limits and
// extensions that are in force. Refusal: LifecyclePolicyInvalid.
func (s *Service) parseLifecycle(text string) (*lifecycle.Policy, error) {
	o := s.live.Load()
	if limit := o.Limits.LifecycleText; len([]rune(text)) > limit {
		return nil, lifecycleInvalid("lifecyclePolicyText", "'Member must have length less than or equal to %d'", limit)
	}
	p, err := lifecycle.Parse(text, lifecycle.Options{Extensions: o.LifecycleExtensions, MaxRules: o.Limits.LifecycleRules})
	var wrong *lifecycle.Error
	if errors.As(err, &wrong) {
		return nil, lifecycleInvalid("LifecyclePolicyText", "%s", wrong.Quoted())
	}
	return p, err
}

// lifecycleInvalid is the refusal of a text, with ECR's reason in its quotes.
func lifecycleInvalid(field, format string, args ...any) *Error {
	e := refuse(LifecyclePolicyInvalid, format, args...)
	e.Field = field
	return e
}

// lifecycle reads a repository's lifecycle policy, or refuses with
// LifecyclePolicyNotFound.
func (r repository) lifecycle(rd storage.Reader) (lifecycleRow, error) {
	row, err := lifecycles.Get(rd, r.key()...)
	if errors.Is(err, storage.ErrNotFound) || err == nil && row.Text == "" {
		e := refuse(LifecyclePolicyNotFound, "%q has no lifecycle policy", r.name)
		e.Name = r.name
		return lifecycleRow{}, e
	}
	return row, err
}

// putLifecycle keeps a text that has been parsed as a repository's lifecycle
// policy, and sets its first run.
func (s *Service) putLifecycle(tx storage.Tx, repo repository, text string) (lifecycleRow, error) {
	old, err := lifecycles.Get(tx, repo.key()...)
	if ignoreNotFound(err) != nil {
		return lifecycleRow{}, err
	}
	if err := repo.unschedule(tx, old); err != nil {
		return lifecycleRow{}, err
	}
	setDefault(&old.PolicyID, newID())
	row := lifecycleRow{Version: old.Version + 1, Text: lifecycle.Compact(text), PolicyID: old.PolicyID}
	return row, repo.schedule(tx, &row, s.now())
}

// schedule puts a policy with no run under way, to be run an interval after a
// time.
func (r repository) schedule(tx storage.Tx, row *lifecycleRow, since time.Time) error {
	row.Since, row.Plan = since.UTC(), nil
	if err := lifecyclesDue.Put(tx, dueRow{r.name.path}, r.dueKey(row.Since)...); err != nil {
		return err
	}
	return lifecycles.Put(tx, *row, r.key()...)
}

// unschedule takes back when a policy is to be run, and the run under way.
func (r repository) unschedule(tx storage.Tx, row lifecycleRow) error {
	if row.Text == "" {
		return nil
	}
	if row.Plan != nil {
		if err := r.discard(tx, row.Plan.ID); err != nil {
			return err
		}
	}
	return lifecyclesDue.Delete(tx, r.dueKey(row.Since)...)
}

// dueKey is the key of what is to be done to a repository, in order of time.
func (r repository) dueKey(at time.Time) []string { return dueKey(at, r.key()) }

func dueKey(at time.Time, repo []string) []string {
	return append([]string{sequenceKey(uint64(at.UnixNano()))}, repo...)
}
