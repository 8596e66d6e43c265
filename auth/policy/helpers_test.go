package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/policy"
)

const (
	us, them = "000000000000", "111111111111"
	app      = "arn:aws:ecr:us-east-1:000000000000:repository/team/app"
)

func repository(t testing.TB, text string) *policy.Document {
	t.Helper()
	d, err := policy.ParseRepository(text, "aws")
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func identity(t testing.TB, text string) *policy.Document {
	t.Helper()
	d, err := policy.ParseIdentity(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func trust(t testing.TB, text string) *policy.Document {
	t.Helper()
	d, err := policy.ParseTrust(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

// one is a policy of one statement, given by the inside of its object.
func one(statement string) string {
	return `{"Version":"2012-10-17","Statement":[{` + statement + `}]}`
}

// several is a policy of statements, each given by the inside of its object.
func several(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[{` + strings.Join(statements, "},{") + `}]}`
}

func user(account, name string) policy.Principal {
	return policy.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":user/" + name}
}

func session(account, role, name string) policy.Principal {
	return policy.Principal{Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + name}
}

func rootOf(account string) policy.Principal {
	return policy.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":root"}
}

// outcome is an operator of conditions, values for it in JSON, what a request has
// for the key (nil if it has not), and whether that is enough.
type outcome struct {
	operator, wanted string
	given            []string
	want             bool
}

func is(values ...string) []string { return values }

// checkOutcomes tries each, in a statement that allows and in one that denies.
func checkOutcomes(t *testing.T, outcomes []outcome) {
	t.Helper()
	for _, o := range outcomes {
		t.Run(fmt.Sprintf("%s %s of %q", o.operator, o.wanted, o.given), func(t *testing.T) {
			q := policy.Request{Principal: user(us, "u"), Action: "ecr:PutImage", Resource: app, Keys: policy.Keys{}}
			if o.given != nil {
				q.Keys["berth:test"] = o.given
			}
			q.Keys["aws:username"] = is("alice")
			for effect, met := range map[string]policy.Effect{"Allow": policy.Allowed, "Deny": policy.Denied} {
				d := identity(t, one(`"Effect":"`+effect+`","Action":"ecr:PutImage","Resource":"*","Condition":{"`+o.operator+`":{"Berth:Test":`+o.wanted+`}}`))
				if got := d.Decide(q).Effect == met; got != o.want {
					t.Errorf("in %s: %v, want %v", effect, got, o.want)
				}
			}
		})
	}
}
