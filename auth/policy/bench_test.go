package policy_test

import (
	"fmt"
	"testing"

	"github.com/seed-78150930/berth/auth/policy"
)

// crowd is 50 policies of 20 statements each, of which each repeats the pattern
// with its number, and a request that only the very last allows.
func crowd(b *testing.B, statement string) (policy.Policies, policy.Request) {
	b.Helper()
	p := policy.Policies{SameAccount: true}
	for i := range 50 {
		var all []string
		for j := range 20 {
			all = append(all, fmt.Sprintf(statement, i*20+j))
		}
		p.Identity = append(p.Identity, policy.Attached{Name: fmt.Sprintf("policy %d", i), Document: identity(b, several(all...))})
	}
	return p, policy.Request{
		Principal: user(us, "alice"), Action: "ecr:PutImage", Resource: repos + "team-999/app",
		Keys: policy.Keys{"aws:username": {"alice"}, "aws:sourceip": {"10.1.2.3"}, "aws:securetransport": {"true"}, "aws:principaltag/team": {"999"}},
	}
}

// BenchmarkEvaluate decides with 50 policies of 20 statements, which differ in what
// of them bears on the request.
func BenchmarkEvaluate(b *testing.B) {
	for _, of := range []struct{ name, statement string }{
		{"actions", `"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:Describe*","s3:*"],"Resource":"*","Sid":"s%d"`},
		{"resources", `"Effect":"Allow","Action":["ecr:Put*","ecr:*LayerUpload"],"Resource":"` + repos + `team-%d/*"`},
		{"denials", `"Effect":"Deny","Action":"ecr:*","Resource":"` + repos + `private-%d/*"`},
		{"conditions", `"Effect":"Allow","Action":"ecr:*","Resource":"` + repos + `team-%d/*","Condition":{"StringEquals":{"aws:username":["alice","bob"]},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"Bool":{"aws:SecureTransport":"true"}}`},
		{"conditions on everything", `"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"user%d"}}`},
		{"variables", `"Effect":"Allow","Action":"ecr:*","Resource":"` + repos + `%d/${aws:username}/*"`},
	} {
		p, q := crowd(b, of.statement)
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				policy.Evaluate(p, q)
			}
		})
	}
}

func BenchmarkParseIdentity(b *testing.B) {
	var all []string
	for j := range 20 {
		all = append(all, fmt.Sprintf(`"Effect":"Allow","Action":["ecr:Put*","ecr:BatchGetImage"],"Resource":"%steam-%d/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}`, repos, j))
	}
	text := several(all...)
	for b.Loop() {
		identity(b, text)
	}
}
