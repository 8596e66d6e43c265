// Package auth says who is asking and whether they may: a [Principal], a
// [Check] of one action on one resource, and the [Authorizer] that decides.
// Both doors ask it, so they cannot differ.
package auth

import (
	"context"
	"fmt"
	"strings"
)

// Principal is an identity whose credentials have been verified. The zero
// value is nobody.
type Principal struct {
	// Account is the twelve-digit id of the account that the identity is of.
	Account string
	// ARN names the identity, such as "arn:aws:iam::123456789012:root".
	ARN string
	// UserID is what STS calls UserId: the account id for root.
	UserID string
	// KeyID is the access key that the credentials come from: the long-lived
	// one, also where a temporary key or a registry password was shown.
	KeyID string
	// Region is the region that the credentials were used for: the scope of a
	// signature, or the region that issued a registry password.
	Region string
}

// IsZero says that p is nobody.
func (p Principal) IsZero() bool { return p.ARN == "" }

// IsRoot says whether p is the root of its account.
func (p Principal) IsRoot() bool {
	return p.Account != "" && strings.HasSuffix(p.ARN, ":iam::"+p.Account+":root")
}

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
}

// Authorizer decides. It is safe for use by several goroutines.
type Authorizer interface {
	// Authorize returns nil, a *Denied that says who may not do what, or the
	// fault that kept it from deciding.
	Authorize(ctx context.Context, c Check) error
}

// Denied is the refusal of a Check. Its text is ECR's (policies.md section 1
// of the ECR reference).
type Denied struct {
	Check Check
	// Reason completes the sentence, such as "no identity-based policy
	// allows the ecr:PutImage action".
	Reason string
}

// Error implements error.
func (d *Denied) Error() string {
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because %s",
		d.Check.Principal.ARN, d.Check.Action, d.Check.Resource, d.Reason)
}

// RootOnly is the Authorizer of a server without policies: the root of an
// account may do everything in it, everyone else nothing.
type RootOnly struct{}

// Authorize implements Authorizer.
func (RootOnly) Authorize(_ context.Context, c Check) error {
	switch {
	case c.Principal.Account != c.Account:
		return &Denied{c, "no resource-based policy allows the " + c.Action + " action"}
	case !c.Principal.IsRoot():
		return &Denied{c, "no identity-based policy allows the " + c.Action + " action"}
	}
	return nil
}

type principalKey struct{}

// WithPrincipal notes in ctx who is asking.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns who is asking, or the zero Principal where the server
// acts by itself.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}
