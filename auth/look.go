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
