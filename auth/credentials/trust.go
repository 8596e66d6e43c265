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
	there := err == nil
	keys := auth.Keys(ctx, by, identity.Tags, v.now())
	maps.Copy(keys, r.keys(c))
	for _, action := range r.permissions(assumeRole, c) {
		q := policy.Request{Principal: policy.Principal{Account: by.Account, ARN: by.ARN}, Action: action, Resource: r.Role, Keys: keys}
		if !there || !mayAssume(by, identity, role, q) {
			return accounts.Role{}, &auth.Denied{Check: auth.Check{Principal: by, Action: action, Resource: r.Role, Account: role.Account}}
		}
	}
	return role, nil
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
func mayAssume(by auth.Principal, identity accounts.Identity, role accounts.Role, q policy.Request) bool {
	doc, err := policy.ParseTrust(role.Trust)
	if err != nil {
		return false
	}
	q.Keys = withRole(q.Keys, role)
	return doc.Decide(q).Effect == policy.Allowed && policy.Evaluate(policy.Policies{
		SameAccount: by.Account == role.Account,
		Identity:    identity.Policies, Resource: []policy.Attached{{Name: "trust policy of " + role.ARN, Document: doc}},
		Boundary: identity.Boundary, HasBoundary: identity.HasBoundary,
		Session: identity.Session, HasSession: identity.HasSession,
	}, q).Allowed
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
