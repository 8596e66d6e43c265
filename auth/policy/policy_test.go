package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/policy"
)

const pull = `"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"`

func TestText(t *testing.T) {
	tests := []struct{ in, want string }{
		{one(`"Sid":"AllowPull","Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]`),
			"{\n  \"Version\" : \"2012-10-17\",\n  \"Statement\" : [ {\n    \"Sid\" : \"AllowPull\",\n    \"Effect\" : \"Allow\",\n    \"Principal\" : \"*\",\n" +
				"    \"Action\" : [ \"ecr:BatchGetImage\", \"ecr:GetDownloadUrlForLayer\" ]\n  } ]\n}"},
		{`{"Statement":{"Action":"ecr:*","Principal":{"Service":"codebuild.amazonaws.com","AWS":["111111111111","arn:aws:iam::222222222222:user/a/b"]},"Effect":"Deny","Sid":"a <b> & é\u0001"},"Id":"i"}`,
			"{\n  \"Statement\" : {\n    \"Action\" : \"ecr:*\",\n    \"Principal\" : {\n      \"Service\" : \"codebuild.amazonaws.com\",\n      \"AWS\" : [ \"arn:aws:iam::111111111111:root\", \"arn:aws:iam::222222222222:user/a/b\" ]\n    },\n" +
				"    \"Effect\" : \"Deny\",\n    \"Sid\" : \"a <b> & é\\u0001\"\n  },\n  \"Id\" : \"i\"\n}"},
		{`{"Statement":[{` + pull + `},{` + pull + `,"Condition":{}}]}`,
			"{\n  \"Statement\" : [ {\n    \"Effect\" : \"Allow\",\n    \"Principal\" : \"*\",\n    \"Action\" : \"ecr:BatchGetImage\"\n  }, {\n    \"Effect\" : \"Allow\",\n    \"Principal\" : \"*\",\n" +
				"    \"Action\" : \"ecr:BatchGetImage\",\n    \"Condition\" : { }\n  } ]\n}"},
	}
	for _, tt := range tests {
		got := repository(t, tt.in).Text()
		if got != tt.want {
			t.Errorf("%s is shown as\n%s\nwant\n%s", tt.in, got, tt.want)
		}
		if again := repository(t, got).Text(); again != got {
			t.Errorf("read again it is shown as\n%s", again)
		}
	}
}

func TestPoliciesTaken(t *testing.T) {
	for _, statement := range []string{
		pull, pull + `,"Sid":"with spaces, twice: ünïcode"`, pull + `,"Resource":"*"`, pull + `,"Resource":["arn:aws:ecr:us-east-1:1:repository/a*"]`,
		pull + `,"NotResource":"arn:aws:ecr:*:*:repository/prod-?"`,
		`"Effect":"Deny","NotPrincipal":{"AWS":"111111111111"},"NotAction":"ecr:GetAuthorizationToken"`,
		`"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*"`,
		`"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111111111111:root","arn:aws-cn:sts::111111111111:assumed-role/r/s"]},"Action":["ecr:batch*","ECR:PutImage","ecr:ReplicateImage"]`,
		`"Effect":"Allow","Principal":{"Service":["lambda.us-east-1.amazonaws.com","ec2.amazonaws.com.cn"]},"Action":"ecr:GetImageCopyStatus"`,
		pull + `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]},"StringNotLikeIfExists":{"aws:SourceArn":"x*"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`,
		`"Effect":"Allow","Principal":{"Service":["codebuild.amazonaws.com"]},"Action":"ecr:*Image","Condition":{"StringEquals":{"aws:SourceArn":["a","b"]},"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":"x"},"Bool":{"aws:SecureTransport":true},"NumericLessThan":{"x":3},"Null":{"k":"true"}}`,
	} {
		repository(t, one(statement))
	}
	repository(t, `{"Statement":{`+pull+`}}`)
	repository(t, `{"Version":"2008-10-17","Id":"","Statement":[{`+pull+`}]}`)
}

const notValid, strange = "Invalid repository policy provided", "Principal not found"

func TestPoliciesRefused(t *testing.T) {
	tests := []struct{ text, reason string }{
		{"", notValid}, {"{", notValid}, {"[]", notValid}, {"null", notValid}, {"{}", notValid}, {`{"Statement":[]}`, notValid}, {`{"Statement":null}`, notValid},
		{`{"Version":"2012-10-18","Statement":[{` + pull + `}]}`, notValid}, {`{"Version":null,"Statement":[{` + pull + `}]}`, notValid},
		{`{"Id":1,"Statement":[{` + pull + `}]}`, notValid}, {`{"version":"2012-10-17","Statement":[{` + pull + `}]}`, notValid},
		{`{"Statement":[{` + pull + `}],"Statement":[]}`, notValid}, {one(pull) + "x", notValid}, {`{"Statement":["x"]}`, notValid},
		{one(`"Principal":"*","Action":"ecr:PutImage"`), notValid}, {one(`"Effect":"allow","Principal":"*","Action":"ecr:PutImage"`), notValid},
		{one(`"Effect":"Allow","Action":"ecr:PutImage"`), notValid}, {one(`"Effect":"Allow","Principal":"*"`), notValid},
		{one(pull + `,"NotPrincipal":"*"`), notValid}, {one(pull + `,"NotAction":"ecr:PutImage"`), notValid},
		{one(pull + `,"Resource":"*","NotResource":"*"`), notValid}, {one(pull + `,"Sid":1`), notValid}, {one(pull + `,"Extra":1`), notValid},
		{one(`"Effect":"Allow","Principal":"*","Action":[]`), notValid}, {one(`"Effect":"Allow","Principal":"*","Action":[1]`), notValid},
		{one(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject"`), notValid}, {one(`"Effect":"Allow","Principal":"*","Action":"ecr:Nothing"`), notValid},
		{one(`"Effect":"Allow","Principal":"*","Action":"PutImage"`), notValid},
		{one(pull + `,"Resource":"arn:aws:s3:::bucket"`), notValid}, {one(pull + `,"Resource":[]`), notValid},
		{one(`"Effect":"Allow","Principal":{},"Action":"ecr:PutImage"`), notValid}, {one(`"Effect":"Allow","Principal":{"aws":"*"},"Action":"ecr:PutImage"`), notValid},
		{one(`"Effect":"Allow","Principal":"111111111111","Action":"ecr:PutImage"`), notValid}, {one(`"Effect":"Allow","Principal":["*"],"Action":"ecr:PutImage"`), notValid},
		{one(`"Effect":"Allow","Principal":{"AWS":"someone"},"Action":"ecr:PutImage"`), strange},
		{one(`"Effect":"Allow","Principal":{"AWS":["111111111111","arn:aws:iam::1:root"]},"Action":"ecr:PutImage"`), strange},
		{one(`"Effect":"Allow","Principal":{"AWS":"AIDAEXAMPLEUSERID"},"Action":"ecr:PutImage"`), strange},
		{one(`"Effect":"Allow","Principal":{"Service":"codebuild"},"Action":"ecr:PutImage"`), strange},
		{one(`"Effect":"Allow","Principal":{"Service":"*"},"Action":"ecr:PutImage"`), strange},
		{one(`"Effect":"Allow","Principal":{"Service":[]},"Action":"ecr:PutImage"`), notValid},
		{one(`"Effect":"Allow","Principal":{"AWS":"someone"},"Action":"s3:PutImage"`), notValid}, // what is no policy is not asked for principals
		{one(pull + `,"Condition":{"ForAllValues:ForAnyValue:StringEquals":{"a":"b"}}`), notValid},
		{one(pull + `,"Condition":{"NullIfExists":{"a":"b"}}`), notValid},
		{one(pull + `,"Condition":[]`), notValid}, {one(pull + `,"Condition":{"StringIs":{"a":"b"}}`), notValid},
		{one(pull + `,"Condition":{"StringEquals":"a"}`), notValid}, {one(pull + `,"Condition":{"StringEquals":{"a":{}}}`), notValid},
		{one(pull + `,"Condition":{"StringEquals":{"a":[["b"]]}}`), notValid}, {one(pull + `,"Condition":{"StringEquals":{"a":null}}`), notValid},
	}
	for _, tt := range tests {
		_, err := policy.ParseRepository(tt.text, "aws")
		var e *policy.Error
		if !errors.As(err, &e) || e.Reason != tt.reason {
			t.Errorf("%s: %v, want %s", tt.text, err, tt.reason)
		}
	}
}

func TestRegistryPolicies(t *testing.T) {
	statement := func(action, resource string) string {
		return one(`"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"` + action + `"` + resource)
	}
	const all = `,"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/*"`
	tests := []struct {
		text   string
		v1, v2 bool
	}{
		{statement("ecr:ReplicateImage", all), true, true},
		{statement("ecr:CreateRepository", `,"Resource":"*"`), true, true},
		{statement("ecr:BatchImportUpstreamImage", all), true, true},
		{statement("ecr:PutImage", all), false, true},
		{statement("ecr:*", all), false, true},
		{statement("ecr:R*", all), false, true},
		{strings.Replace(statement("ecr:ReplicateImage", all), "Action", "NotAction", 1), false, true},
		{statement("ecr:ReplicateImage", ""), false, false},
		{statement("s3:GetObject", all), false, false},
	}
	for _, tt := range tests {
		for scope, want := range map[policy.Scope]bool{policy.V1: tt.v1, policy.V2: tt.v2} {
			_, err := policy.ParseRegistry(tt.text, "aws", scope)
			if (err == nil) != want || err != nil && err.Error() != "Invalid registry policy provided" {
				t.Errorf("%s in %s: %v", tt.text, scope, err)
			}
		}
	}
}

func TestDecide(t *testing.T) {
	const (
		us, them = "000000000000", "111111111111"
		app      = "arn:aws:ecr:us-east-1:000000000000:repository/team/app"
	)
	user := func(account, name string) policy.Principal {
		return policy.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":user/" + name}
	}
	session := policy.Principal{Account: them, ARN: "arn:aws:sts::" + them + ":assumed-role/builder/run-7"}
	root := policy.Principal{Account: them, ARN: "arn:aws:iam::" + them + ":root"}
	allow := func(principal, action, more string) string {
		return `{"Effect":"Allow","Principal":` + principal + `,"Action":` + action + more + `}`
	}
	deny := strings.NewReplacer("Allow", "Deny")
	aws := func(who ...string) string { return `{"AWS":["` + strings.Join(who, `","`) + `"]}` }
	tests := []struct {
		what       string
		statements []string
		who        policy.Principal
		action     string
		want       policy.Effect
	}{
		{"everyone", []string{allow(`"*"`, `"ecr:PutImage"`, "")}, user(them, "eve"), "ecr:PutImage", policy.Allowed},
		{"another action", []string{allow(`"*"`, `"ecr:PutImage"`, "")}, user(them, "eve"), "ecr:BatchGetImage", policy.NoMatch},
		{"actions by pattern, any case", []string{allow(`"*"`, `["ecr:batch*","ecr:?utimage"]`, "")}, user(them, "eve"), "ecr:PutImage", policy.Allowed},
		{"an account", []string{allow(aws(them), `"ecr:*"`, "")}, user(them, "eve"), "ecr:PutImage", policy.Allowed},
		{"an account by its root", []string{allow(aws("arn:aws:iam::"+them+":root"), `"ecr:*"`, "")}, session, "ecr:PutImage", policy.Allowed},
		{"the root itself", []string{allow(aws(them), `"ecr:*"`, "")}, root, "ecr:PutImage", policy.Allowed},
		{"another account", []string{allow(aws(them), `"ecr:*"`, "")}, user(us, "bob"), "ecr:PutImage", policy.NoMatch},
		{"a user", []string{allow(aws("arn:aws:iam::"+them+":user/eve"), `"ecr:*"`, "")}, user(them, "eve"), "ecr:PutImage", policy.Allowed},
		{"another user", []string{allow(aws("arn:aws:iam::"+them+":user/eve"), `"ecr:*"`, "")}, user(them, "eve2"), "ecr:PutImage", policy.NoMatch},
		{"a role by a session", []string{allow(aws("arn:aws:iam::"+them+":role/deep/builder"), `"ecr:*"`, "")}, session, "ecr:PutImage", policy.Allowed},
		{"a role of another account", []string{allow(aws("arn:aws:iam::"+us+":role/builder"), `"ecr:*"`, "")}, session, "ecr:PutImage", policy.NoMatch},
		{"a service", []string{allow(`{"Service":"codebuild.amazonaws.com"}`, `"ecr:*"`, "")}, policy.Principal{Service: "codebuild.amazonaws.com"}, "ecr:PutImage", policy.Allowed},
		{"a service is no user", []string{allow(`{"Service":"codebuild.amazonaws.com"}`, `"ecr:*"`, "")}, user(them, "eve"), "ecr:PutImage", policy.NoMatch},
		{"a denial goes first", []string{allow(`"*"`, `"ecr:*"`, ""), deny.Replace(allow(aws(them), `"ecr:PutImage"`, ""))}, user(them, "eve"), "ecr:PutImage", policy.Denied},
		{"of others", []string{allow(`"*"`, `"ecr:*"`, ""), deny.Replace(allow(aws(them), `"ecr:PutImage"`, ""))}, user(us, "bob"), "ecr:PutImage", policy.Allowed},
		{"all but one", []string{`{"Effect":"Deny","NotPrincipal":` + aws(them) + `,"Action":"ecr:*"}`}, user(us, "bob"), "ecr:PutImage", policy.Denied},
		{"that one", []string{`{"Effect":"Deny","NotPrincipal":` + aws(them) + `,"Action":"ecr:*"}`}, user(them, "eve"), "ecr:PutImage", policy.NoMatch},
		{"all actions but one", []string{`{"Effect":"Allow","Principal":"*","NotAction":"ecr:Delete*"}`}, user(them, "eve"), "ecr:DeleteRepository", policy.NoMatch},
		{"those actions", []string{`{"Effect":"Allow","Principal":"*","NotAction":"ecr:Delete*"}`}, user(them, "eve"), "ecr:PutImage", policy.Allowed},
		{"a resource", []string{allow(`"*"`, `"ecr:*"`, `,"Resource":"arn:aws:ecr:*:*:repository/team/*"`)}, user(them, "eve"), "ecr:PutImage", policy.Allowed},
		{"another resource", []string{allow(`"*"`, `"ecr:*"`, `,"Resource":"arn:aws:ecr:*:*:repository/prod/*"`)}, user(them, "eve"), "ecr:PutImage", policy.NoMatch},
		{"not that resource", []string{allow(`"*"`, `"ecr:*"`, `,"NotResource":"arn:aws:ecr:*:*:repository/team/*"`)}, user(them, "eve"), "ecr:PutImage", policy.NoMatch},
		{"a condition on an absent key allows nothing", []string{allow(`"*"`, `"ecr:*"`, `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`)}, user(them, "eve"), "ecr:PutImage", policy.NoMatch},
		{"nor does it deny", []string{deny.Replace(allow(`"*"`, `"ecr:*"`, `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`))}, user(them, "eve"), "ecr:PutImage", policy.NoMatch},
		{"an empty condition is none", []string{allow(`"*"`, `"ecr:*"`, `,"Condition":{}`)}, user(them, "eve"), "ecr:PutImage", policy.Allowed},
	}
	for _, tt := range tests {
		d := repository(t, `{"Statement":[`+strings.Join(tt.statements, ",")+`]}`)
		if got := d.Decide(policy.Request{Principal: tt.who, Action: tt.action, Resource: app}); got.Effect != tt.want {
			t.Errorf("%s: %+v, want %v", tt.what, got, tt.want)
		}
	}
}

func TestDecisionNamesItsStatement(t *testing.T) {
	d := repository(t, `{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"ecr:PutImage"},{"Sid":"b","Effect":"Deny","Principal":"*","Action":"ecr:Delete*"}]}`)
	for action, want := range map[string]policy.Decision{
		"ecr:PutImage": {Effect: policy.Allowed, Statement: 0, Sid: "a"}, "ecr:DeleteRepository": {Effect: policy.Denied, Statement: 1, Sid: "b"},
		"ecr:ListImages": {Effect: policy.NoMatch, Statement: -1},
	} {
		if got := d.Decide(policy.Request{Action: action}); got != want {
			t.Errorf("%s: %+v, want %+v", action, got, want)
		}
	}
}

// With all keys pending a denial under a condition does not count, and an
// allowance under one does.
func TestAllKeysPending(t *testing.T) {
	const under = `{"Sid":"tls","Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`
	const outright = `{"Sid":"no","Effect":"Deny","Principal":"*","Action":"ecr:Put*"}`
	const allow = `{"Effect":"Allow","Principal":"*","Action":"ecr:*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`
	for _, tt := range []struct {
		statements []string
		want       policy.Decision
	}{
		{[]string{under}, policy.Decision{Effect: policy.NoMatch, Statement: -1}},
		{[]string{under, allow}, policy.Decision{Effect: policy.Allowed, Statement: 1}},
		{[]string{under, allow, outright}, policy.Decision{Effect: policy.Denied, Statement: 2, Sid: "no"}},
	} {
		d := repository(t, `{"Statement":[`+strings.Join(tt.statements, ",")+`]}`)
		if got := d.Decide(policy.Request{Action: "ecr:PutImage", Pending: []string{policy.Any}}); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.statements, got, tt.want)
		}
	}
}
