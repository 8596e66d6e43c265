package stsapi_test

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

const me = `{"AWS":"arn:aws:iam::123456789012:user/jo"}`

func TestAssumeRole(t *testing.T) {
	f := setUp(t)
	jo := f.user(t, account, "jo", "", nil)
	r := f.role(t, account, "build", trust(me, `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`, `{}`))
	got := f.assume(t, jo, assuming("DurationSeconds", "7200", "SourceIdentity", "jo", "Policy", allow("ecr:*", "*"),
		"PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly", "Tags.member.1.Key", "team", "Tags.member.1.Value", "red"))
	if u := got.Result.AssumedRoleUser; u.AssumedRoleId != r.ID+":run" || u.Arn != "arn:aws:sts::123456789012:assumed-role/build/run" {
		t.Errorf("assumed %+v", u)
	}
	if p := got.Result.PackedPolicySize; p == nil || *p < 1 || *p > 20 || got.Result.SourceIdentity != "jo" {
		t.Errorf("packed %v, source identity %q", p, got.Result.SourceIdentity)
	}
	if !got.Result.Credentials.Expiration.Equal(start.Add(2 * time.Hour)) {
		t.Errorf("until %s", got.Result.Credentials.Expiration)
	}
	if who := f.whoami(t, got.key()); who != "arn:aws:sts::123456789012:assumed-role/build/run "+r.ID+":run "+account {
		t.Errorf("is %s", who)
	}
	p, body, err := f.verifier.Signed(f.signed(t, got.key()), "sts", 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	p.Session.Lineage, p.Session.ID = "", ""
	want := *p.Session
	want.Policies, want.Tags, want.SourceIdentity = []string{allow("ecr:*", "*")}, map[string]string{"team": "red"}, "jo"
	want.PolicyARNs = []string{"arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"}
	want.Issuer, want.IssuerID, want.Name, want.Issued = r.ARN, r.ID, "run", start
	if d := cmp.Diff(want, *p.Session); d != "" {
		t.Error(d)
	}
	plain := f.assume(t, jo, assuming())
	if plain.Result.PackedPolicySize != nil || !plain.Result.Credentials.Expiration.Equal(start.Add(time.Hour)) {
		t.Errorf("without more: %+v", plain.Result)
	}
	if status, _ := f.call(t, plain.key(), session); status != 403 {
		t.Errorf("GetSessionToken by a role's session: %d", status)
	}
}

// TestWhoMayAssume has users of both accounts, with all that can stand in their
// policies and in the role's.
func TestWhoMayAssume(t *testing.T) {
	const (
		theAccount = `{"AWS":"arn:aws:iam::123456789012:root"}`
		theOther   = `{"AWS":"210987654321"}`
		himThere   = `{"AWS":"arn:aws:iam::210987654321:user/jo"}`
		action     = `"sts:AssumeRole"`
	)
	may := allow("sts:AssumeRole", role)
	both := func(a, b string) string {
		return strings.TrimSuffix(a, "]}") + "," + strings.TrimSuffix(b[strings.Index(b, "[")+1:], "]}") + "]}"
	}
	for _, tt := range []struct {
		name          string
		account       string
		trust, policy string
		more          []string
		ok            bool
	}{
		{"the trust policy names him", account, trust(me, action, `{}`), "", nil, true},
		{"it names his account", account, trust(theAccount, action, `{}`), "", nil, false},
		{"it names his account, which lets him", account, trust(theAccount, action, `{}`), may, nil, true},
		{"his account alone lets him", account, trust(theOther, action, `{}`), may, nil, false},
		{"it names everybody", account, trust(`"*"`, action, `{}`), "", nil, true},
		{"it names him, his account denies", account, trust(me, action, `{}`), deny("sts:*", "*"), nil, false},
		{"it names him and denies him", account, both(trust(me, action, `{}`), strings.Replace(trust(me, action, `{}`), "Allow", "Deny", 1)), "", nil, false},
		{"it names another action", account, trust(me, `"sts:TagSession"`, `{}`), may, nil, false},
		{"another name", account, trust(`{"AWS":"arn:aws:iam::123456789012:user/jo2"}`, action, `{}`), may, nil, false},
		{"of another account, which lets him not", other, trust(theOther, action, `{}`), "", nil, false},
		{"of another account, named, which lets him not", other, trust(himThere, action, `{}`), "", nil, false},
		{"of another account, which lets him", other, trust(theOther, action, `{}`), may, nil, true},
		{"of another account, not trusted", other, trust(theAccount, action, `{}`), may, nil, false},
		{"of another account, of the same name", other, trust(me, action, `{}`), may, nil, false},
		{"of another account, let do something else", other, trust(theOther, action, `{}`), allow("sts:AssumeRole", role+"2"), nil, false},

		{"external id", account, trust(me, action, `{"StringEquals":{"sts:ExternalId":"x-1"}}`), "", []string{"ExternalId", "x-1"}, true},
		{"wrong external id", account, trust(me, action, `{"StringEquals":{"sts:ExternalId":"x-1"}}`), "", []string{"ExternalId", "x-2"}, false},
		{"no external id", account, trust(me, action, `{"StringEquals":{"sts:ExternalId":"x-1"}}`), "", nil, false},
		{"session name", account, trust(me, action, `{"StringLike":{"sts:RoleSessionName":"${aws:username}-*"}}`), "", []string{"RoleSessionName", "jo-1"}, true},
		{"wrong session name", account, trust(me, action, `{"StringLike":{"sts:RoleSessionName":"${aws:username}-*"}}`), "", nil, false},
		{"his tag", account, trust(me, action, `{"StringEquals":{"aws:PrincipalTag/Team":"red"}}`), "", nil, true},
		{"not his tag", account, trust(me, action, `{"StringEquals":{"aws:PrincipalTag/Team":"blue"}}`), "", nil, false},
		{"without a second factor", account, trust(me, action, `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`), "", nil, false},
		{"address", account, trust(me, action, `{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), "", nil, false},
		{"time", account, trust(me, action, `{"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:00:01Z"}}`), "", nil, true},

		{"tags that nothing allows", account, trust(me, action, `{}`), "", []string{"Tags.member.1.Key", "a", "Tags.member.1.Value", "b"}, false},
		{"tags", account, trust(me, `["sts:AssumeRole","sts:TagSession"]`, `{"StringEquals":{"aws:RequestTag/a":"b"},"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`), "",
			[]string{"Tags.member.1.Key", "a", "Tags.member.1.Value", "b"}, true},
		{"a tag too many", account, trust(me, `["sts:AssumeRole","sts:TagSession"]`, `{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`), "",
			[]string{"Tags.member.1.Key", "c", "Tags.member.1.Value", "b"}, false},
		{"source identity that nothing allows", account, trust(me, action, `{}`), "", []string{"SourceIdentity", "jo"}, false},
		{"no role", account, trust(me, action, `{}`), may, []string{"RoleArn", role + "2"}, false},
		{"role of another path", account, trust(me, action, `{}`), may, []string{"RoleArn", "arn:aws:iam::123456789012:role/x/build"}, false},
		{"role of another partition", account, trust(me, action, `{}`), may, []string{"RoleArn", "arn:aws-cn:iam::123456789012:role/build"}, false},
		{"not a role", account, trust(me, action, `{}`), may, []string{"RoleArn", "arn:aws:iam::123456789012:user/jo"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := setUp(t)
			jo := f.user(t, tt.account, "jo", tt.policy, map[string]string{"team": "red"})
			f.role(t, account, "build", tt.trust)
			form := assuming(tt.more...)
			if tt.ok {
				f.assume(t, jo, form)
				return
			}
			values, _ := url.ParseQuery(form)
			status, code, message := f.refused(t, jo, form)
			want := "User: arn:aws:iam::" + tt.account + ":user/jo is not authorized to perform: sts:"
			if status != 403 || code != "AccessDenied" || !strings.HasPrefix(message, want) || !strings.HasSuffix(message, " on resource: "+values.Get("RoleArn")) {
				t.Errorf("%d %s %q", status, code, message)
			}
		})
	}
}

// A denial tells nothing of its reason, which those who ask by its code are told.
func TestDenialsToActAsARole(t *testing.T) {
	f := setUp(t)
	s := f.issuer(t)
	jo := f.user(t, account, "jo", "", nil)
	may := f.user(t, account, "may", allow("sts:*", "*"), nil)
	form := byToken(s.token(t, s.key, nil))
	header := func(k sigv4test.Key, body string) string {
		r := f.form(t, body)
		if k.ID != "" {
			k.Sign(r, body, f.now)
		}
		w := httptest.NewRecorder()
		r.RequestURI = ""
		f.api.ServeHTTP(w, r)
		if w.Code != 403 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		return w.Header().Get(auth.DenialHeader)
	}
	codes := []string{header(jo, assuming()), header(may, assuming()), header(nobody, form)}
	reasons := func() (all []string) {
		for _, c := range codes {
			d, _ := f.denials.Find(c)
			all = append(all, d.Reason)
		}
		return all
	}
	want := []string{
		"because there is no such role", "because there is no such role",
		`because there is no such role to the subject "repo:team/app:ref:refs/heads/main"`,
	}
	if d := cmp.Diff(want, reasons()); d != "" {
		t.Error(d)
	}
	f.role(t, account, "build", trust(`{"AWS":"arn:aws:iam::123456789012:user/else"}`, `"sts:AssumeRole"`, `{}`))
	again := []string{header(jo, assuming()), header(may, assuming()), header(nobody, form)}
	if d := cmp.Diff(codes, again); d != "" {
		t.Errorf("codes tell whether there is a role:\n%s", d)
	}
	want = []string{
		"because the role's trust policy does not allow the sts:AssumeRole action", "because the role's trust policy does not allow the sts:AssumeRole action",
		`because the role's trust policy does not allow the sts:AssumeRoleWithWebIdentity action to the subject "repo:team/app:ref:refs/heads/main"`,
	}
	if d := cmp.Diff(want, reasons()); d != "" {
		t.Error(d)
	}
}

func TestRootAssumesNoRole(t *testing.T) {
	f := setUp(t)
	f.role(t, account, "build", trust(`{"AWS":"123456789012"}`, `"sts:AssumeRole"`, `{}`))
	if status, code, message := f.refused(t, f.key, assuming()); status != 403 || code != "AccessDenied" || message != "Roles may not be assumed by root accounts." {
		t.Errorf("%d %s %s", status, code, message)
	}
}

func TestAssumeRoleRefusals(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	tag := func(key, value string) []string {
		return []string{"Tags.member.1.Key", key, "Tags.member.1.Value", value}
	}
	f := setUp(t)
	jo := f.user(t, account, "jo", "", nil)
	f.role(t, account, "build", trust(me, `["sts:AssumeRole","sts:TagSession"]`, `{}`))
	noise := func(n int) (text string) { // that cannot be packed
		for len(text) < n {
			text += rand.Text()
		}
		return text[:n]
	}
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf("Tags.member.%d.Key", i+1), fmt.Sprint(i), fmt.Sprintf("Tags.member.%d.Value", i+1), "")
	}
	var full []string
	for i := range 50 {
		full = append(full, fmt.Sprintf("Tags.member.%d.Key", i+1), fmt.Sprintf("%d%s", i, noise(120)), fmt.Sprintf("Tags.member.%d.Value", i+1), noise(200 + i)[i:])
	}
	for _, tt := range []struct {
		name string
		more []string
		code string
		text string
	}{
		{"no role", []string{"RoleArn", "absent"}, "ValidationError", "Value null at 'roleArn' failed to satisfy constraint: Member must not be null"},
		{"short role", []string{"RoleArn", "x"}, "ValidationError", "Value 'x' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20"},
		{"long role", []string{"RoleArn", long(2049)}, "ValidationError", "less than or equal to 2048"},
		{"no session name", []string{"RoleSessionName", "absent"}, "ValidationError", "'roleSessionName'"},
		{"short session name", []string{"RoleSessionName", "x"}, "ValidationError", "greater than or equal to 2"},
		{"long session name", []string{"RoleSessionName", long(65)}, "ValidationError", "less than or equal to 64"},
		{"odd session name", []string{"RoleSessionName", "a/b"}, "ValidationError", "regular expression"},
		{"too short", []string{"DurationSeconds", "899"}, "ValidationError", "greater than or equal to 900"},
		{"too long", []string{"DurationSeconds", "43201"}, "ValidationError", "less than or equal to 43200"},
		{"longer than the role's", []string{"DurationSeconds", "7201"}, "ValidationError", "MaxSessionDuration set for this role"},
		{"long external id", []string{"ExternalId", long(1225)}, "ValidationError", "'externalId'"},
		{"long policy", []string{"Policy", long(2049)}, "ValidationError", "'policy'"},
		{"policy that is none", []string{"Policy", "{}"}, "MalformedPolicyDocument", ""},
		{"policy with a principal", []string{"Policy", trust(`"*"`, `"ecr:*"`, `{}`)}, "MalformedPolicyDocument", ""},
		{"policy that is not there", []string{"PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/Absent"}, "InvalidParameterValue", "Absent"},
		{"policy by its name", []string{"PolicyArns.member.1.arn", "AmazonEC2ContainerRegistryReadOnly"}, "InvalidParameterValue", ""},
		{"eleven policies", []string{
			"PolicyArns.member.1.arn", role, "PolicyArns.member.2.arn", role, "PolicyArns.member.3.arn", role, "PolicyArns.member.4.arn", role,
			"PolicyArns.member.5.arn", role, "PolicyArns.member.6.arn", role, "PolicyArns.member.7.arn", role, "PolicyArns.member.8.arn", role,
			"PolicyArns.member.9.arn", role, "PolicyArns.member.10.arn", role, "PolicyArns.member.11.arn", role,
		}, "ValidationError", "'policyArns'"},
		{"policy without its ARN", []string{"PolicyArns.member.1", role}, "ValidationError", "Value null at 'policyArns'"},
		{"odd place", []string{"PolicyArns.member.01.arn", role}, "ValidationError", "no place in a list"},
		{"place that is none", []string{"Tags.member.x.Key", "a"}, "ValidationError", "no place in a list"},
		{"tag without a key", []string{"Tags.member.1.Value", "a"}, "ValidationError", "'tags.Key'"},
		{"tag without a value", []string{"Tags.member.1.Key", "a", "Policy", "{}"}, "MalformedPolicyDocument", ""},
		{"long key", tag(long(129), ""), "ValidationError", "128"},
		{"long value", tag("a", long(257)), "ValidationError", "256"},
		{"odd key", tag("a*", ""), "ValidationError", "regular expression"},
		{"reserved key", tag("aws:x", ""), "InvalidParameterValue", "reserved"},
		{"two keys that differ by case", append(tag("a", ""), "Tags.member.2.Key", "A", "Tags.member.2.Value", ""), "InvalidParameterValue", "Duplicate tag keys"},
		{"51 tags", many, "ValidationError", "'tags'"},
		{"transitive tag that is none", []string{"TransitiveTagKeys.member.1", "a"}, "InvalidParameterValue", "must be included in the requested tags"},
		{"more than a session carries", full, "PackedPolicyTooLarge", "% of allotted space"},
		{"second factor", []string{"SerialNumber", "x", "TokenCode", "123456"}, "AccessDenied", "MultiFactorAuthentication"},
		{"source identity", []string{"SourceIdentity", "a b"}, "ValidationError", "'sourceIdentity'"},
	} {
		status, code, message := f.refused(t, jo, assuming(tt.more...))
		if code != tt.code || !strings.Contains(message, tt.text) || status != 400 && code != "AccessDenied" {
			t.Errorf("%s: %d %s %q", tt.name, status, code, message)
		}
		if len(message) > 600 {
			t.Errorf("%s: a message of %d characters", tt.name, len(message))
		}
	}
}
