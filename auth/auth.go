// Package auth says who is asking and whether they may: a [Principal], a
// [Check] of one action on one resource, and the [Authorizer] that decides.
// Both doors ask it, so they cannot differ.
package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/seed-78150930/berth/auth/policy"
)

// Check asks whether Principal may do Action on Resource.
type Check struct {
	Principal Principal
	// Action is an IAM action such as "ecr:PutImage".
	Action string
	// Resource is an ARN, or "*" for an action that concerns the caller's
	// whole registry.
	Resource string
	// Account owns the resource.
	Account string
	// Keys are condition keys of this request, beside those that every request
	// has (see [Request]) and the tags of principal and resource.
	Keys policy.Keys
	// Pending names keys, in lower case, that a [Decider] will bring.
	Pending []string
}

// With is the check with more keys, none of them pending any longer.
func (c Check) With(more policy.Keys) Check {
	all := maps.Clone(c.Keys)
	if all == nil {
		all = policy.Keys{}
	}
	maps.Copy(all, more)
	c.Keys, c.Pending = all, nil
	return c
}

// Authorizer decides. It is safe for use by several goroutines.
type Authorizer interface {
	// Authorize returns nil, a *Denied that says who may not do what, or the
	// fault that kept it from deciding.
	Authorize(ctx context.Context, c Check) error
	// Prepare looks up all that bears on a check. It refuses what no value of the
	// pending keys could allow, as Authorize does; the Decider decides the rest.
	Prepare(ctx context.Context, c Check) (Decider, error)
}

// Decider decides a prepared check once the pending keys are known. It reads
// nothing, so that it may be asked inside a transaction. The error is a *Denied.
type Decider func(more policy.Keys) error

// Resource is what there is to know of a resource for decisions on it.
type Resource struct {
	Policies []policy.Attached
	Tags     map[string]string
}

// Denied is the refusal of a Check. Its text is ECR's (policies.md section 1
// of the ECR reference).
type Denied struct {
	Check   Check
	Verdict policy.Verdict
	// Reason completes the sentence, such as "because no identity-based policy
	// allows the ecr:PutImage action".
	Reason string
	// Code is the short name by which an administrator finds this denial, "" if it
	// has none.
	Code string
}

// Error implements error.
func (d *Denied) Error() string {
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s",
		d.Check.Principal.ARN, d.Check.Action, d.Check.Resource, d.Reason)
}

// DenialHeader is the header in which an answer carries Denied.Code, since ECR's
// sentence has no room for it.
const DenialHeader = "X-Berth-Denial"

// SetDenial puts the code of a denial into the header of its answer, if err is one.
func SetDenial(h http.Header, err error) {
	var denied *Denied
	if errors.As(err, &denied) && denied.Code != "" {
		h.Set(DenialHeader, denied.Code)
	}
}

// RootOnly is the Authorizer of a server without policies: the root of an
// account may do everything in it, everyone else nothing.
type RootOnly struct{}

// Authorize implements Authorizer.
func (RootOnly) Authorize(_ context.Context, c Check) error {
	v := policy.Evaluate(policy.Policies{
		Root: c.Principal.IsRoot(), SameAccount: c.Principal.Account == c.Account,
	}, policy.Request{Action: c.Action, Resource: c.Resource})
	if v.Allowed {
		return nil
	}
	return &Denied{Check: c, Verdict: v, Reason: v.Reason(c.Action)}
}

// Prepare implements Authorizer.
func (a RootOnly) Prepare(ctx context.Context, c Check) (Decider, error) {
	return AuthorizerFunc(a.Authorize).Prepare(ctx, c)
}

// AuthorizerFunc is an Authorizer that asks a function, once more when the
// pending keys are known.
type AuthorizerFunc func(context.Context, Check) error

// Authorize implements Authorizer.
func (f AuthorizerFunc) Authorize(ctx context.Context, c Check) error { return f(ctx, c) }

// Prepare implements Authorizer.
func (f AuthorizerFunc) Prepare(ctx context.Context, c Check) (Decider, error) {
	if err := f(ctx, c); err != nil {
		return nil, err
	}
	return func(more policy.Keys) error { return f(ctx, c.With(more)) }, nil
}
