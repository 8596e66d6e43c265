package policy_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/policy"
)

func TestEverywhere(t *testing.T) {
	const (
		all   = `"Effect":"Allow","Action":"ecr:*","Resource":"*"`
		some  = `"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:us-east-1:000000000000:repository/*"`
		when  = all + `,"Condition":{"StringEquals":{"ecr:ResourceTag/team":"x"}}`
		not   = `"Effect":"Allow","Action":"ecr:*","NotResource":"arn:aws:ecr:us-east-1:000000000000:repository/secret"`
		deny  = `"Effect":"Deny","Action":"ecr:Put*","Resource":"arn:aws:ecr:us-east-1:000000000000:repository/secret"`
		other = `"Effect":"Deny","Action":"ecr:Delete*","Resource":"*"`
	)
	in := func(statements ...string) []policy.Attached { return at("p", identity(t, several(statements...))) }
	alice := user(us, "alice")
	for what, tt := range map[string]struct {
		policies policy.Policies
		who      policy.Principal
		action   string
		want     bool
	}{
		"all":                                 {policy.Policies{Identity: in(all)}, alice, put, true},
		"all, in another case":                {policy.Policies{Identity: in(all)}, alice, "ECR:putimage", true},
		"all of what is not known":            {policy.Policies{Identity: in(`"Effect":"Allow","Action":"s3:*","Resource":"*"`)}, alice, "s3:GetObject", true},
		"nothing":                             {policy.Policies{}, alice, put, false},
		"another action":                      {policy.Policies{Identity: in(all)}, alice, "s3:GetObject", false},
		"of another account":                  {policy.Policies{Identity: in(all)}, user(them, "alice"), put, false},
		"a pattern":                           {policy.Policies{Identity: in(some)}, alice, put, false},
		"all but one":                         {policy.Policies{Identity: in(not)}, alice, put, false},
		"by tags":                             {policy.Policies{Identity: in(when)}, alice, put, false},
		"by tags, or all":                     {policy.Policies{Identity: in(when, all)}, alice, put, true},
		"denied on one":                       {policy.Policies{Identity: in(all, deny)}, alice, put, false},
		"something else is denied":            {policy.Policies{Identity: in(all, other)}, alice, put, true},
		"in a boundary":                       {policy.Policies{Identity: in(all), HasBoundary: true, Boundary: in(all)}, alice, put, true},
		"out of a boundary":                   {policy.Policies{Identity: in(all), HasBoundary: true}, alice, put, false},
		"partly in a boundary":                {policy.Policies{Identity: in(all), HasBoundary: true, Boundary: in(some)}, alice, put, false},
		"denied by a session":                 {policy.Policies{Identity: in(all), HasSession: true, Session: in(all, deny)}, alice, put, false},
		"in a session":                        {policy.Policies{Identity: in(all), HasSession: true, Session: in(all)}, alice, put, true},
		"a root":                              {policy.Policies{Root: true}, rootOf(us), put, true},
		"a root in a session for some":        {policy.Policies{Root: true, HasSession: true, Session: in(some)}, rootOf(us), put, false},
		"a root of another account":           {policy.Policies{Root: true}, rootOf(them), put, false},
		"a root, where a resource says more":  {policy.Policies{Root: true, Resource: at("r", grants(t, "Deny", `"*"`))}, rootOf(us), put, false},
		"a role's trust":                      {policy.Policies{Root: true, Trust: true}, rootOf(us), put, false},
		"anonymous callers with all policies": {policy.Policies{Identity: in(all)}, policy.Principal{Account: us, Anonymous: true}, put, false},
	} {
		tt.policies.SameAccount = tt.who.Account == us
		if got := policy.Everywhere(tt.policies, policy.Request{Principal: tt.who, Action: tt.action}); got != tt.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}

// TestEverywhereIsAllowed: what is allowed everywhere is allowed on any one resource.
func TestEverywhereIsAllowed(t *testing.T) {
	const rounds = 500
	everywhere := 0
	for i := range uint64(rounds) {
		w := dice{rand.New(rand.NewPCG(i, 9))}.world(t)
		w.policies.Resource = nil
		if !policy.Everywhere(w.policies, w.request) {
			continue
		}
		everywhere++
		if v := policy.Evaluate(w.policies, w.request); !v.Allowed {
			t.Errorf("seed %d: %+v\n%+v\n%s", i, v, w.request, strings.Join(w.texts, "\n"))
		}
	}
	if everywhere < 5 {
		t.Errorf("only %d of %d are allowed everywhere", everywhere, rounds)
	}
}
