package credentials

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/auth/token"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// The permissions that acting as a role takes: tags and a source identity need
// their own (IAM user guide, "Passing session tags in AWS STS" and "Monitor and
// control actions taken with assumed roles").
const (
	assumeRole        = "sts:AssumeRole"
	assumeByToken     = "sts:AssumeRoleWithWebIdentity"
	tagSession        = "sts:TagSession"
	setSourceIdentity = "sts:SetSourceIdentity"
)

// chainedLife is how long a session may last that a session of another role began
// (IAM user guide, "Role chaining").
const chainedLife = time.Hour

// maxChain is how many roles may be assumed one from the other. AWS names no bound.
const maxChain = 8

// RoleRequest is what somebody asks for who wants to act as a role.
type RoleRequest struct {
	Role       string        // ARN
	Name       string        // of the session
	Duration   time.Duration // 0 means an hour
	ExternalID string        // "" for none
	Policy     string        // text that limits the session, "" for none
	PolicyARNs []string      // managed policies that limit it
	Tags       map[string]string
	Transitive []string // keys of tags that go on to the roles assumed from the session
	// SourceIdentity is who is really acting, "" if that is not said.
	SourceIdentity string
}

// RoleSession is a temporary key of somebody who acts as a role.
type RoleSession struct {
	Session
	Role           string // ARN of the role
	ARN, UserID    string // of who acts so
	PackedPercent  int    // of what a session may carry in policies and tags
	SourceIdentity string
	// Provider, Audience and Subject are those of a web identity, "" without one.
	Provider, Audience, Subject string
}

// AssumeRole issues a temporary key of a session of a role, if the role's trust
// policy and the policies of who asks let him have it. A role that is not there is
// refused as one is that does not trust him. The error is an *auth.Denied, an *Error
// or a fault.
//
// The root of an account cannot act as a role (STS API reference, AssumeRole).
func (v *Verifier) AssumeRole(ctx context.Context, by auth.Principal, r RoleRequest) (RoleSession, error) {
	if by.Kind == auth.Root {
		return RoleSession{}, denyRole("Roles may not be assumed by root accounts.")
	}
	from, err := v.lineage(ctx, by)
	if err != nil {
		return RoleSession{}, err
	}
	carried, err := r.carried(by.Session)
	if err != nil {
		return RoleSession{}, err
	}
	role, err := v.trusting(ctx, by, r, carried)
	if err != nil {
		return RoleSession{}, err
	}
	if by.Kind == auth.Role && r.Duration > chainedLife {
		return RoleSession{}, refuse(ValidationError, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	s := token.Session{Lineage: from, Carried: carried, SourceIdentity: r.SourceIdentity}
	return v.act(ctx, role, r, s, endpoint.Partition(by.Region))
}

// act issues the temporary key of a session of a role that may be had.
func (v *Verifier) act(ctx context.Context, role accounts.Role, r RoleRequest, s token.Session, partition string) (RoleSession, error) {
	if r.Duration == 0 {
		r.Duration = time.Hour
	}
	if r.Duration > role.MaxSession {
		return RoleSession{}, refuse(ValidationError, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	if len(s.Roles) >= maxChain {
		return RoleSession{}, refuse(ValidationError, "At most %d roles can be assumed one from the other.", maxChain)
	}
	percent, err := v.checkCarried(ctx, role.Account, s.Carried)
	if err != nil {
		return RoleSession{}, err
	}
	s.Account, s.Name = role.Account, r.Name
	s.Roles = append(slices.Clone(s.Roles), token.Role{Account: role.Account, Name: role.Name, Mark: role.Mark})
	issued, err := v.issue(s, r.Duration)
	if err != nil {
		return RoleSession{}, err
	}
	return RoleSession{
		Session: issued, Role: role.ARN, ARN: assumedARN(role, r.Name, partition), UserID: role.ID + ":" + r.Name,
		PackedPercent: percent, SourceIdentity: s.SourceIdentity, Provider: s.Provider, Subject: s.Subject,
	}, nil
}

// carried are the policies and tags of a session that one of another role, nil for
// none, begins: its transitive tags go on, and cannot be changed.
func (r *RoleRequest) carried(of *auth.Session) (token.Carried, error) {
	c := token.Carried{PolicyARNs: r.PolicyARNs, Tags: maps.Clone(r.Tags), Transitive: slices.Clone(r.Transitive)}
	if r.Policy != "" {
		c.Policies = []string{r.Policy}
	}
	for _, key := range c.Transitive {
		if _, ok := c.Tags[key]; !ok {
			return c, refuse(InvalidParameter, "The specified transitive tag key must be included in the requested tags.")
		}
	}
	if of == nil {
		return c, nil
	}
	if of.SourceIdentity != "" && r.SourceIdentity != "" && r.SourceIdentity != of.SourceIdentity {
		return c, denyRole("The source identity of a session cannot be changed.")
	}
	if of.SourceIdentity != "" {
		r.SourceIdentity = of.SourceIdentity
	}
	for _, key := range of.Transitive {
		if hasTag(r.Tags, key) {
			return c, refuse(InvalidParameter, "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
		if c.Tags == nil {
			c.Tags = map[string]string{}
		}
		c.Tags[key] = of.Tags[key]
	}
	c.Transitive = append(c.Transitive, of.Transitive...)
	return c, nil
}

// hasTag compares keys as AWS does, in any case.
func hasTag(tags map[string]string, key string) bool {
	for k := range tags {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// checkCarried refuses policies that are none or not there, and more than a session
// can carry. It returns how much of that there is, in percent.
func (v *Verifier) checkCarried(ctx context.Context, account string, c token.Carried) (percent int, err error) {
	for _, text := range c.Policies {
		if _, err := policy.ParseIdentity(text); err != nil {
			return 0, refuse(MalformedPolicyDocument, "The session policy is not a valid policy: %v", err)
		}
	}
	for _, arn := range c.PolicyARNs {
		_, err := v.accounts.Policy(ctx, account, arn)
		if errors.Is(err, accounts.ErrNoPolicy) || !strings.HasPrefix(arn, "arn:") { // AWS's words are unknown
			return 0, refuse(InvalidParameter, "There is no policy %.200s that could limit the session.", arn)
		}
		if err != nil {
			return 0, fmt.Errorf("look up session policy: %w", err)
		}
	}
	n, err := c.Packed()
	if err != nil {
		return 0, fmt.Errorf("pack session policies: %w", err)
	}
	if percent = (100*n + token.MaxPacked - 1) / token.MaxPacked; percent > 100 {
		return 0, refuse(PackedPolicyTooLarge, "Packed policy consumes %d%% of allotted space, please use smaller policy.", percent)
	}
	return percent, nil
}

// denyRole is a refusal to act as a role.
func denyRole(format string, args ...any) *Error {
	e := refuse(AccessDenied, format, args...)
	e.Status = http.StatusForbidden
	return e
}
