package access

import (
	"context"
	"slices"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
)

// Explanation is how a check is decided, and why.
type Explanation struct {
	Check    auth.Check
	Allowed  bool
	Sentence string // ECR's, of a denial; "" where it is allowed
	Verdict  policy.Verdict
	// Policies name all that was looked at, by kind, in the order of the decision.
	Policies []Looked
	Keys     policy.Keys // the condition keys of the request
	// Remedies say what would have to change for it to be allowed, one for each step;
	// empty where it is allowed.
	Remedies []string
}

// Looked is a policy that bears on a check.
type Looked struct {
	Kind policy.Kind
	Name string
	Says policy.Effect // of it alone
	// Statement that says so, from 0, and its Sid; -1 for none.
	Statement int
	Sid       string
}

// Explain decides a check as Authorize does, for somebody who wants to know why. It
// notes no denial. Pending keys count as absent.
func (a *Authorizer) Explain(ctx context.Context, c auth.Check) (Explanation, error) {
	c.Pending = nil
	q, err := a.look(ctx, c)
	if err != nil {
		return Explanation{}, err
	}
	if q.request.Keys == nil {
		q.request.Keys = q.keys()
	}
	v := policy.Evaluate(q.policies, q.request)
	e := Explanation{Check: c, Allowed: v.Allowed, Verdict: v, Policies: looked(q), Keys: q.request.Keys}
	reason := v.Reason(c.Action)
	if why := outOfScope(auth.RequestOf(ctx), c); why != "" {
		e.Allowed, reason = false, why
		e.Remedies = append(e.Remedies, "use a registry password whose scope has the request")
	}
	if e.Allowed {
		return e, nil
	}
	e.Sentence = (&auth.Denied{Check: c, Verdict: v, Reason: reason}).Error()
	e.Remedies = append(e.Remedies, remedies(q)...)
	return e, nil
}

// looked says of each policy what it says alone.
func looked(q question) (list []Looked) {
	p := q.policies
	for _, of := range []struct {
		kind policy.Kind
		list []policy.Attached
	}{{policy.IdentityBased, p.Identity}, {policy.ResourceBased, p.Resource}, {policy.PermissionsBoundary, p.Boundary}, {policy.SessionPolicy, p.Session}} {
		for _, a := range of.list {
			d := a.Document.Decide(q.request)
			list = append(list, Looked{of.kind, a.Name, d.Effect, d.Statement, d.Sid})
		}
	}
	return list
}

// maxSteps bounds how many obstacles are named, one behind the other.
const maxSteps = 8

// remedies takes one obstacle after the other out of the way, until nothing is left
// of them.
func remedies(q question) (list []string) {
	for range maxSteps {
		v := policy.Evaluate(q.policies, q.request)
		if v.Allowed {
			return list
		}
		var step string
		if step, q.policies = remedy(q, v); slices.Contains(list, step) {
			return list
		}
		list = append(list, step)
	}
	return list
}

// remedy says how one obstacle could be taken away, and what is left without it.
func remedy(q question, v policy.Verdict) (string, policy.Policies) {
	p, c := q.policies, q.check
	if v.Explicit {
		return "change the statement that denies it in " + v.Policy, without(p, v.Policy)
	}
	allow := allowAll()
	switch v.Kind {
	case policy.IdentityBased:
		p.Identity = append(slices.Clone(p.Identity), allow)
		return "give " + c.Principal.ARN + ", or a group of it, a policy that allows " + c.Action + " on " + c.Resource, p
	case policy.PermissionsBoundary:
		p.Boundary = append(slices.Clone(p.Boundary), allow)
		return "let the permissions boundary allow " + c.Action + " on " + c.Resource, p
	case policy.SessionPolicy:
		p.Session = append(slices.Clone(p.Session), allow)
		return "begin the session with a session policy that allows " + c.Action + " on " + c.Resource, p
	}
	p.Resource = append(slices.Clone(p.Resource), allow)
	if c.Action == signAction {
		return "name the account " + c.Principal.Account + " among the accounts of " + c.Resource + " in the server's configuration (signing.profiles)", p
	}
	who := c.Principal.ARN
	if c.Principal.Kind == auth.Anonymous {
		who = "everyone (Principal \"*\")"
	}
	return "let the policy of the repository, or of the registry of account " + c.Account + ", allow " + who + " " + c.Action, p
}

// without is p without a policy.
func without(p policy.Policies, name string) policy.Policies {
	for _, list := range []*[]policy.Attached{&p.Identity, &p.Resource, &p.Boundary, &p.Session} {
		*list = slices.DeleteFunc(slices.Clone(*list), func(a policy.Attached) bool { return a.Name == name })
	}
	return p
}

// allowAll is a policy that allows everything to everyone, to see what else is in the
// way.
func allowAll() policy.Attached {
	d, err := policy.ParseRepository(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*"}]}`, "aws")
	if err != nil {
		panic(err) // the text is good
	}
	return policy.Attached{Name: "what would be allowed", Document: d}
}
