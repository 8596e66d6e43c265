package mirror

import (
	"context"
	"errors"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// maxReferrers bounds how many referrers of an image are brought.
const maxReferrers = 100

// Referrers implements registry.Mirror. Upstream is asked as often as for a tag.
func (m *Mirror) Referrers(ctx context.Context, name registry.Name, from registry.Source, subject digest.Digest) error {
	if err := m.may(ctx, name, false); err != nil {
		return err
	}
	_, err := m.ask(ctx, question{name, registry.Ref{Digest: subject}, true}, func(ctx context.Context) (bool, error) {
		return true, m.bringReferrers(ctx, name, from, subject)
	})
	return err
}

// bringReferrers brings those of an image, unless upstream has been asked for them lately.
func (m *Mirror) bringReferrers(ctx context.Context, name registry.Name, from registry.Source, subject digest.Digest) error {
	key := imageKey{name.ARN(), subject}
	m.mu.Lock()
	asked := m.listed[key]
	m.mu.Unlock()
	if !asked.IsZero() && m.Now().Sub(asked) < m.Revalidate() {
		return nil
	}
	up, err := m.upstream(from.Rule)
	if err != nil {
		return err
	}
	list, err := up.Referrers(ctx, from.Repository, subject)
	if err != nil && !errors.Is(err, peer.ErrNotFound) {
		return named(refusal(from.Rule, registry.Ref{}, err), name)
	}
	for _, r := range list[:min(len(list), maxReferrers)] {
		err := m.referrer(ctx, name, from, r.Digest)
		if registry.CodeOf(err) == registry.ImageNotFound || isWrong(err) {
			continue // the others are good without it
		}
		if err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.listed) >= maxKept {
		clear(m.listed)
	}
	m.listed[key] = m.Now()
	return nil
}

// referrer has one brought whole, unless it is here.
func (m *Mirror) referrer(ctx context.Context, name registry.Name, from registry.Source, d digest.Digest) error {
	if _, err := m.Registry.DescribeImage(ctx, name, registry.Ref{Digest: d}); err == nil {
		return nil
	}
	if _, err := m.askFor(ctx, registry.Bringing{Name: name, From: from, Ref: registry.Ref{Digest: d}}); err != nil {
		return err
	}
	p, ok, err := m.Registry.Pending(ctx, name, d)
	if err != nil || !ok {
		return err
	}
	if err := m.advance(ctx, p, func(context.Context) {}); !errors.Is(err, errWaiting) {
		return err
	}
	return nil // it lists images, which come in the background
}
