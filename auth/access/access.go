// Package access decides who may do what: it is the Authorizer of a server with
// policies. It puts together what the caller's account says of the caller, what the
// resource's account says of the resource, and the circumstances of the request, and
// has package policy decide. Nothing is remembered between requests but what the
// sources themselves hold parsed, so a change is in force for the next one.
package access

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// Identities says what a principal's own account says of it. An accounts.Store
// does.
type Identities interface {
	Identity(ctx context.Context, p auth.Principal) (accounts.Identity, error)
}

// Resources says what there is to know of a resource by its ARN. A
// registry.Service does. Of a repository that is not there, and of one with a star in
// its name, it tells what is true of the whole registry.
type Resources interface {
	Resource(ctx context.Context, arn string) (auth.Resource, error)
}

// Options say what an Authorizer stands on. Identities and Resources are required.
type Options struct {
	Identities Identities
	Resources  Resources
	Now        func() time.Time // nil means time.Now
	// Denials takes what is denied, to be explained later; nil means nowhere.
	Denials *Denials
}

// Authorizer is an auth.Authorizer. It is safe for use by several goroutines.
type Authorizer struct {
	identities Identities
	resources  Resources
	now        func() time.Time
	denials    *Denials
}

// New returns an Authorizer.
func New(o Options) (*Authorizer, error) {
	if o.Identities == nil || o.Resources == nil {
		return nil, errors.New("access: identities and resources are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Authorizer{o.Identities, o.Resources, o.Now, o.Denials}, nil
}

// Authorize implements auth.Authorizer.
func (a *Authorizer) Authorize(ctx context.Context, c auth.Check) error {
	q, err := a.look(ctx, c)
	if err != nil {
		return err
	}
	return a.decide(ctx, &q)
}

// Prepare implements auth.Authorizer.
func (a *Authorizer) Prepare(ctx context.Context, c auth.Check) (auth.Decider, error) {
	q, err := a.look(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := a.decide(ctx, &q); err != nil {
		return nil, err
	}
	return func(more policy.Keys) error {
		again := q.with(more)
		return a.decide(ctx, &again)
	}, nil
}

// question is a check with all that bears on it.
type question struct {
	check    auth.Check
	policies policy.Policies
	request  policy.Request // without Keys until a policy could ask for them
	by       *Authorizer
	ctx      context.Context   // of the request, which has its circumstances
	tags     map[string]string // of the principal
}

// keys makes the keys.
func (q *question) keys() policy.Keys { return q.by.keys(q.ctx, q.check, q.tags) }

// fill has the keys made if any policy could ask for them. The root of an account mostly
// has none.
func (q *question) fill() {
	p := &q.policies
	if q.request.Keys == nil && len(p.Identity)+len(p.Resource)+len(p.Boundary)+len(p.Session) > 0 {
		q.request.Keys = q.keys()
	}
}

// with is the question when the pending keys are known.
func (q question) with(more policy.Keys) question {
	q.check = q.check.With(more)
	q.request.Pending = nil
	if q.request.Keys == nil {
		return q // nobody asks for any
	}
	keys := maps.Clone(q.request.Keys)
	for name, values := range more {
		keys[strings.ToLower(name)] = values
	}
	q.request.Keys = keys
	return q
}

// decide returns nil or an *auth.Denied, which is noted.
func (a *Authorizer) decide(ctx context.Context, q *question) error {
	d := q.denial(auth.RequestOf(ctx))
	if d == nil {
		return nil
	}
	d.Code = a.denials.note(ctx, d, a.now())
	return d
}

// denial is nil if the answer is yes.
func (q *question) denial(r auth.Request) *auth.Denied {
	if reason := outOfScope(r, q.check); reason != "" {
		return &auth.Denied{Check: q.check, Verdict: policy.Verdict{Statement: -1, Kind: policy.SessionPolicy}, Reason: reason}
	}
	v := policy.Evaluate(q.policies, q.request)
	if v.Allowed {
		return nil
	}
	return &auth.Denied{Check: q.check, Verdict: v, Reason: q.told(v)}
}

// told is the reason of a denial as it is told to who asked. A statement of the
// resource's policy that denies is named to those alone who could do it without: else
// the answer would be another for a repository that is not there.
func (q *question) told(v policy.Verdict) string {
	if v.Explicit && v.Kind == policy.ResourceBased {
		if without := policy.Undenied(q.policies, q.request); !without.Allowed {
			v = without
		}
	}
	return v.Reason(q.check.Action)
}

// look finds all that bears on a check.
func (a *Authorizer) look(ctx context.Context, c auth.Check) (question, error) {
	id, err := a.identity(ctx, c.Principal)
	if err != nil {
		return question{}, err
	}
	of, err := a.resources.Resource(ctx, arnOf(c))
	if err != nil {
		return question{}, err
	}
	return a.general(ctx, c, id).about(c.Resource, of), nil
}

func (a *Authorizer) identity(ctx context.Context, p auth.Principal) (accounts.Identity, error) {
	id, err := a.identities.Identity(ctx, p)
	if errors.Is(err, accounts.ErrNoUser) || errors.Is(err, accounts.ErrNoRole) {
		return accounts.Identity{}, nil // gone since its credentials were looked at: it has nothing
	}
	return id, err
}

// general is the question that a check asks whatever the resource.
func (a *Authorizer) general(ctx context.Context, c auth.Check, id accounts.Identity) question {
	q := question{
		check: c, by: a, ctx: ctx, tags: id.Tags,
		policies: policy.Policies{
			Root: c.Principal.IsRoot(), SameAccount: c.Principal.Account == c.Account && c.Account != "",
			Identity: id.Policies, Boundary: id.Boundary, HasBoundary: id.HasBoundary, Session: id.Session, HasSession: id.HasSession,
		},
		request: policy.Request{Principal: principal(c.Principal), Action: c.Action, Pending: c.Pending},
	}
	q.fill()
	return q
}

// about is the question about one resource.
func (q question) about(arn string, of auth.Resource) question {
	q.check.Resource, q.request.Resource = arn, arn
	q.policies.Resource = given(q.check, of.Policies)
	q.fill()
	if len(of.Tags) == 0 || q.request.Keys == nil {
		return q
	}
	keys := maps.Clone(q.request.Keys)
	for name, value := range of.Tags {
		name = strings.ToLower(name)
		keys["aws:resourcetag/"+name] = []string{value}
		keys["ecr:resourcetag/"+name] = []string{value}
	}
	q.request.Keys = keys
	return q
}

// arnOf is what Resources is asked for: the ARN of all repositories of the registry
// where the check is on the registry itself.
func arnOf(c auth.Check) string {
	if c.Resource != "*" {
		return c.Resource
	}
	region := c.Principal.Region
	return "arn:" + endpoint.Partition(region) + ":ecr:" + region + ":" + c.Account + ":repository/*"
}

// given are the policies of a resource that bear on an action: none gives or denies
// registry passwords (ECR reference, policies.md section 1).
func given(c auth.Check, list []policy.Attached) []policy.Attached {
	if c.Action == "ecr:GetAuthorizationToken" {
		return nil
	}
	return list
}

func principal(p auth.Principal) policy.Principal {
	return policy.Principal{Account: p.Account, ARN: p.ARN, Anonymous: p.Kind == auth.Anonymous}
}

// keys are the condition keys that every request has, those of the check, and the
// tags of the principal (IAM user guide, "AWS global condition context
// keys"; ECR reference, policies.md section 1).
func (a *Authorizer) keys(ctx context.Context, c auth.Check, tags map[string]string) policy.Keys {
	k := auth.Keys(ctx, c.Principal, tags, a.now())
	k["aws:resourceaccount"] = []string{c.Account}
	for name, values := range c.Keys {
		k[strings.ToLower(name)] = values
	}
	return k
}
