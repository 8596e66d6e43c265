package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/policy"
)

const may = `"Effect":"Allow","Action":"ecr:*","Resource":"*"`

func TestIdentityPolicies(t *testing.T) {
	const place = "Statement[0]"
	tests := []struct{ text, wrong string }{
		{one(may), ""},
		{`{"Statement":{` + may + `}}`, ""},
		{`{"Version":"2008-10-17","Id":"x","Statement":[{` + may + `}]}`, ""},
		{one(`"Sid":"",` + may), ""},
		{several(`"Sid":"a",`+may, `"Sid":"b",`+may), ""},
		{one(`"Effect":"Allow","Action":["ecr:PutImage","s3:Get*","*"],"Resource":["arn:aws:s3:::b/*","*"]`), ""},
		{one(`"Effect":"Deny","NotAction":"iam:*","NotResource":"arn:aws:iam::1:user/${aws:username}"`), ""},
		{one(`"Effect":"Allow","Action":"*:*","Resource":"arn:aws:ecr:*"`), ""},
		{"", "Syntax errors in policy."},
		{"[]", "Syntax errors in policy."},
		{`{"Statement":[],"Statement":[]}`, "Syntax errors in policy."},
		{one(may + `,"Condition":` + strings.Repeat(`{"a":`, 20) + `1` + strings.Repeat("}", 20)), "Syntax errors in policy."},
		{"{}", "Missing required field Statement"},
		{`{"Statement":[]}`, "Missing required field Statement"},
		{`{"Statement":"x"}`, "Statement: must be an object"},
		{`{"Version":"2012-10-18","Statement":[{` + may + `}]}`, "Version: The policy must contain a valid version string"},
		{`{"Extra":1,"Statement":[{` + may + `}]}`, "Unknown field Extra"},
		{one(may + `,"Extra":1`), place + ": Unknown field Extra"},
		{one(`"Action":"ecr:*","Resource":"*"`), place + ".Effect: Missing required field Effect, which is Allow or Deny"},
		{one(`"Effect":"allow","Action":"ecr:*","Resource":"*"`), place + ".Effect: Missing required field Effect, which is Allow or Deny"},
		{one(may + `,"Principal":"*"`), place + ".Principal: Policy document should not specify a principal."},
		{one(may + `,"NotPrincipal":"*"`), place + ".Principal: Policy document should not specify a principal."},
		{one(`"Effect":"Allow","Resource":"*"`), place + ".Action: Policy statement must contain actions."},
		{one(`"Effect":"Allow","Action":"ecr:*"`), place + ".Resource: Policy statement must contain resources."},
		{one(may + `,"NotAction":"ecr:*"`), place + ".Action: must not be there with NotAction"},
		{one(may + `,"NotResource":"*"`), place + ".Resource: must not be there with NotResource"},
		{one(`"Effect":"Allow","Action":"PutImage","Resource":"*"`), place + ".Action: Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{one(`"Effect":"Allow","Action":["ecr:*","x"],"Resource":"*"`), place + ".Action[1]: Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{one(`"Effect":"Allow","Action":[],"Resource":"*"`), place + ".Action: must be a string or a list of strings"},
		{one(`"Effect":"Allow","Action":"ecr:*","Resource":["*","repo"]`), place + `.Resource[1]: Resource "repo" must be in ARN format or "*".`},
		{one(`"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr"`), place + `.Resource: Resource "arn:aws:ecr" must be in ARN format or "*".`},
		{one(`"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:r:a:${x"`), place + `.Resource: Invalid policy variable in resource "arn:aws:ecr:r:a:${x"`},
		{several(may, `"Sid":"a b",`+may), "Statement[1].Sid: Statement IDs (SID) must be alpha-numeric."},
		{several(`"Sid":"a",`+may, `"Sid":"a",`+may), "Statement[1].Sid: Statement IDs (SID) in a single policy must be unique."},
		{one(may + `,"Condition":{"StringIs":{"a":"b"}}`), place + `.Condition: Invalid condition operator: "StringIs"`},
		{one(may + `,"Condition":{"stringequals":{"a":"b"}}`), place + `.Condition: Invalid condition operator: "stringequals"`},
		{one(may + `,"Condition":{"NullIfExists":{"a":"true"}}`), place + `.Condition: Invalid condition operator: "NullIfExists"`},
		{one(may + `,"Condition":{"ForAllValues:Null":{"a":"true"}}`), place + `.Condition: Invalid condition operator: "ForAllValues:Null"`},
		{one(may + `,"Condition":{"ForSomeValues:Bool":{"a":"true"}}`), place + `.Condition: Invalid condition operator: "ForSomeValues:Bool"`},
		{one(may + `,"Condition":{"StringEquals":["a"]}`), place + `.Condition.StringEquals: must be an object of condition keys`},
		{one(may + `,"Condition":[]`), place + `.Condition: must be an object`},
		{one(may + `,"Condition":{"StringEquals":{"a":{}}}`), place + `.Condition.StringEquals.a: Invalid value for the operator: ""`},
		{one(may + `,"Condition":{"Bool":{"a":"maybe"}}`), place + `.Condition.Bool.a: Invalid value for the operator: "maybe"`},
		{one(may + `,"Condition":{"Null":{"a":"yes"}}`), place + `.Condition.Null.a: Invalid value for the operator: "yes"`},
		{one(may + `,"Condition":{"NumericEquals":{"a":"x"}}`), place + `.Condition.NumericEquals.a: Invalid value for the operator: "x"`},
		{one(may + `,"Condition":{"NumericEqualsIfExists":{"a":"*"}}`), place + `.Condition.NumericEqualsIfExists.a: Invalid value for the operator: "*"`},
		{one(may + `,"Condition":{"DateEquals":{"a":"2026-13-01"}}`), place + `.Condition.DateEquals.a: Invalid value for the operator: "2026-13-01"`},
		{one(may + `,"Condition":{"IpAddress":{"a":"10.0.0.0/33"}}`), place + `.Condition.IpAddress.a: Invalid value for the operator: "10.0.0.0/33"`},
		{one(may + `,"Condition":{"IpAddress":{"a":"10.*"}}`), place + `.Condition.IpAddress.a: Invalid value for the operator: "10.*"`},
		{one(may + `,"Condition":{"BinaryEquals":{"a":"?"}}`), place + `.Condition.BinaryEquals.a: Invalid value for the operator: "?"`},
	}
	for _, tt := range tests {
		checkError(t, tt.text, tt.wrong, func() error { _, err := policy.ParseIdentity(tt.text); return err })
	}
}

func TestTrustPolicies(t *testing.T) {
	assume := func(principal string) string {
		return one(`"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"`)
	}
	const place = "Statement[0]"
	const github = `{"Federated":"arn:aws:iam::000000000000:oidc-provider/token.actions.githubusercontent.com"}`
	tests := []struct{ text, wrong string }{
		{assume(`"*"`), ""},
		{assume(aws(us)), ""},
		{assume(`{"AWS":["` + userARN + `","` + roleARN + `","` + sessionARN + `"],"Service":"ecs-tasks.amazonaws.com"}`), ""},
		{one(`"Effect":"Allow","Principal":` + github + `,"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],"Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/*"}}`), ""},
		{one(`"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::000000000000:oidc-provider/oidc.example.com/id/ABC"},"Action":"sts:AssumeRole*"`), ""},
		{one(`"Effect":"Allow","Principal":{"Federated":"accounts.google.com"},"Action":"sts:*"`), ""},
		{one(`"Effect":"Deny","NotPrincipal":{"AWS":"` + us + `"},"Action":"sts:AssumeRole"`), ""},
		{one(`"Effect":"Allow","Action":"sts:AssumeRole"`), place + ".Principal: Missing required field Principal"},
		{one(`"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"`), place + ".Resource: Has prohibited field Resource"},
		{one(`"Effect":"Allow","Principal":"*","Action":"ecr:PutImage"`), place + ".Action: AssumeRole policy may only specify STS AssumeRole actions."},
		{one(`"Effect":"Allow","Principal":"*","Action":"*"`), place + ".Action: AssumeRole policy may only specify STS AssumeRole actions."},
		{one(`"Effect":"Allow","Principal":"*","Action":"sts:GetCallerIdentity"`), place + ".Action: AssumeRole policy may only specify STS AssumeRole actions."},
		{assume(`{"AWS":"someone"}`), place + `.Principal: Invalid principal in policy: "AWS":"someone"`},
		{assume(`{"AWS":"arn:aws:iam::000000000000:user/*"}`), place + `.Principal: Invalid principal in policy: "AWS":"arn:aws:iam::000000000000:user/*"`},
		{assume(`{"AWS":"arn:aws:iam::000000000000:group/g"}`), place + `.Principal: Invalid principal in policy: "AWS":"arn:aws:iam::000000000000:group/g"`},
		{assume(`{"Service":"ecs"}`), place + `.Principal: Invalid principal in policy: "Service":"ecs"`},
		{assume(`{"Federated":"*"}`), place + `.Principal: Invalid principal in policy: "Federated":"*"`},
		{assume(`{"Federated":"token.example.com"}`), place + `.Principal: Invalid principal in policy: "Federated":"token.example.com"`},
		{assume(`{"Google":"x"}`), place + ": Unknown field Google"},
		{assume(`{}`), place + `.Principal: must be "*" or an object`},
	}
	for _, tt := range tests {
		checkError(t, tt.text, tt.wrong, func() error { _, err := policy.ParseTrust(tt.text); return err })
	}
	got := trust(t, assume(aws(us))).Text()
	if !strings.Contains(got, `"AWS" : "arn:aws:iam::`+us+`:root"`) {
		t.Errorf("an account is shown as\n%s", got)
	}
}

// Federated principals are none of ECR's.
func TestRepositoryPoliciesHaveNoProviders(t *testing.T) {
	text := one(`"Effect":"Allow","Principal":{"Federated":"accounts.google.com"},"Action":"ecr:PutImage"`)
	checkError(t, text, notValid, func() error { _, err := policy.ParseRepository(text, "aws"); return err })
}

func checkError(t *testing.T, text, want string, parse func() error) {
	t.Helper()
	t.Run(text, func(t *testing.T) {
		err := parse()
		var e *policy.Error
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (!errors.As(err, &e) || e.Reason != want):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	})
}

// Who may assume a role: its trust policy is the resource's.
func TestTrustEvaluation(t *testing.T) {
	const role = "arn:aws:iam::" + us + ":role/builder"
	const github = "arn:aws:iam::000000000000:oidc-provider/token.actions.githubusercontent.com"
	web := policy.Principal{Federated: github, Account: us}
	allow := func(principal, action, condition string) *policy.Document {
		return trust(t, one(`"Effect":"Allow","Principal":`+principal+`,"Action":"`+action+`"`+condition))
	}
	own := at("own", identity(t, one(`"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+role+`"`)))
	secret := `,"Condition":{"StringEquals":{"sts:ExternalId":"s3cret"}}`
	branch := `,"Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/*:ref:refs/heads/main"}}`
	tests := []struct {
		what     string
		who      policy.Principal
		trust    *policy.Document
		identity []policy.Attached
		action   string
		keys     policy.Keys
		want     bool
	}{
		{"a user by name", user(us, "alice"), allow(aws(userARN), "sts:AssumeRole", ""), nil, "sts:AssumeRole", nil, true},
		{"another user", user(us, "bob"), allow(aws(userARN), "sts:AssumeRole", ""), own, "sts:AssumeRole", nil, false}, // a policy of his own is not enough
		{"another user without a policy", user(us, "bob"), allow(aws(userARN), "sts:AssumeRole", ""), nil, "sts:AssumeRole", nil, false},
		{"the account", user(us, "bob"), allow(aws(us), "sts:AssumeRole", ""), nil, "sts:AssumeRole", nil, false},
		{"the account and a policy", user(us, "bob"), allow(aws(us), "sts:AssumeRole", ""), own, "sts:AssumeRole", nil, true},
		{"the root, let in with its account", rootOf(us), allow(aws(us), "sts:AssumeRole", ""), nil, "sts:AssumeRole", nil, true},
		{"the root where a user is", rootOf(us), allow(aws(userARN), "sts:AssumeRole", ""), nil, "sts:AssumeRole", nil, false},
		{"another account and a policy", user(them, "eve"), allow(aws(them), "sts:AssumeRole", ""), own, "sts:AssumeRole", nil, true},
		{"another account without one", user(them, "eve"), allow(aws(them), "sts:AssumeRole", ""), nil, "sts:AssumeRole", nil, false},
		{"an external id", user(them, "eve"), allow(aws(them), "sts:AssumeRole", secret), own, "sts:AssumeRole", policy.Keys{"sts:externalid": is("s3cret")}, true},
		{"a wrong one", user(them, "eve"), allow(aws(them), "sts:AssumeRole", secret), own, "sts:AssumeRole", policy.Keys{"sts:externalid": is("S3cret")}, false},
		{"none", user(them, "eve"), allow(aws(them), "sts:AssumeRole", secret), own, "sts:AssumeRole", nil, false},
		{"a web identity", web, allow(`{"Federated":"`+github+`"}`, "sts:AssumeRoleWithWebIdentity", branch), nil, "sts:AssumeRoleWithWebIdentity", policy.Keys{"token.actions.githubusercontent.com:sub": is("repo:acme/app:ref:refs/heads/main")}, true},
		{"of another branch", web, allow(`{"Federated":"`+github+`"}`, "sts:AssumeRoleWithWebIdentity", branch), nil, "sts:AssumeRoleWithWebIdentity", policy.Keys{"token.actions.githubusercontent.com:sub": is("repo:acme/app:ref:refs/heads/x")}, false},
		{"of another provider", policy.Principal{Federated: github + ".evil"}, allow(`{"Federated":"`+github+`"}`, "sts:AssumeRoleWithWebIdentity", ""), nil, "sts:AssumeRoleWithWebIdentity", nil, false},
		{"a web identity where the account is let in", web, allow(aws(us), "sts:AssumeRole*", ""), own, "sts:AssumeRoleWithWebIdentity", nil, false},
		{"a user where a provider is", user(us, "alice"), allow(`{"Federated":"`+github+`"}`, "sts:AssumeRole", ""), nil, "sts:AssumeRole", nil, false},
		{"another action", user(us, "alice"), allow(aws(userARN), "sts:AssumeRole", ""), nil, "sts:TagSession", nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			v := policy.Evaluate(policy.Policies{Trust: true, Root: tt.who == rootOf(us), SameAccount: tt.who.Account == us, Identity: tt.identity, Resource: at("trust policy", tt.trust)},
				policy.Request{Principal: tt.who, Action: tt.action, Resource: role, Keys: tt.keys})
			if v.Allowed != tt.want {
				t.Errorf("%+v, want %v", v, tt.want)
			}
		})
	}
}

// IAM user guide, "AWS JSON policy elements: NotPrincipal": all but those that are
// named are denied. The account, and the role of a session, are named as parents.
func TestNotPrincipal(t *testing.T) {
	bob, root := `"arn:aws:iam::`+them+`:user/Bob"`, `"arn:aws:iam::`+them+`:root"`
	audit, role := `"arn:aws:sts::`+them+`:assumed-role/reader/audit"`, `"arn:aws:iam::`+them+`:role/reader"`
	tests := []struct {
		what, list string
		who        policy.Principal
		denied     bool
	}{
		{"Bob and his account: Bob", bob + "," + root, user(them, "Bob"), false},
		{"Bob and his account: the root", bob + "," + root, rootOf(them), false},
		{"Bob and his account: somebody else there", bob + "," + root, user(them, "Alice"), true},
		{"Bob and his account: somebody elsewhere", bob + "," + root, user(us, "Bob"), true},
		{"Bob alone: Bob", bob, user(them, "Bob"), false},
		{"Bob alone: somebody else there", bob, user(them, "Alice"), true},
		{"a session, its role and account: it", audit + "," + role + "," + root, session(them, "reader", "audit"), false},
		{"a session, its role and account: another session", audit + "," + role + "," + root, session(them, "reader", "other"), true},
		{"a session, its role and account: a user", audit + "," + role + "," + root, user(them, "Bob"), true},
		{"a role and its account: a session", role + "," + root, session(them, "reader", "other"), false},
		{"a role and its account: another role", role + "," + root, session(them, "writer", "other"), true},
		{"an account alone: a user", root, user(them, "Bob"), false},
		{"an account alone: a session", root, session(them, "reader", "x"), false},
		{"an account alone: elsewhere", root, user(us, "Bob"), true},
		{"Bob and another account: a user of that", bob + `,"` + us + `"`, user(us, "x"), false},
		{"Bob and another account: one of his", bob + `,"` + us + `"`, user(them, "x"), true},
		{"anonymous", root, policy.Principal{Anonymous: true}, true},
		{"a service", root, policy.Principal{Service: "codebuild.amazonaws.com"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			q := policy.Request{Principal: tt.who, Action: put, Resource: app}
			deny := repository(t, one(`"Effect":"Deny","NotPrincipal":{"AWS":[`+tt.list+`]},"Action":"ecr:*"`))
			if got := deny.Decide(q).Effect == policy.Denied; got != tt.denied {
				t.Errorf("denied: %v, want %v", got, tt.denied)
			}
			allow := repository(t, one(`"Effect":"Allow","NotPrincipal":{"AWS":[`+tt.list+`]},"Action":"ecr:*"`))
			if got := allow.Decide(q).Effect == policy.Allowed; got != (tt.denied && !tt.who.Anonymous) {
				t.Errorf("allowed: %v", got)
			}
		})
	}
	everyone := repository(t, one(`"Effect":"Deny","NotPrincipal":"*","Action":"ecr:*"`))
	if got := everyone.Decide(policy.Request{Principal: policy.Principal{Anonymous: true}, Action: put}).Effect; got != policy.NoMatch {
		t.Errorf("all but everyone: %v", got)
	}
}
