package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/policy"
)

func TestLint(t *testing.T) {
	const (
		fine   = `"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/team/*"`
		team   = `"Resource":"arn:aws:ecr:*:000000000000:repository/team/*"`
		toUser = `"Effect":"Allow","Principal":{"AWS":"` + userARN + `"}`
	)
	tests := []struct {
		what, text string
		want       []string // beginnings of findings
	}{
		{"a good identity policy", one(fine), nil},
		{"a good repository policy", one(toUser + `,"Action":"ecr:BatchGetImage"`), nil},
		{"a good trust policy", one(toUser + `,"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x"}}`), nil},
		{"a good trust policy of a web identity", one(`"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::000000000000:oidc-provider/token.example.com"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringLike":{"token.example.com:sub":"repo:*"}}`), nil},
		{"a token with its resource", one(`"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"`), nil},
		{"conditions that hold", one(fine + `,"Condition":{"StringLike":{"aws:PrincipalTag/Team":"r*"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"Null":{"aws:SourceVpc":"true"}}`), []string{"warning: Statement[0].Condition.Null.aws:SourceVpc: no request here has"}},
		{"tags that may be pushed", one(`"Effect":"Deny","Action":["ecr:PutImage","ecr:BatchDeleteImage"],` + team + `,"Condition":{"Bool":{"berth:TagExists":"true"},"StringNotLike":{"Berth:ImageTag":"dev-*"}}`), nil},
		// what is no policy
		{"no JSON", `{`, []string{"error: this is not a JSON object"}},
		{"not an object", `[]`, []string{"error: this is not a JSON object"}},
		{"no statement", `{}`, []string{"error: Missing required field Statement"}},
		{"no effect", one(`"Action":"ecr:*","Resource":"*"`), []string{"error: Statement[0].Effect: Missing required field Effect"}},
		{"a bad operator", one(fine + `,"Condition":{"StringIs":{"a":"b"}}`), []string{`error: Statement[0].Condition: Invalid condition operator: "StringIs"`}},
		{"a repository policy of another service", one(toUser + `,"Action":"s3:GetObject"`), []string{"error: Statement[0].Action: not an action of ECR"}},
		{"a stranger", one(`"Effect":"Allow","Principal":{"AWS":"me"},"Action":"ecr:PutImage"`), []string{`error: Statement[0].Principal: Invalid principal in policy: "AWS":"me"`}},
		{"a trust policy with a resource", one(toUser + `,"Action":"sts:AssumeRole","Resource":"*"`), []string{"error: Statement[0].Resource: Has prohibited field Resource"}},
		// actions
		{"a misspelt action", one(`"Effect":"Allow","Action":["ecr:PutImage","ecr:PutImages"],` + team), []string{`warning: Statement[0].Action[1]: "ecr:PutImages" is no action, and none begins so; ecr:PutImage may be meant`}},
		{"a pattern of no action", one(`"Effect":"Allow","Action":"ecr:Upload*Image",` + team), []string{`warning: Statement[0].Action: "ecr:Upload*Image" is no action`}},
		{"an action of STS that is not", one(`"Effect":"Allow","Action":"sts:Assume","Resource":"*"`), []string{`warning: Statement[0].Action: "sts:Assume" is no action`}},
		{"NotAction", one(`"Effect":"Deny","NotAction":["ecr:Nothing"],"Resource":"*"`), []string{`warning: Statement[0].NotAction[0]: "ecr:Nothing" is no action`}},
		{"another service", one(`"Effect":"Allow","Action":["s3:GetObject"],"Resource":"arn:aws:s3:::b/*"`), []string{`note: Statement[0].Action[0]: "s3:GetObject" is of a service that is not here`}},
		// actions and resources
		{"a token for a repository", one(`"Effect":"Allow","Action":"ecr:GetAuthorizationToken",` + team), []string{`warning: Statement[0].Action: "ecr:GetAuthorizationToken" is asked for the registry as a whole`}},
		{"a registry's action by a repository policy", one(toUser + `,"Action":["ecr:PutRegistryPolicy"]`), []string{`warning: Statement[0].Action[0]: "ecr:PutRegistryPolicy" is not asked for a repository`}},
		{"a token by a repository policy", one(toUser + `,"Action":"ecr:GetAuthorizationToken"`), []string{`warning: Statement[0].Action: "ecr:GetAuthorizationToken" is given by policies of identities alone`}},
		{"a repository without the word", one(`"Effect":"Allow","Action":"ecr:PutImage","Resource":"arn:aws:ecr:us-east-1:000000000000:team/app"`), []string{`warning: Statement[0].Resource: no repository has an ARN like`}},
		{"an account that is none", one(`"Effect":"Allow","Action":"ecr:PutImage","Resource":["arn:aws:ecr:us-east-1:1234:repository/x"]`), []string{`warning: Statement[0].Resource[0]: no repository has an ARN like`}},
		{"a repository of another service", one(`"Effect":"Deny","Action":"ecr:PutImage","NotResource":"arn:aws:s3:::x"`), []string{`warning: Statement[0].NotResource: no repository has an ARN like`}},
		{"a role among repositories", one(`"Effect":"Allow","Action":["ecr:PutImage","sts:AssumeRole"],"Resource":["arn:aws:iam::000000000000:role/*","arn:aws:ecr:*"]`), nil},
		{"a signing profile", one(`"Effect":"Allow","Action":"signer:SignPayload","Resource":"arn:aws:signer:us-east-1:000000000000:/signing-profiles/release"`), nil},
		{"signing among pushes", one(`"Effect":"Allow","Action":["ecr:PutImage","signer:Sign*"],"Resource":["arn:aws:ecr:*:*:repository/*","arn:aws:signer:*:*:/signing-profiles/*"]`), nil},
		{"signing with a repository", one(`"Effect":"Allow","Action":"signer:SignPayload",` + team), []string{`warning: Statement[0].Resource: no signing profile has an ARN like`}},
		{"a signing profile without the slash", one(`"Effect":"Allow","Action":"signer:SignPayload","Resource":"arn:aws:signer:us-east-1:000000000000:signing-profiles/x"`), []string{`warning: Statement[0].Resource: no signing profile has an ARN like`}},
		{"another action of Signer", one(`"Effect":"Allow","Action":"signer:StartSigningJob","Resource":"*"`), []string{`note: Statement[0].Action: "signer:StartSigningJob" is not asked for here`}},
		{"a misspelt one", one(`"Effect":"Allow","Action":"signer:SignPayloads","Resource":"*"`), []string{`note: Statement[0].Action: "signer:SignPayloads" is not asked for here; of AWS Signer's actions signer:SignPayload alone is`}},
		{"signing by a repository policy", one(toUser + `,"Action":"signer:SignPayload"`), []string{"error: Statement[0].Action: not an action of ECR"}},
		// too wide
		{"everyone", one(`"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"`), []string{"warning: Statement[0].Principal: allows everyone"}},
		{"everyone in AWS", one(`"Effect":"Allow","Principal":{"AWS":["*"]},"Action":"ecr:BatchGetImage"`), []string{"warning: Statement[0].Principal: allows everyone"}},
		{"everyone under a condition", one(`"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), nil},
		{"denied to everyone", one(`"Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage"`), nil},
		{"all but one", one(`"Effect":"Allow","NotPrincipal":{"AWS":"` + us + `"},"Action":"ecr:BatchGetImage"`), []string{"warning: Statement[0].NotPrincipal: allows everyone who is not named"}},
		{"everything", one(`"Effect":"Allow","Action":"*","Resource":"*"`), []string{`warning: Statement[0].Action: "*" on every resource is full access`}},
		{"all of ECR", one(`"Effect":"Allow","Action":["ECR:*"],"Resource":["*"]`), []string{`warning: Statement[0].Action[0]: "ECR:*" on every resource is full access`}},
		{"all of ECR somewhere", one(`"Effect":"Allow","Action":"ecr:*",` + team), nil},
		{"all actions but", one(`"Effect":"Allow","NotAction":"ecr:DeleteRepository",` + team), []string{"warning: Statement[0].NotAction: allows every action that is not named"}},
		{"all resources but", one(`"Effect":"Allow","Action":"ecr:PutImage","NotResource":"arn:aws:ecr:*:*:repository/x"`), []string{"warning: Statement[0].NotResource: allows every resource that is not named"}},
		// keys
		{"an unknown key", one(fine + `,"Condition":{"StringEquals":{"aws:UserNam":"x"}}`), []string{`warning: Statement[0].Condition.StringEquals.aws:UserNam: "aws:UserNam" is no condition key`, "warning: Statement[0]: has no effect"}},
		{"an unknown key in a negation", one(fine + `,"Condition":{"StringNotEquals":{"team":"x"}}`), []string{`warning: Statement[0].Condition.StringNotEquals.team: "team" is no condition key`, "note: Statement[0].Condition.StringNotEquals.team: holds for every request"}},
		{"a family without a name", one(fine + `,"Condition":{"StringEquals":{"aws:PrincipalTag/":"x"}}`), []string{`warning: Statement[0].Condition.StringEquals.aws:PrincipalTag/: "aws:PrincipalTag/" is no condition key`, "warning: Statement[0]: has no effect"}},
		{"a tag where none moves", one(fine + `,"Condition":{"StringLike":{"berth:ImageTag":"v*"}}`), []string{"warning: Statement[0].Condition.StringLike.berth:ImageTag: berth:ImageTag comes with ecr:PutImage", "warning: Statement[0]: has no effect"}},
		{"many values", one(`"Effect":"Deny","Action":"ecr:TagResource","Resource":"*","Condition":{"StringEquals":{"aws:TagKeys":"x"}}`), []string{"warning: Statement[0].Condition.StringEquals.aws:TagKeys: aws:TagKeys may have several values"}},
		{"all of none", one(`"Effect":"Allow","Action":"ecr:TagResource",` + team + `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"x"}}`), []string{"warning: Statement[0].Condition.ForAllValues:StringEquals.aws:TagKeys: ForAllValues holds also where"}},
		{"all of some", one(`"Effect":"Allow","Action":"ecr:TagResource",` + team + `,"Condition":{"Null":{"aws:TagKeys":"false"},"ForAllValues:StringEquals":{"aws:TagKeys":"x"}}`), nil},
		{"a star that is one", one(fine + `,"Condition":{"StringEquals":{"aws:PrincipalTag/Team":["a","${aws:username}*"]}}`), []string{`warning: Statement[0].Condition.StringEquals.aws:PrincipalTag/Team[1]: "${aws:username}*" has a wildcard`}},
		// the language
		{"variables without the version", `{"Statement":[{"Effect":"Allow","Action":"ecr:PutImage","Resource":["arn:aws:ecr:*:*:repository/${aws:username}/*"],"Condition":{"StringLike":{"aws:username":"${aws:userid}"}}}]}`, []string{
			`warning: Statement[0].Resource[0]: "arn:aws:ecr:*:*:repository/${aws:username}/*" has a variable, which is a text`, `warning: Statement[0].Condition.StringLike.aws:username: "${aws:userid}" has a variable`}},
		// statements that others make idle
		{"twice the same", several(fine, fine), []string{"note: Statement[1]: has no effect beside Statement[0]"}},
		{"less than another", several(fine, `"Effect":"Allow","Action":"ecr:Batch*",`+team), []string{}},
		{"a part of another", several(`"Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"arn:aws:ecr:us-east-1:000000000000:repository/team/app"`, `"Effect":"Allow","Action":"ecr:Batch*",`+team), []string{"note: Statement[0]: has no effect beside Statement[1]"}},
		{"denied by another", several(fine, `"Effect":"Deny","Action":"ecr:*","Resource":"*"`), []string{"warning: Statement[0]: has no effect: Statement[1] denies all"}},
		{"denied under a condition", several(fine, `"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}`), nil},
		{"the same under one condition", several(fine+`,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`, fine+`,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`), []string{"note: Statement[1]: has no effect beside Statement[0]"}},
		{"for another principal", several(toUser+`,"Action":"ecr:PutImage"`, `"Effect":"Allow","Principal":{"AWS":"`+roleARN+`"},"Action":"ecr:PutImage"`), nil},
		{"for one of two principals", several(toUser+`,"Action":"ecr:PutImage"`, `"Effect":"Allow","Principal":{"AWS":["`+roleARN+`","`+userARN+`"]},"Action":"ecr:P*"`), []string{"note: Statement[0]: has no effect beside Statement[1]"}},
		{"one statement that is no list", `{"Statement":{"Effect":"Allow","Action":"ecr:Nope","Resource":"*"}}`, []string{`warning: Statement.Action: "ecr:Nope"`}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			var got []string
			found := policy.Lint(tt.text)
			for i, f := range found {
				s := f.String()
				if i < len(tt.want) && strings.HasPrefix(s, tt.want[i]) {
					s = tt.want[i]
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(append([]string{}, tt.want...), append([]string{}, got...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
