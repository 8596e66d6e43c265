package policy_test

import (
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/policy"
)

// IAM user guide, "IAM policy elements: Variables and tags".
func TestVariablesInResources(t *testing.T) {
	const repo = "arn:aws:ecr:us-east-1:000000000000:repository/"
	tests := []struct {
		pattern string // behind repository/
		keys    policy.Keys
		name    string
		want    bool
	}{
		{"${aws:username}", policy.Keys{"aws:username": is("alice")}, "alice", true},
		{"${AWS:UserName}", policy.Keys{"aws:username": is("alice")}, "alice", true},
		{"${aws:username}", policy.Keys{"aws:username": is("alice")}, "bob", false},
		{"${aws:username}", policy.Keys{"aws:username": is("alice")}, "Alice", false},
		{"${aws:username}/*", policy.Keys{"aws:username": is("alice")}, "alice/app", true},
		{"${aws:username}/*", policy.Keys{"aws:username": is("alice")}, "alice", false},
		{"home-${aws:username}-?", policy.Keys{"aws:username": is("alice")}, "home-alice-1", true},
		{"${aws:PrincipalTag/team}/${aws:username}", policy.Keys{"aws:principaltag/team": is("red"), "aws:username": is("bob")}, "red/bob", true},
		{"${aws:PrincipalTag/team}/${aws:username}", policy.Keys{"aws:principaltag/team": is("red")}, "red/bob", false},
		{"${aws:PrincipalTag/Cost Center}/*", policy.Keys{"aws:principaltag/cost center": is("7")}, "7/x", true},
		{"${token.actions.githubusercontent.com:repository_owner}/*", policy.Keys{"token.actions.githubusercontent.com:repository_owner": is("acme")}, "acme/x", true},
		{"${aws:username}", policy.Keys{}, "", false},
		{"${aws:username}*", policy.Keys{}, "anything", false},
		{"${aws:username}*", policy.Keys{"aws:username": is("")}, "anything", false}, // an empty value is none
		{"${aws:username}", policy.Keys{"aws:username": is("a", "b")}, "a", false},   // several are none
		{"${aws:username}", policy.Keys{"aws:username": is("*")}, "anything", false}, // stars in values are stars
		{"${aws:username}", policy.Keys{"aws:username": is("*")}, "*", true},
		{"${aws:username}", policy.Keys{"aws:username": is("\xff")}, "anything", false},
		{"${aws:username}", policy.Keys{"aws:username": is("${aws:userid}"), "aws:userid": is("x")}, "x", false}, // nor is a value expanded
		{"${aws:username, 'nobody'}", policy.Keys{}, "nobody", true},
		{"${aws:username, 'nobody'}", policy.Keys{"aws:username": is("bob")}, "nobody", false},
		{"${aws:username, 'nobody'}", policy.Keys{"aws:username": is("bob")}, "bob", true},
		{"${aws:username,'nobody'}", policy.Keys{}, "nobody", true},
		{"${aws:username, '*'}", policy.Keys{}, "anything", false},
		{"x${*}", nil, "x*", true},
		{"x${*}", nil, "xy", false},
		{"x${?}", nil, "x?", true},
		{"x${?}", nil, "xy", false},
		{"x${$}{aws:username}", policy.Keys{"aws:username": is("a")}, "x${aws:username}", true},
		{"x$", nil, "x$", true},
		{"$x", nil, "$x", true},
		{"x{y}", nil, "x{y}", true},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" "+tt.name, func(t *testing.T) {
			d := identity(t, one(`"Effect":"Allow","Action":"ecr:*","Resource":"`+repo+tt.pattern+`"`))
			if got := d.Decide(policy.Request{Action: "ecr:PutImage", Resource: repo + tt.name, Keys: tt.keys}).Effect == policy.Allowed; got != tt.want {
				t.Errorf("%v of %v: %v, want %v", tt.name, tt.keys, got, tt.want)
			}
		})
	}
}

// In the older language, and without a version, variables are texts.
func TestVariablesNeedTheLanguage(t *testing.T) {
	const repo = "arn:aws:ecr:us-east-1:000000000000:repository/"
	for _, version := range []string{`"Version":"2008-10-17",`, ""} {
		d := identity(t, `{`+version+`"Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"`+repo+`${aws:username}/*","Condition":{"StringEquals":{"k":"${aws:userid}"}}}}`)
		for name, want := range map[string]policy.Effect{"${aws:username}/x": policy.Allowed, "alice/x": policy.NoMatch} {
			q := policy.Request{Action: "ecr:PutImage", Resource: repo + name, Keys: policy.Keys{"aws:username": is("alice"), "aws:userid": is("A"), "k": is("${aws:userid}")}}
			if got := d.Decide(q).Effect; got != want {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	}
}

// What a NotResource names by a variable without a value is nothing.
func TestVariableInNotResource(t *testing.T) {
	d := identity(t, one(`"Effect":"Deny","Action":"ecr:*","NotResource":"arn:aws:ecr:us-east-1:000000000000:repository/${aws:username}/*"`))
	for name, want := range map[string]policy.Effect{"team": policy.NoMatch, "other": policy.Denied, "": policy.Denied} {
		q := policy.Request{Action: "ecr:PutImage", Resource: app, Keys: policy.Keys{}}
		if name != "" {
			q.Keys["aws:username"] = is(name)
		}
		if got := d.Decide(q).Effect; got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

// The user has the name alice.
func TestVariablesInConditions(t *testing.T) {
	checkOutcomes(t, []outcome{
		{"StringEquals", `"${aws:username}"`, is("alice"), true},
		{"StringEquals", `"${aws:username}"`, is("Alice"), false},
		{"StringEquals", `["bob","${aws:username}"]`, is("alice"), true},
		{"StringEquals", `["bob","${aws:userid}"]`, is("bob"), true}, // a value that is none spoils no other
		{"StringEquals", `"${aws:username}*"`, is("alice*"), true},
		{"StringEquals", `"${aws:userid}"`, is(""), false},
		{"StringEquals", `"${aws:userid, 'guest'}"`, is("guest"), true},
		{"StringNotEquals", `"${aws:username}"`, is("alice"), false},
		{"StringNotEquals", `"${aws:username}"`, is("bob"), true},
		{"StringNotEquals", `"${aws:userid}"`, is("bob"), true}, // nothing equals what has no value
		{"StringEqualsIgnoreCase", `"${aws:username}"`, is("ALICE"), true},
		{"StringNotEqualsIgnoreCase", `"${aws:username}"`, is("ALICE"), false},
		{"StringNotEqualsIgnoreCase", `"${aws:userid}"`, is("ALICE"), true},
		{"StringLike", `"${aws:username}/*"`, is("alice/x"), true},
		{"StringLike", `"${aws:username}/*"`, is("bob/x"), false},
		{"StringLike", `"${*}${aws:username}*"`, is("*alice!"), true},
		{"StringNotLike", `"${aws:username}/*"`, is("alice/x"), false},
		{"StringNotLike", `"${aws:userid}*"`, is("alice"), true},
		{"ArnLike", `"arn:aws:iam::1:user/${aws:username}"`, is("arn:aws:iam::1:user/alice"), true},
		{"ArnLike", `"arn:aws:iam::*:user/${aws:username}"`, is("arn:aws:iam::1:user/bob"), false},
		{"ArnEquals", `"arn:aws:iam::1:${aws:userid}*"`, is("arn:aws:iam::1:user/bob"), false},
		{"ArnNotEquals", `"arn:aws:iam::1:user/${aws:username}"`, is("arn:aws:iam::1:user/alice"), false},
		{"ArnNotLike", `"arn:aws:iam::1:user/${aws:userid}"`, is("arn:aws:iam::1:user/alice"), true},
		{"ForAllValues:StringEquals", `["x","${aws:username}"]`, is("alice", "x"), true},
		{"ForAnyValue:StringLike", `"${aws:username}*"`, is("bob", "alice2"), true},
		{"StringEqualsIfExists", `"${aws:userid}"`, nil, true},
		{"StringEquals", `"${berth:test}"`, is("itself"), true},
	})
}

func TestVariablesRefused(t *testing.T) {
	for _, statement := range []string{
		`"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/${aws:username"`,
		`"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/${}"`,
		`"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/${username}"`,
		`"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/${aws:username, x}"`,
		`"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/${aws:${x:y}}"`,
		`"Resource":"arn:aws:ecr:us-east-1:${aws:PrincipalAccount}:repository/x"`, // only behind the fifth colon
		`"Resource":"*","Condition":{"StringEquals":{"k":"${aws:username"}}`,
		`"Resource":"*","Condition":{"ArnLike":{"k":"${nope}"}}`,
		`"Resource":"*","Condition":{"NumericEquals":{"k":"${aws:EpochTime}"}}`, // only with texts and ARNs
		`"Resource":"*","Condition":{"IpAddress":{"k":"${aws:SourceIp}"}}`,
		`"Resource":"*","Condition":{"Bool":{"k":"${aws:SecureTransport}"}}`,
	} {
		if _, err := policy.ParseIdentity(one(`"Effect":"Allow","Action":"ecr:*",` + statement)); err == nil {
			t.Errorf("%s was taken", statement)
		}
	}
}

// Actions in any case, resources as they are written.
func TestWildcards(t *testing.T) {
	const repo = "arn:aws:ecr:us-east-1:000000000000:repository/"
	tests := []struct {
		action, pattern, asked, resource string
		want                             bool
	}{
		{"ecr:PutImage", "*", "ecr:PutImage", app, true},
		{"ECR:putimage", "*", "ecr:PutImage", app, true},
		{"ecr:PutImage", "*", "ECR:PUTIMAGE", app, true},
		{"ecr:Put*", "*", "ecr:PutImageTagMutability", app, true},
		{"ecr:Put*", "*", "ecr:BatchGetImage", app, false},
		{"ecr:*Image", "*", "ecr:BatchGetImage", app, true},
		{"ecr:?utImage", "*", "ecr:PutImage", app, true},
		{"ecr:??utImage", "*", "ecr:PutImage", app, false},
		{"ecr:*", "*", "ecr:PutImage", app, true},
		{"*", "*", "ecr:PutImage", app, true},
		{"*:*", "*", "ecr:PutImage", app, true},
		{"ecr:*", "*", "sts:AssumeRole", app, false},
		{"ecr-public:*", "*", "ecr:PutImage", app, false},
		{"s3:Get*", "*", "s3:GetObject", app, true}, // other services too
		{"s3:Get*", "*", "s3:PutObject", app, false},
		{"S3:get*", "*", "s3:GetObject", app, true},
		{"ecr:*", repo + "team/app", "ecr:PutImage", app, true},
		{"ecr:*", repo + "team/App", "ecr:PutImage", app, false},
		{"ecr:*", repo + "team/ap", "ecr:PutImage", app, false},
		{"ecr:*", repo + "team/*", "ecr:PutImage", app, true},
		{"ecr:*", repo + "team*", "ecr:PutImage", app, true},
		{"ecr:*", repo + "team/*", "ecr:PutImage", repo + "team", false},
		{"ecr:*", repo + "team*", "ecr:PutImage", repo + "teamwork/x", true},
		{"ecr:*", repo + "team/*", "ecr:PutImage", repo + "teamwork/x", false},
		{"ecr:*", repo + "*/app", "ecr:PutImage", repo + "a/b/app", true},
		{"ecr:*", repo + "????/app", "ecr:PutImage", app, true},
		{"ecr:*", "arn:aws:ecr:*:000000000000:repository/*", "ecr:PutImage", app, true},
		{"ecr:*", "arn:aws:ecr:eu-*:000000000000:repository/*", "ecr:PutImage", app, false},
		{"ecr:*", "arn:aws:ecr:*", "ecr:PutImage", app, true},
		{"ecr:*", "arn:*:ecr:*:*:*", "ecr:PutImage", app, true},
		{"ecr:GetAuthorizationToken", "*", "ecr:GetAuthorizationToken", "*", true},
		{"ecr:GetAuthorizationToken", repo + "*", "ecr:GetAuthorizationToken", "*", false},
	}
	for _, tt := range tests {
		t.Run(tt.action+" "+tt.pattern+" "+tt.asked, func(t *testing.T) {
			q := policy.Request{Action: tt.asked, Resource: tt.resource}
			d := identity(t, one(`"Effect":"Allow","Action":"`+tt.action+`","Resource":"`+tt.pattern+`"`))
			if got := d.Decide(q).Effect == policy.Allowed; got != tt.want {
				t.Errorf("on %s: %v, want %v", tt.resource, got, tt.want)
			}
			d = identity(t, one(`"Effect":"Deny","NotAction":"`+tt.action+`","Resource":"`+tt.pattern+`"`))
			inverse := identity(t, one(`"Effect":"Deny","Action":"`+tt.action+`","NotResource":"`+tt.pattern+`"`))
			if tt.want && (d.Decide(q).Effect != policy.NoMatch || inverse.Decide(q).Effect != policy.NoMatch) {
				t.Error("NotAction or NotResource speaks of what it names")
			}
		})
	}
}

// Matching takes pattern times text, whatever the pattern and wherever it stands.
func TestSlowPatterns(t *testing.T) {
	pattern, text := strings.Repeat("*a", 2500)+"*b", strings.Repeat("a", 10_000)
	resource := identity(t, one(`"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:::`+pattern+`"`))
	like := identity(t, one(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringLike":{"k":"`+pattern+`"}}`))
	open := identity(t, one(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringLike":{"k":"${x:v}`+pattern+`"}}`))
	arn := identity(t, one(`"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"ArnLike":{"k":"arn:*:*:*:*:`+pattern+`"}}`))
	action := identity(t, one(`"Effect":"Allow","Action":"x:`+pattern+`","Resource":"*"`))
	for name, ask := range map[string]func(end string) policy.Effect{
		"resource": func(end string) policy.Effect {
			return resource.Decide(policy.Request{Action: "ecr:PutImage", Resource: "arn:aws:ecr:::" + text + end}).Effect
		},
		"condition": func(end string) policy.Effect {
			return like.Decide(policy.Request{Action: "ecr:PutImage", Keys: policy.Keys{"k": is(text + end)}}).Effect
		},
		"variable": func(end string) policy.Effect {
			return open.Decide(policy.Request{Action: "ecr:PutImage", Keys: policy.Keys{"x:v": is("a"), "k": is(text + end)}}).Effect
		},
		"arn": func(end string) policy.Effect {
			return arn.Decide(policy.Request{Action: "ecr:PutImage", Keys: policy.Keys{"k": is("arn:a:b:c:d:" + text + end)}}).Effect
		},
		"action": func(end string) policy.Effect {
			return action.Decide(policy.Request{Action: "x:" + text + end}).Effect
		},
	} {
		if got := ask(""); got != policy.NoMatch {
			t.Errorf("%s: %v without a b", name, got)
		}
		if got := ask("b"); got != policy.Allowed {
			t.Errorf("%s: %v with a b", name, got)
		}
	}
}
