package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/policy"
)

// at puts documents in force under a name.
func at(name string, documents ...*policy.Document) []policy.Attached {
	var all []policy.Attached
	for _, d := range documents {
		all = append(all, policy.Attached{Name: name, Document: d})
	}
	return all
}

// say is a policy of an identity, a boundary or a session: what it allows and denies.
func say(t *testing.T, allows, denies string) *policy.Document {
	t.Helper()
	var all []string
	if allows != "" {
		all = append(all, `"Sid":"yes","Effect":"Allow","Action":"`+allows+`","Resource":"*"`)
	}
	if denies != "" {
		all = append(all, `"Sid":"no","Effect":"Deny","Action":"`+denies+`","Resource":"*"`)
	}
	return identity(t, several(all...))
}

// grants is a repository policy that allows or denies ecr:PutImage to somebody.
func grants(t *testing.T, effect, principal string) *policy.Document {
	t.Helper()
	return repository(t, one(`"Effect":"`+effect+`","Principal":`+principal+`,"Action":"ecr:PutImage"`))
}

func aws(who string) string { return `{"AWS":"` + who + `"}` }

const (
	put, pullOnly = "ecr:PutImage", "ecr:BatchGetImage"
	roleARN       = "arn:aws:iam::" + us + ":role/builder"
	foreignRole   = "arn:aws:iam::" + them + ":role/builder"
	sessionARN    = "arn:aws:sts::" + us + ":assumed-role/builder/run"
	userARN       = "arn:aws:iam::" + us + ":user/alice"
	foreignUser   = "arn:aws:iam::" + them + ":user/alice"
)

// IAM user guide, "Policy evaluation logic": every way in which identity, boundary,
// session and resource policies meet, for ecr:PutImage. An empty text is a policy
// that is not there, "-" one that says nothing of it.
func TestEvaluationOrder(t *testing.T) {
	type given struct{ identity, boundary, session, resource string }
	const (
		implicitIdentity = "because no identity-based policy allows the ecr:PutImage action"
		implicitResource = "because no resource-based policy allows the ecr:PutImage action"
		implicitBoundary = "because no permissions boundary allows the ecr:PutImage action"
		implicitSession  = "because no session policy allows the ecr:PutImage action"
		deniedByIdentity = "with an explicit deny in an identity-based policy"
		deniedByResource = "with an explicit deny in a resource-based policy"
		deniedByBoundary = "with an explicit deny in a permissions boundary"
		deniedBySession  = "with an explicit deny in a session policy"
		everyone         = `"*"`
	)
	alice, run := user(us, "alice"), session(us, "builder", "run")
	foreign, foreignRun := user(them, "alice"), session(them, "builder", "run")
	nobody := policy.Principal{Anonymous: true, ARN: "anonymous"}
	service := policy.Principal{Service: "codebuild.amazonaws.com"}
	tests := []struct {
		what  string
		who   policy.Principal
		given given
		want  string // "" for allowed
	}{
		// one account
		{"nothing at all", alice, given{}, implicitIdentity},
		{"an identity policy", alice, given{identity: "allow"}, ""},
		{"one that is silent", alice, given{identity: "-"}, implicitIdentity},
		{"one that denies", alice, given{identity: "deny"}, deniedByIdentity},
		{"one that does both", alice, given{identity: "both"}, deniedByIdentity},
		{"a resource policy for everyone", alice, given{resource: everyone}, ""},
		{"one for everyone in AWS", alice, given{resource: aws("*")}, ""},
		{"one for the user", alice, given{resource: aws(userARN)}, ""},
		{"one for another user", alice, given{resource: aws(userARN + "2")}, implicitIdentity},
		{"one for a user of the same name elsewhere", alice, given{resource: aws(foreignUser)}, implicitIdentity},
		{"one that is silent, and an identity policy", alice, given{identity: "allow", resource: aws(userARN + "2")}, ""},
		{"one that denies, and an identity policy", alice, given{identity: "allow", resource: "deny " + everyone}, deniedByResource},
		{"one that denies the user", alice, given{identity: "allow", resource: "deny " + aws(userARN)}, deniedByResource},
		{"one that denies another", alice, given{identity: "allow", resource: "deny " + aws(userARN+"2")}, ""},
		{"one that denies the account", alice, given{identity: "allow", resource: "deny " + aws(us)}, deniedByResource},
		{"one that denies another account", alice, given{identity: "allow", resource: "deny " + aws(them)}, ""},
		{"a resource policy against a denial of the identity's", alice, given{identity: "deny", resource: aws(userARN)}, deniedByIdentity},
		{"both", alice, given{identity: "allow", resource: aws(userARN)}, ""},
		// the account as principal of its own resource delegates, and grants nothing by itself
		{"the account", alice, given{resource: aws(us)}, implicitIdentity},
		{"the account by its root", alice, given{resource: aws("arn:aws:iam::" + us + ":root")}, implicitIdentity},
		{"the account, and an identity policy", alice, given{identity: "allow", resource: aws(us)}, ""},
		{"the account, and a boundary", alice, given{identity: "allow", boundary: "-", resource: aws(us)}, implicitBoundary},
		// boundaries
		{"a boundary alone", alice, given{boundary: "allow"}, implicitIdentity},
		{"identity and boundary", alice, given{identity: "allow", boundary: "allow"}, ""},
		{"identity without the boundary", alice, given{identity: "allow", boundary: "-"}, implicitBoundary},
		{"a boundary that denies", alice, given{identity: "allow", boundary: "deny"}, deniedByBoundary},
		{"a boundary that denies, and a resource policy", alice, given{boundary: "deny", resource: aws(userARN)}, deniedByBoundary},
		{"a resource policy for the user over a silent boundary", alice, given{boundary: "-", resource: aws(userARN)}, ""},
		{"a resource policy for everyone over a silent boundary", alice, given{boundary: "-", resource: everyone}, ""},
		// sessions
		{"a session's role", run, given{identity: "allow"}, ""},
		{"a session policy alone", run, given{session: "allow"}, implicitIdentity},
		{"role and session", run, given{identity: "allow", session: "allow"}, ""},
		{"role without the session", run, given{identity: "allow", session: "-"}, implicitSession},
		{"a session that denies", run, given{identity: "allow", session: "deny"}, deniedBySession},
		{"role, boundary and session", run, given{identity: "allow", boundary: "allow", session: "allow"}, ""},
		{"role and session without the boundary", run, given{identity: "allow", boundary: "-", session: "allow"}, implicitBoundary},
		{"role and boundary without the session", run, given{identity: "allow", boundary: "allow", session: "-"}, implicitSession},
		{"boundary and session without the role", run, given{identity: "-", boundary: "allow", session: "allow"}, implicitIdentity},
		{"a resource policy for the role", run, given{resource: aws(roleARN)}, ""},
		{"for the role, with a session policy", run, given{session: "allow", resource: aws(roleARN)}, ""},
		{"for the role, over a silent session policy", run, given{session: "-", resource: aws(roleARN)}, implicitSession},
		{"for the role, over a silent boundary", run, given{boundary: "-", resource: aws(roleARN)}, implicitBoundary},
		{"for the role with a path", run, given{resource: aws("arn:aws:iam::" + us + ":role/ci/builder")}, ""},
		{"for the session", run, given{resource: aws(sessionARN)}, ""},
		{"for the session, over silent limits", run, given{boundary: "-", session: "-", resource: aws(sessionARN)}, ""},
		{"for another session", run, given{resource: aws(sessionARN + "2")}, implicitIdentity},
		{"for everyone, over silent limits", run, given{boundary: "-", session: "-", resource: everyone}, ""},
		{"for the session, against a session policy's denial", run, given{session: "deny", resource: aws(sessionARN)}, deniedBySession},
		{"for the session, against the role's denial", run, given{identity: "deny", resource: aws(sessionARN)}, deniedByIdentity},
		{"denied to the role", run, given{identity: "allow", resource: "deny " + aws(roleARN)}, deniedByResource},
		{"denied to the session", run, given{identity: "allow", resource: "deny " + aws(sessionARN)}, deniedByResource},
		{"denied to another session", run, given{identity: "allow", resource: "deny " + aws(sessionARN+"2")}, ""},
		// another account: both sides
		{"from elsewhere with nothing", foreign, given{}, implicitIdentity},
		{"from elsewhere, identity alone", foreign, given{identity: "allow"}, implicitResource},
		{"from elsewhere, resource alone", foreign, given{resource: aws(foreignUser)}, implicitIdentity},
		{"from elsewhere, everyone alone", foreign, given{resource: everyone}, implicitIdentity},
		{"from elsewhere, both", foreign, given{identity: "allow", resource: aws(foreignUser)}, ""},
		{"from elsewhere, the account", foreign, given{identity: "allow", resource: aws(them)}, ""},
		{"from elsewhere, the wrong account", foreign, given{identity: "allow", resource: aws("222222222222")}, implicitResource},
		{"from elsewhere, everyone", foreign, given{identity: "allow", resource: everyone}, ""},
		{"from elsewhere, a denial there", foreign, given{identity: "deny", resource: aws(foreignUser)}, deniedByIdentity},
		{"from elsewhere, a denial here", foreign, given{identity: "allow", resource: "deny " + aws(them)}, deniedByResource},
		{"from elsewhere, a silent boundary", foreign, given{identity: "allow", boundary: "-", resource: aws(foreignUser)}, implicitBoundary},
		{"from elsewhere, a role", foreignRun, given{identity: "allow", resource: aws(foreignRole)}, ""},
		{"from elsewhere, a role and a silent session policy", foreignRun, given{identity: "allow", session: "-", resource: aws(foreignRole)}, implicitSession},
		{"from elsewhere, a role of this account", foreignRun, given{identity: "allow", resource: aws(roleARN)}, implicitResource},
		// roots
		{"the root", rootOf(us), given{}, ""},
		{"the root, whatever is allowed to others", rootOf(us), given{resource: aws(userARN)}, ""},
		{"the root, denied", rootOf(us), given{resource: "deny " + everyone}, deniedByResource},
		{"the root, denied with its account", rootOf(us), given{resource: "deny " + aws(us)}, deniedByResource},
		{"another root", rootOf(them), given{}, implicitResource},
		{"another root, let in", rootOf(them), given{resource: aws(them)}, ""},
		{"another root, let in with everyone", rootOf(them), given{resource: everyone}, ""},
		{"another root, where one of its users is", rootOf(them), given{resource: aws(foreignUser)}, implicitResource},
		{"another root, denied", rootOf(them), given{resource: "deny " + aws(them)}, deniedByResource},
		// who has no identity
		{"anonymous", nobody, given{}, implicitResource},
		{"anonymous among everyone", nobody, given{resource: everyone}, ""},
		{"anonymous among everyone in AWS", nobody, given{resource: aws("*")}, ""},
		{"anonymous beside an account", nobody, given{resource: aws(us)}, implicitResource},
		{"anonymous beside a user", nobody, given{resource: aws(userARN)}, implicitResource},
		{"anonymous, denied", nobody, given{resource: "deny " + everyone}, deniedByResource},
		{"a service", service, given{resource: `{"Service":"codebuild.amazonaws.com"}`}, ""},
		{"another service", service, given{resource: `{"Service":"lambda.amazonaws.com"}`}, implicitResource},
		{"a service among everyone", service, given{resource: everyone}, ""},
	}
	stand := func(t *testing.T, says string) *policy.Document {
		allows, denies := pullOnly, ""
		if says == "allow" || says == "both" {
			allows = put
		}
		if says == "deny" || says == "both" {
			denies = put
		}
		return say(t, allows, denies)
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			p := policy.Policies{Root: tt.who == rootOf(tt.who.Account), SameAccount: tt.who.Account == us}
			if tt.given.identity != "" {
				p.Identity = at("identity", say(t, pullOnly, ""), stand(t, tt.given.identity))
			}
			if tt.given.boundary != "" {
				p.HasBoundary, p.Boundary = true, at("boundary", stand(t, tt.given.boundary))
			}
			if tt.given.session != "" {
				p.HasSession, p.Session = true, at("session", stand(t, tt.given.session))
			}
			if principal, denies := cut(tt.given.resource, "deny "); denies {
				p.Resource = at("resource", grants(t, "Allow", `"*"`), grants(t, "Deny", principal))
			} else if principal != "" {
				p.Resource = at("resource", grants(t, "Allow", principal))
			}
			v := policy.Evaluate(p, policy.Request{Principal: tt.who, Action: put, Resource: app})
			got := ""
			if !v.Allowed {
				got = v.Reason(put)
			}
			if got != tt.want {
				t.Errorf("%+v: %q, want %q", v, got, tt.want)
			}
			if v.Explicit && v.Allowed || v.Explicit && v.Statement < 0 {
				t.Errorf("%+v", v)
			}
		})
	}
}

func cut(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return s, false
}

// A verdict names the policy, the statement and its Sid that decided.
func TestVerdicts(t *testing.T) {
	first, second := say(t, pullOnly, "ecr:Delete*"), identity(t, several(
		`"Sid":"a","Effect":"Allow","Action":"ecr:ListImages","Resource":"*"`, `"Sid":"b","Effect":"Allow","Action":"ecr:Put*","Resource":"*"`))
	here := repository(t, several(
		`"Sid":"account","Effect":"Allow","Principal":{"AWS":"`+us+`"},"Action":"ecr:*"`,
		`"Sid":"role","Effect":"Allow","Principal":{"AWS":"`+roleARN+`"},"Action":"ecr:PutImage"`,
		`"Sid":"session","Effect":"Allow","Principal":{"AWS":"`+sessionARN+`"},"Action":"ecr:UploadLayerPart"`,
		`"Sid":"outsiders","Effect":"Deny","NotPrincipal":{"AWS":"`+us+`"},"Action":"ecr:*"`,
	))
	run := session(us, "builder", "run")
	p := policy.Policies{SameAccount: true, Identity: append(at("one", first), at("two", second)...), Resource: at("repository policy", here)}
	tests := []struct {
		who    policy.Principal
		action string
		want   policy.Verdict
	}{
		{user(us, "alice"), "ecr:PutImage", policy.Verdict{Allowed: true, Kind: policy.IdentityBased, Policy: "two", Statement: 1, Sid: "b"}},
		{user(us, "alice"), "ecr:DeleteRepository", policy.Verdict{Explicit: true, Kind: policy.IdentityBased, Policy: "one", Statement: 1, Sid: "no"}},
		{user(us, "alice"), "ecr:TagResource", policy.Verdict{Kind: policy.IdentityBased, Statement: -1}},
		{run, "ecr:PutImage", policy.Verdict{Allowed: true, Kind: policy.ResourceBased, Policy: "repository policy", Statement: 1, Sid: "role"}},
		{run, "ecr:UploadLayerPart", policy.Verdict{Allowed: true, Kind: policy.ResourceBased, Policy: "repository policy", Statement: 2, Sid: "session"}},
		{user(them, "eve"), "ecr:PutImage", policy.Verdict{Explicit: true, Kind: policy.ResourceBased, Policy: "repository policy", Statement: 3, Sid: "outsiders"}},
	}
	for _, tt := range tests {
		got := policy.Evaluate(p, policy.Request{Principal: tt.who, Action: tt.action, Resource: app})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s as %s (-want +got):\n%s", tt.action, tt.who.ARN, diff)
		}
	}
}

// A condition on what is known only later keeps an Allow and takes a Deny out.
func TestPending(t *testing.T) {
	const tag = "berth:imagetag"
	tests := []struct {
		what, statement string
		open            bool            // allowed while the tag is not known
		then            map[string]bool // and by each tag
		keys            policy.Keys     // known from the beginning
		pending         []string        // tag if nil
	}{
		{"an allowance", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringLike":{"berth:ImageTag":"v*"}}`, true, map[string]bool{"v1": true, "x": false}, nil, nil},
		{"a negated allowance", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringNotLike":{"berth:ImageTag":"v*"}}`, true, map[string]bool{"v1": false, "x": true}, nil, nil},
		{"a denial", `"Effect":"Allow","Action":"ecr:*","Resource":"*"},{"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"StringLike":{"berth:ImageTag":"v*"}}`, true, map[string]bool{"v1": false, "x": true}, nil, nil},
		{"a negated denial", `"Effect":"Allow","Action":"ecr:*","Resource":"*"},{"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"StringNotLike":{"berth:ImageTag":"v*"}}`, true, map[string]bool{"v1": true, "x": false}, nil, nil},
		{"what fails already", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringLike":{"berth:ImageTag":"v*"},"Bool":{"aws:SecureTransport":"true"}}`, false, map[string]bool{"v1": false}, policy.Keys{"aws:securetransport": is("false")}, nil},
		{"what is denied already", `"Effect":"Allow","Action":"ecr:*","Resource":"*"},{"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}`, false, map[string]bool{"v1": false}, policy.Keys{"aws:securetransport": is("false")}, nil},
		{"absence", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"Null":{"berth:ImageTag":"true"}}`, true, map[string]bool{"v1": false}, nil, nil},
		{"if it exists", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEqualsIfExists":{"berth:ImageTag":"v1"}}`, true, map[string]bool{"v1": true, "x": false}, nil, nil},
		{"all values", `"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"berth:ImageTag":"v1"}}},{"Effect":"Allow","Action":"ecr:*","Resource":"*"`, true, map[string]bool{"v1": false, "x": true}, nil, nil},
		{"any value", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"berth:ImageTag":"v1"}}`, true, map[string]bool{"v1": true, "x": false}, nil, nil},
		{"a variable in a value", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"${berth:ImageTag}"}}`, true, map[string]bool{"bob": true, "x": false}, policy.Keys{"aws:username": is("bob")}, nil},
		{"beside a value that holds", `"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:username":["bob","${berth:ImageTag}"]}}`, false, map[string]bool{"x": false}, policy.Keys{"aws:username": is("bob")}, nil},
		{"a variable in a resource", `"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:us-east-1:000000000000:repository/team/${berth:ImageTag}"`, true, map[string]bool{"app": true, "x": false}, nil, nil},
		{"a variable in another resource", `"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:us-east-1:000000000000:repository/work/${berth:ImageTag}"`, false, map[string]bool{"app": false}, nil, nil},
		{"a variable in what is not meant", `"Effect":"Allow","Action":"ecr:*","NotResource":"arn:aws:ecr:us-east-1:000000000000:repository/team/${berth:ImageTag}"`, true, map[string]bool{"app": false, "x": true}, nil, nil},
		{"a key that is known all the same", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"eve"}}`, false, map[string]bool{"x": false}, policy.Keys{"aws:username": is("bob")}, is(tag, "aws:username")},
		{"any key", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"what:ever":"eve"}}`, true, map[string]bool{"x": false}, nil, is(policy.Any)},
		{"another key", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"what:ever":"eve"}}`, false, map[string]bool{"x": false}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			p := policy.Policies{SameAccount: true, Identity: at("i", identity(t, several(tt.statement)))}
			q := policy.Request{Principal: user(us, "bob"), Action: put, Resource: app, Keys: tt.keys, Pending: is(tag)}
			if tt.pending != nil {
				q.Pending = tt.pending
			}
			if got := policy.Evaluate(p, q); got.Allowed != tt.open {
				t.Errorf("pending: %+v, want %v", got, tt.open)
			}
			for value, want := range tt.then {
				q.Pending, q.Keys = nil, policy.Keys{tag: is(value)}
				for k, v := range tt.keys {
					q.Keys[k] = v
				}
				if got := policy.Evaluate(p, q); got.Allowed != want {
					t.Errorf("%s: %+v, want %v", value, got, want)
				}
			}
		})
	}
}
