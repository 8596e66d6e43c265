package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/policy"
)

const all = "arn:aws:ecr:us-east-1:123456789012:repository/*"

// TestLooksAsItAuthorizes: one look at many resources says what a check on each
// would, and notes nothing.
func TestLooksAsItAuthorizes(t *testing.T) {
	f := setUp(t)
	f.on(t, app, `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:Describe*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}]}`, nil)
	f.on(t, app+"2", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"210987654321"},"Action":"ecr:*"}]}`, map[string]string{"Open": "yes"})
	only := func(arn string) string {
		return strings.Replace(statement("Allow", "ecr:Describe*", ""), `"*"`, `"`+arn+`"`, 1)
	}
	for what, p := range map[string]auth.Principal{
		"root":                    root(here),
		"who sees all":            f.user(t, here, "alice", statement("Allow", "ecr:*", "")),
		"who sees one":            f.user(t, here, "bob", only(app+"2")),
		"who sees some":           f.user(t, here, "carol", only(app+"?")),
		"who sees by tag":         f.user(t, here, "dora", statement("Allow", "ecr:Describe*", `,"Condition":{"StringEquals":{"ecr:ResourceTag/open":"yes"}}`)),
		"who sees nothing":        f.user(t, here, "emil", ""),
		"a foreigner":             f.user(t, there, "fred", statement("Allow", "ecr:*", "")),
		"a foreigner without":     f.user(t, there, "gina", ""),
		"nobody":                  auth.Nobody("us-east-1"),
		"somebody with a scope":   {Account: here, ARN: root(here).ARN, Kind: auth.Root, Region: "us-east-1", Scope: &auth.Scope{Repositories: []string{"team/app?"}}},
		"somebody who only pulls": {Account: here, ARN: root(here).ARN, Kind: auth.Root, Region: "us-east-1", Scope: &auth.Scope{Actions: []string{"ecr:Batch*"}}},
	} {
		check := auth.Check{Principal: p, Action: "ecr:DescribeRepositories", Resource: all, Account: here}
		look, err := f.Look(t.Context(), check)
		if err != nil {
			t.Fatal(err)
		}
		before := len(f.denials.Latest(100))
		got := map[string]error{}
		for _, arn := range []string{app, app + "2", app + "3", all} {
			got[arn] = look(t.Context(), arn, f.resources[arn])
		}
		if n := len(f.denials.Latest(100)); n != before {
			t.Errorf("%s: %d denials are noted", what, n-before)
		}
		for arn, err := range got {
			check.Resource = arn
			text := func(err error) string {
				var d *auth.Denied
				if errors.As(err, &d) {
					return fmt.Sprint(d, d.Verdict)
				}
				return fmt.Sprint(err)
			}
			if want := f.Authorize(t.Context(), check); text(err) != text(want) {
				t.Errorf("%s at %s: %v, and asked for it alone %v", what, arn, text(err), text(want))
			}
		}
		everywhere, err := auth.AllowedEverywhere(t.Context(), f, check)
		if err != nil || everywhere != (what == "root" || what == "who sees all") {
			t.Errorf("%s: everywhere %t, %v", what, everywhere, err)
		}
	}
}

// identity is that of everyone.
type identity accounts.Identity

func (i identity) Identity(context.Context, auth.Principal) (accounts.Identity, error) {
	return accounts.Identity(i), nil
}

// BenchmarkLook is what one repository more costs in a list, for a user with 50
// policies that do not speak of it.
func BenchmarkLook(b *testing.B) {
	var list []policy.Attached
	for i := range 50 {
		d, err := policy.ParseIdentity(fmt.Sprintf(`{"Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/%d/*"}]}`, i))
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, policy.Attached{Name: fmt.Sprint(i), Document: d})
	}
	a, err := access.New(access.Options{Identities: identity{Policies: list}, Resources: resources{}})
	if err != nil {
		b.Fatal(err)
	}
	look, err := a.Look(b.Context(), auth.Check{Principal: auth.Principal{Account: here, Kind: auth.User}, Action: "ecr:DescribeRepositories", Account: here})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if look(b.Context(), app, auth.Resource{}) == nil {
			b.Fatal("allowed")
		}
	}
}
