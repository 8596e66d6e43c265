package access

import (
	"context"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
)

// Look implements auth.Looker: all but the resources is looked up once. What it
// denies is not noted, because nobody has asked for any one of them.
func (a *Authorizer) Look(ctx context.Context, c auth.Check) (auth.Look, error) {
	id, err := a.identity(ctx, c.Principal)
	if err != nil {
		return nil, err
	}
	q := a.general(ctx, c, id)
	return func(ctx context.Context, arn string, of auth.Resource) error {
		about := q.about(arn, of)
		if d := about.denial(auth.RequestOf(ctx)); d != nil {
			return d
		}
		return nil
	}, nil
}

// Everywhere implements auth.Everywhere.
func (a *Authorizer) Everywhere(ctx context.Context, c auth.Check) (bool, error) {
	if c.Principal.Scope != nil {
		return false, nil // it may name repositories
	}
	id, err := a.identity(ctx, c.Principal)
	if err != nil {
		return false, err
	}
	q := a.general(ctx, c, id)
	return policy.Everywhere(q.policies, q.request), nil
}
