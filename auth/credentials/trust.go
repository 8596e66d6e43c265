package credentials

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/auth/token"
)

var roleARN = regexp.MustCompile(`^arn:[a-z-]+:iam::([0-9]{12}):role/(?:[\x21-\x7E]*/)?([\w+=,.@-]+)$`)

// role finds the role that an ARN names, or accounts.ErrNoRole.
func (v *Verifier) role(ctx context.Context, arn string) (accounts.Role, error) {
	m := roleARN.FindStringSubmatch(arn)
	if m == nil {
		return accounts.Role{}, accounts.ErrNoRole
	}
	role, err := v.accounts.Role(ctx, m[1], m[2])
	if err != nil {
		return accounts.Role{}, err
	}
	if role.ARN != arn { // of another path, or partition
		return accounts.Role{}, accounts.ErrNoRole
	}
	return role, nil
}

// trusting returns the role that is asked for if who asks may act as it, with all
// that the session is to carry.
func (v *Verifier) trusting(ctx context.Context, by auth.Principal, r RoleRequest, c token.Carried) (accounts.Role, error) {
	identity, err := v.accounts.Identity(ctx, by)
	if err != nil && !errors.Is(err, accounts.ErrNoUser) && !errors.Is(err, accounts.ErrNoRole) {
		return accounts.Role{}, fmt.Errorf("look up the policies of %s: %w", by.ARN, err)
	}
	role, err := v.role(ctx, r.Role)
	if err != nil && !errors.Is(err, accounts.ErrNoRole) {
		return accounts.Role{}, fmt.Errorf("look up role: %w", err)
	}
	keys := auth.Keys(ctx, by, identity.Tags, v.now())
	maps.Copy(keys, r.keys(c))
	for _, action := range r.permissions(assumeRole, c) {
		q := policy.Request{Principal: policy.Principal{Account: by.Account, ARN: by.ARN}, Action: action, Resource: r.Role, Keys: keys}
		check := auth.Check{Principal: by, Action: action, Resource: r.Role, Account: accountOf(r.Role), Keys: q.Keys}
		if err != nil {
			return accounts.Role{}, v.denied(ctx, check, untrusted, noRole)
		}
		if verdict, why := mayAssume(by, identity, role, q); !verdict.Allowed {
			return accounts.Role{}, v.denied(ctx, check, verdict, why)
		}
	}
	return role, nil
}

// noRole is why nobody may act as a role that is not there.
const noRole = "because there is no such role"

// untrusted is the verdict where no trust policy allows.
var untrusted = policy.Verdict{Kind: policy.ResourceBased, Statement: -1}

// accountOf is the account in the ARN of a role, "" if it is none.
func accountOf(arn string) string {
	m := roleARN.FindStringSubmatch(arn)
	if m == nil {
		return ""
	}
	return m[1]
}

// denied is a denial, the same whatever the reason is: that is told to those alone who
// ask the server by the denial's code.
func (v *Verifier) denied(ctx context.Context, c auth.Check, verdict policy.Verdict, why string) *auth.Denied {
	d := &auth.Denied{Check: c, Verdict: verdict}
	d.Code = v.noteDenial(ctx, d, why)
	d.Verdict = policy.Verdict{Statement: -1}
	return d
}

// permissions are those that a request takes, the first of which is action.
func (r RoleRequest) permissions(action string, c token.Carried) []string {
	list := []string{action}
	if len(c.Tags) > 0 {
		list = append(list, tagSession)
	}
	if r.SourceIdentity != "" {
		list = append(list, setSourceIdentity)
	}
	return list
}

// mayAssume says whether trust policy and identity allow a request. The trust policy
// must in any case: unlike other policies of resources it cannot be done without in
// the role's own account (IAM user guide, "Policy evaluation logic": "IAM role trust
// policies and KMS key policies are exceptions").
func mayAssume(by auth.Principal, identity accounts.Identity, role accounts.Role, q policy.Request) (v policy.Verdict, why string) {
	trust, why := trustOf(role, &q)
	if why != "" {
		return policy.Verdict{Kind: policy.ResourceBased, Policy: trust.Name, Statement: -1}, why
	}
	v = policy.Evaluate(policy.Policies{
		SameAccount: by.Account == role.Account,
		Identity:    identity.Policies, Resource: []policy.Attached{trust},
		Boundary: identity.Boundary, HasBoundary: identity.HasBoundary,
		Session: identity.Session, HasSession: identity.HasSession,
	}, q)
	return v, v.Reason(q.Action)
}

// trustOf is the trust policy of a role, and why it does not allow a request, "" if it
// does. The request is told what there is to know of the role.
func trustOf(role accounts.Role, q *policy.Request) (trust policy.Attached, why string) {
	trust.Name = "trust policy of " + role.ARN
	doc, err := policy.ParseTrust(role.Trust)
	if err != nil {
		return trust, "because the role's trust policy cannot be read"
	}
	trust.Document = doc
	q.Keys = withRole(q.Keys, role)
	switch doc.Decide(*q).Effect {
	case policy.Allowed:
		return trust, ""
	case policy.Denied:
		return trust, "with an explicit deny in the role's trust policy"
	}
	return trust, "because the role's trust policy does not allow the " + q.Action + " action"
}

// withRole adds what there is to know of the role.
func withRole(keys policy.Keys, role accounts.Role) policy.Keys {
	keys = maps.Clone(keys)
	keys["aws:resourceaccount"] = []string{role.Account}
	for name, value := range role.Tags {
		keys["aws:resourcetag/"+strings.ToLower(name)] = []string{value}
		keys["iam:resourcetag/"+strings.ToLower(name)] = []string{value}
	}
	return keys
}

// keys are what a request tells trust policies (IAM user guide, "IAM and AWS STS
// condition context keys").
func (r RoleRequest) keys(c token.Carried) policy.Keys {
	k := policy.Keys{"sts:rolesessionname": {r.Name}}
	if r.ExternalID != "" {
		k["sts:externalid"] = []string{r.ExternalID}
	}
	if r.SourceIdentity != "" {
		k["sts:sourceidentity"] = []string{r.SourceIdentity}
	}
	if len(c.Transitive) > 0 {
		k["sts:transitivetagkeys"] = slices.Sorted(slices.Values(c.Transitive))
	}
	if len(c.Tags) > 0 {
		k["aws:tagkeys"] = slices.Sorted(maps.Keys(c.Tags))
	}
	for name, value := range c.Tags {
		k["aws:requesttag/"+strings.ToLower(name)] = []string{value}
	}
	return k
}
