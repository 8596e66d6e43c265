package mirror

import (
	"context"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// maxReferrers bounds how many referrers of an image are brought.
const maxReferrers = 100

// Referrers implements registry.Mirror. Upstream is asked as often as for a tag.
func (m *Mirror) Referrers(ctx context.Context, name registry.Name, from registry.Source, subject digest.Digest) error {
	if err := m.may(ctx, name, false); err != nil {
		return err
	}
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
	if err != nil {
		return named(refusal(from.Rule, registry.Ref{}, err), name)
	}
	for _, r := range list[:min(len(list), maxReferrers)] {
		if err := m.referrer(ctx, name, from, r.Digest); err != nil {
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
	if _, err := m.Bring(ctx, registry.Bringing{Name: name, From: from, Ref: registry.Ref{Digest: d}}); err != nil {
		return err
	}
	p, ok, err := m.Registry.Pending(ctx, name, d)
	if err != nil || !ok {
		return err
	}
	return m.advance(ctx, p)
}
