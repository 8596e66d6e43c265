package auth

import "context"

// Looker is an [Authorizer] that decides a check on many resources faster than one
// by one. One that is not is asked for each; see [LookFor].
type Looker interface {
	// Look looks up all that bears on a check but the resource, which it does not
	// look at.
	Look(ctx context.Context, c Check) (Look, error)
}

// Look decides a check on a resource of which all is known. It may read, so it is
// not for transactions. The error is a *Denied, or the fault that kept it from
// deciding.
type Look func(ctx context.Context, arn string, of Resource) error

// LookFor is the look of an authorizer for a check. The check's own resource does
// not count.
func LookFor(ctx context.Context, a Authorizer, c Check) (Look, error) {
	if l, ok := a.(Looker); ok {
		return l.Look(ctx, c)
	}
	return func(ctx context.Context, arn string, _ Resource) error {
		c := c
		c.Resource = arn
		return a.Authorize(ctx, c)
	}, nil
}

// Everywhere is a [Looker] that can tell of a check that it allows it on every resource,
// so that none needs to be looked at.
type Everywhere interface {
	// Everywhere says that a check is allowed on all resources of its account that have
	// no policies, of their own or of their registry, whatever they are called and
	// whatever tags they have. False says nothing.
	Everywhere(ctx context.Context, c Check) (bool, error)
}

// AllowedEverywhere asks an authorizer that is an [Everywhere]; false of others.
func AllowedEverywhere(ctx context.Context, a Authorizer, c Check) (bool, error) {
	if e, ok := a.(Everywhere); ok {
		return e.Everywhere(ctx, c)
	}
	return false, nil
}
