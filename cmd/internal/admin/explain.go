package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry"
)

// The calls about decisions.
var (
	Explain       = Call[Case, Explanation]{"explain"}
	ExplainDenial = Call[ByID, Denial]{"explain-denial"} // by its code
	ListDenials   = Call[None, []Denial]{"list-denials"} // the latest first
)

// Judge is who decides, over what, and what was denied.
type Judge struct {
	Access   *access.Authorizer
	Registry *registry.Service
	Denials  *access.Denials // nil where no server runs: denials are held in memory
}

// Case is a request that somebody might make.
type Case struct {
	Account    string     `json:"account,omitempty"` // that names in As are of
	As         string     `json:"as"`
	Action     string     `json:"action"`
	Registry   string     `json:"registry,omitempty"` // account whose registry it is about
	Region     string     `json:"region,omitempty"`
	Repository string     `json:"repository,omitempty"`
	Tag        string     `json:"tag,omitempty"`
	Profile    string     `json:"profile,omitempty"` // ARN of a signing profile that it is about
	From       netip.Addr `json:"from,omitzero"`
	Plain      bool       `json:"plain,omitempty"` // by plain HTTP
}

func (q Case) subject() string { return q.As }

// The decisions.
const (
	allowed = "allowed"
	denied  = "denied"
)

// Explanation is how a request is decided, and why. Its JSON form is what commands
// print.
type Explanation struct {
	Decision  string  `json:"Decision"` // "allowed" or "denied"
	Principal string  `json:"Principal"`
	Action    string  `json:"Action"`
	Resource  string  `json:"Resource"`
	Account   string  `json:"Account"`           // of the resource
	Message   string  `json:"Message,omitempty"` // what clients are told of the denial
	Decided   Decided `json:"Decided"`
	// Policies are all that were looked at, with what each says alone.
	Policies []Looked            `json:"Policies"`
	Keys     map[string][]string `json:"ConditionKeys"`
	// Remedies say what would have to change for it to be allowed.
	Remedies []string `json:"ToAllow"`
}

// Decided is what decided a request.
type Decided struct {
	Kind string `json:"Kind,omitempty"` // of the policy; "" for an account's root
	// Policy says where it is; "" means that none of the kind allows it.
	Policy    string `json:"Policy,omitempty"`
	Statement int    `json:"Statement,omitempty"` // its place there, from 1
	Sid       string `json:"Sid,omitempty"`
}

// Looked is a policy that was looked at.
type Looked struct {
	Kind      string `json:"Kind"`
	Policy    string `json:"Policy"`
	Says      string `json:"Says"`                // "allow", "deny" or "nothing"
	Statement int    `json:"Statement,omitempty"` // that says so, from 1
	Sid       string `json:"Sid,omitempty"`
}

// Denial is a denial that happened. Its JSON form is what commands print.
type Denial struct {
	Code      string    `json:"Code"`
	First     time.Time `json:"First"`
	Last      time.Time `json:"Last"`
	Count     int       `json:"Count"`
	Message   string    `json:"Message"`
	Principal string    `json:"Principal"`
	KeyID     string    `json:"AccessKeyId,omitempty"`
	Action    string    `json:"Action"`
	Resource  string    `json:"Resource"`
	RequestID string    `json:"RequestId,omitempty"` // of the last one, as what follows
	SourceIP  string    `json:"SourceIp,omitempty"`
	UserAgent string    `json:"UserAgent,omitempty"`
	Decided   Decided   `json:"Decided"`
	// Now is how the same request would be decided now; it is not there in lists, nor of
	// a denial to act as a role.
	Now *Explanation `json:"Now,omitempty"`
}

func (c *Clerk) answerDecisions(all answers) {
	answered(all, Explain, c.explain)
	answered(all, ExplainDenial, c.explainDenial)
	answered(all, ListDenials, c.listDenials)
}

func (c *Clerk) explain(ctx context.Context, q Case) (Explanation, error) {
	judge, err := c.Judge(ctx)
	if err != nil {
		return Explanation{}, err
	}
	check, err := c.check(ctx, judge, q)
	if err != nil {
		return Explanation{}, err
	}
	e, err := judge.Access.Explain(auth.WithRequest(ctx, auth.Request{SourceIP: q.From, Secure: !q.Plain}), check)
	if err != nil {
		return Explanation{}, err
	}
	return c.disabled(ctx, check.Principal, c.explanationOf(e))
}

// disabled adds to an explanation that a user is disabled, whose policies then are not
// looked at.
func (c *Clerk) disabled(ctx context.Context, p auth.Principal, e Explanation) (Explanation, error) {
	if p.Kind != auth.User {
		return e, nil
	}
	u, err := c.Accounts.User(ctx, p.Account, p.Name)
	if err == nil && u.Disabled {
		e.Decision = denied
		e.Remedies = append([]string{"enable the user " + u.Name + ", whose credentials are all refused"}, e.Remedies...)
	}
	return e, err
}

// check is the request of a case.
func (c *Clerk) check(ctx context.Context, judge Judge, q Case) (auth.Check, error) {
	action, err := knownAction(q.Action)
	if err != nil {
		return auth.Check{}, err
	}
	region := cmp.Or(q.Region, c.Region)
	id, err := registry.ParseID(c.account(q.Registry), region)
	if err != nil {
		return auth.Check{}, err
	}
	by, err := c.principal(ctx, q.As, c.account(q.Account), region)
	if err != nil {
		return auth.Check{}, err
	}
	check := auth.Check{Principal: by, Action: action, Resource: "*", Account: id.Account}
	if isSigning := slices.Contains(policy.SignerActions, action); isSigning || q.Profile != "" {
		if !isSigning || q.Repository+q.Tag != "" || !registry.IsSigningProfile(q.Profile) {
			return check, errProfile
		}
		check.Resource, check.Account = q.Profile, strings.Split(q.Profile, ":")[4]
		return check, nil
	}
	if q.Repository == "" {
		return check, nil
	}
	name, err := registry.ParseName(id, q.Repository)
	if err != nil {
		return auth.Check{}, err
	}
	check.Resource = id.ARN(name.String())
	check.Keys, err = tagKeys(ctx, judge.Registry, name, q.Tag)
	return check, err
}

// tagKeys are the condition keys of a request that is about a tag, as far as they are
// known before there is an image.
func tagKeys(ctx context.Context, r *registry.Service, name registry.Name, text string) (policy.Keys, error) {
	if text == "" {
		return nil, nil
	}
	tag, err := registry.ParseTag(text)
	if err != nil {
		return nil, err
	}
	_, err = r.DescribeImage(ctx, name, registry.Ref{Tag: tag})
	if err != nil && registry.CodeOf(err) == "" {
		return nil, err
	}
	return policy.Keys{"berth:imagetag": {text}, "berth:tagexists": {strconv.FormatBool(err == nil)}}, nil
}

// errAction says that there is no such action.
var errAction = errors.New("no action of ECR; those that there are have names such as ecr:PutImage")

// errProfile says that a signing profile and the action on it go together.
var errProfile = errors.New("signer:SignPayload is about a signing profile alone, which is named by its ARN, and nothing else is about one")

// knownAction is an action of ECR as it is written, whatever its case, or one of Signer.
func knownAction(action string) (string, error) {
	all := slices.Concat(policy.Actions, policy.SignerActions)
	i := slices.IndexFunc(all, func(a string) bool { return strings.EqualFold(a, action) })
	if i < 0 {
		return "", fmt.Errorf("%q: %w", action, errAction)
	}
	return all[i], nil
}

// errNoDenials says that denials are not to be had.
var errNoDenials = errors.New("no server is running, and denials are held by the one that runs")

// errNoDenial says that a code names no denial.
var errNoDenial = errors.New("no denial has this code; the server holds those since its start, and forgets the oldest of very many")

func (c *Clerk) denials(ctx context.Context) (Judge, error) {
	judge, err := c.Judge(ctx)
	if err == nil && judge.Denials == nil {
		err = errNoDenials
	}
	return judge, err
}

func (c *Clerk) explainDenial(ctx context.Context, q ByID) (Denial, error) {
	judge, err := c.denials(ctx)
	if err != nil {
		return Denial{}, err
	}
	found, ok := judge.Denials.Find(q.ID)
	if !ok {
		return Denial{}, errNoDenial
	}
	d := denialOf(found)
	if strings.HasPrefix(found.Check.Action, "sts:") { // a role's trust policy decides, which Explain does not know
		return d, nil
	}
	e, err := judge.Access.Explain(auth.WithRequest(ctx, found.Request), found.Check)
	if err != nil {
		return Denial{}, err
	}
	now := c.explanationOf(e)
	d.Now = &now
	return d, nil
}

// shownDenials is how many denials a list has at most.
const shownDenials = 100

func (c *Clerk) listDenials(ctx context.Context, _ None) ([]Denial, error) {
	judge, err := c.denials(ctx)
	if err != nil {
		return nil, err
	}
	return each(judge.Denials.Latest(shownDenials), denialOf), nil
}

func denialOf(d access.Denial) Denial {
	out := Denial{
		Code: d.Code, First: d.First.UTC(), Last: d.Last.UTC(), Count: d.Count, Message: d.Error(),
		Principal: d.Check.Principal.ARN, KeyID: d.Check.Principal.KeyID, Action: d.Check.Action, Resource: d.Check.Resource,
		RequestID: d.Request.ID, UserAgent: d.Request.UserAgent, Decided: decidedBy(d.Verdict),
	}
	if d.Request.SourceIP.IsValid() {
		out.SourceIP = d.Request.SourceIP.String()
	}
	return out
}

func decidedBy(v policy.Verdict) Decided {
	return Decided{Kind: string(v.Kind), Policy: v.Policy, Statement: v.Statement + 1, Sid: v.Sid}
}

// says are words for what a policy says.
var says = map[policy.Effect]string{policy.Allowed: "allow", policy.Denied: "deny", policy.NoMatch: "nothing"}

func (c *Clerk) explanationOf(e access.Explanation) Explanation {
	out := Explanation{
		Decision: denied, Principal: e.Check.Principal.ARN, Action: e.Check.Action, Resource: e.Check.Resource, Account: e.Check.Account,
		Message: e.Sentence, Decided: decidedBy(e.Verdict), Keys: maps.Clone(e.Keys), Remedies: append([]string{}, e.Remedies...),
		Policies: each(e.Policies, func(l access.Looked) Looked {
			return Looked{Kind: string(l.Kind), Policy: l.Name, Says: says[l.Says], Statement: l.Statement + 1, Sid: l.Sid}
		}),
	}
	if e.Allowed {
		out.Decision = allowed
	}
	if e.Check.Principal.Kind == auth.Anonymous && !c.AnonymousPull {
		out.Decision = denied
		out.Remedies = append([]string{"let the server answer reads without credentials: set anonymous-pull to true"}, out.Remedies...)
	}
	return out
}
