package registry

import (
	"context"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/lifecycle"
)

// LifecycleTrial is what a lifecycle policy would do to a repository.
type LifecycleTrial struct {
	At        time.Time
	Images    int                  // that the repository has
	Decisions []lifecycle.Decision // in the order that they would be carried out
	// HasPolicy says whether the repository has a policy today. New are those of
	// Decisions that it would not do, and Spared what it would do and the one on
	// trial would not. What is kept is in neither.
	HasPolicy   bool
	New, Spared []lifecycle.Decision
}

// TryLifecycle says what a lifecycle policy would do to a repository now, and
// how that differs from what its policy of today would do. It changes nothing.
// Refusals: RepositoryNotFound, LifecyclePolicyInvalid.
func (s *Service) TryLifecycle(ctx context.Context, name Name, text string) (LifecycleTrial, error) {
	policy, err := s.parseLifecycle(text)
	if err != nil {
		return LifecycleTrial{}, err
	}
	repo, err := s.repository(ctx, name)
	if err != nil {
		return LifecycleTrial{}, err
	}
	today, has, err := s.lifecycleToday(ctx, name)
	if err != nil {
		return LifecycleTrial{}, err
	}
	all, err := s.lifecycleFacts(ctx, repo)
	if err != nil {
		return LifecycleTrial{}, err
	}
	at := s.now().UTC()
	tried, done := all.decide(policy, at), all.decide(today, at)
	return LifecycleTrial{
		At: at, Images: len(all.list), Decisions: tried, HasPolicy: has,
		New: lifecycle.Only(tried, done), Spared: lifecycle.Only(done, tried),
	}, nil
}

// lifecycleToday is the policy that a repository has; nil if it has none, or one
// that the settings do not take any more, which is not run.
func (s *Service) lifecycleToday(ctx context.Context, name Name) (p *lifecycle.Policy, has bool, err error) {
	today, err := s.LifecyclePolicy(ctx, name)
	switch {
	case CodeOf(err) == LifecyclePolicyNotFound:
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	p, err = s.parseLifecycle(today.Text)
	if CodeOf(err) == LifecyclePolicyInvalid {
		return nil, true, nil
	}
	return p, true, err
}

// decide says what a policy wants with the images; nil wants nothing. Images on
// their way back from the archive are let alone until they are there.
func (all *allFacts) decide(p *lifecycle.Policy, at time.Time) []lifecycle.Decision {
	if p == nil {
		return nil
	}
	return slices.DeleteFunc(p.Decide(all.list, at), func(d lifecycle.Decision) bool { return all.returning[d.Image.Digest] })
}
