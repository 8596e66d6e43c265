package server

import (
	"cmp"
	"context"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

// TestLifecycle implements admin.Keeper.
func (s *Server) TestLifecycle(ctx context.Context, q admin.LifecycleQuestion) (admin.LifecycleTrial, error) {
	return testLifecycle(ctx, s.registry, s.config.Load(), q)
}

// TestLifecycle implements admin.Keeper. It opens a registry over the store for
// as long as it takes, which changes nothing.
func (k *Keeper) TestLifecycle(ctx context.Context, q admin.LifecycleQuestion) (admin.LifecycleTrial, error) {
	r, err := k.registry(ctx)
	if err != nil {
		return admin.LifecycleTrial{}, err
	}
	return testLifecycle(ctx, r, k.config, q)
}

func testLifecycle(ctx context.Context, r *registry.Service, c *config.Config, q admin.LifecycleQuestion) (admin.LifecycleTrial, error) {
	id, err := registry.ParseID(cmp.Or(q.Account, c.Account), cmp.Or(q.Region, c.Region))
	if err != nil {
		return admin.LifecycleTrial{}, err
	}
	name, err := registry.ParseName(id, q.Repository)
	if err != nil {
		return admin.LifecycleTrial{}, err
	}
	t, err := r.TryLifecycle(ctx, name, q.Policy)
	if err != nil {
		return admin.LifecycleTrial{}, err
	}
	fresh := map[digest.Digest]bool{}
	for _, d := range t.New {
		fresh[d.Image.Digest] = true
	}
	return admin.LifecycleTrial{
		Account: id.Account, Region: id.Region, Repository: name.String(), At: t.At, Images: t.Images, HasPolicy: t.HasPolicy,
		Decisions: decisions(t.Decisions, fresh), Spared: decisions(t.Spared, nil),
	}, nil
}

// decisions writes a list for people and scripts, noting which images' are new.
func decisions(list []lifecycle.Decision, fresh map[digest.Digest]bool) []admin.LifecycleDecision {
	all := make([]admin.LifecycleDecision, 0, len(list))
	for _, d := range list {
		all = append(all, admin.LifecycleDecision{
			ImageDigest: d.Image.Digest.String(), ImageTags: append([]string{}, d.Image.Tags...), ImagePushedAt: d.Image.PushedAt,
			Action: string(d.Action), RulePriority: d.Rule, Reason: d.Reason,
			FollowsSubject: d.Follows, Kept: string(d.Kept), New: fresh[d.Image.Digest],
		})
	}
	return all
}
