package audit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/policy"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func newRequest(t testing.TB) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), "PUT", "/", strings.NewReader("body"))
}

// long are parameters of more than a record takes.
func long() audit.Fields {
	var ids []audit.Fields
	for i := range 100 {
		ids = append(ids, audit.Fields{{"imageTag", fmt.Sprint(i, strings.Repeat("<", 290))}})
	}
	return audit.Fields{{"imageIds", ids}, {"policyText", strings.Repeat("\x01", 10<<10)}}
}

func TestRecordIsCloudTrails(t *testing.T) {
	l := open(t)
	l.pull()
	got := l.last()
	delete(got, "chain")
	if id, _ := got["eventID"].(string); len(id) != 36 {
		t.Errorf("eventID %q", id)
	}
	delete(got, "eventID")
	want := map[string]any{
		"eventVersion": "1.11",
		"userIdentity": map[string]any{
			"type": "Root", "principalId": account, "arn": "arn:aws:iam::" + account + ":root", "accountId": account, "accessKeyId": "AKIAHERE",
		},
		"eventTime": "2026-03-01T12:00:00Z", "eventSource": "ecr.amazonaws.com", "eventName": "BatchGetImage", "awsRegion": "eu-west-1",
		"sourceIPAddress": "192.0.2.7", "userAgent": "docker/28.1",
		"requestParameters": map[string]any{"repositoryName": "team/app", "imageIds": []any{map[string]any{"imageTag": "1.4"}}},
		"responseElements":  nil,
		"additionalEventData": map[string]any{
			"door": "oci", "httpStatus": 200.0, "bytesReceived": 0.0, "bytesSent": 8.0,
		},
		"requestID": "request-1", "readOnly": true, "eventType": "AwsApiCall", "managementEvent": true,
		"resources": []any{map[string]any{
			"ARN": "arn:aws:ecr:eu-west-1:" + account + ":repository/team/app", "accountId": account, "type": "AWS::ECR::Repository",
		}},
		"recipientAccountId": account, "eventCategory": "Management",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.must(l.Close())
}

func TestUserIdentities(t *testing.T) {
	issued := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	attributes := func(mfa string) obj { return obj{"creationDate": "2026-03-01T11:00:00Z", "mfaAuthenticated": mfa} }
	tests := []struct {
		name string
		by   auth.Principal
		fill func(*audit.Call)
		want obj
	}{
		{"user", auth.Principal{Kind: auth.User, Account: account, ARN: "arn:aws:iam::1:user/ann", UserID: "AIDAX", KeyID: "AKIAX", Name: "ann"}, nil,
			obj{"type": "IAMUser", "principalId": "AIDAX", "arn": "arn:aws:iam::1:user/ann", "accountId": account, "accessKeyId": "AKIAX", "userName": "ann"}},
		{"user's session", auth.Principal{Kind: auth.User, Account: account, ARN: "arn:aws:iam::1:user/ann", UserID: "AIDAX", KeyID: "AKIAX", Name: "ann",
			Session: &auth.Session{Issued: issued, MFA: true}}, nil,
			obj{"type": "IAMUser", "principalId": "AIDAX", "arn": "arn:aws:iam::1:user/ann", "accountId": account, "accessKeyId": "AKIAX", "userName": "ann",
				"sessionContext": obj{"attributes": attributes("true")}}},
		{"role", auth.Principal{Kind: auth.Role, Account: account, ARN: "arn:aws:sts::1:assumed-role/ci/run", UserID: "AROAX:run", KeyID: "ASIAX", Name: "ci",
			Session: &auth.Session{Issuer: "arn:aws:iam::1:role/ci", IssuerID: "AROAX", Issued: issued, Provider: "issuer.example", Subject: "repo:a/b", SourceIdentity: "ann"}}, nil,
			obj{"type": "AssumedRole", "principalId": "AROAX:run", "arn": "arn:aws:sts::1:assumed-role/ci/run", "accountId": account, "accessKeyId": "ASIAX",
				"sessionContext": obj{
					"sessionIssuer":       obj{"type": "Role", "principalId": "AROAX", "arn": "arn:aws:iam::1:role/ci", "accountId": account, "userName": "ci"},
					"webIdFederationData": obj{"federatedProvider": "issuer.example", "attributes": obj{"subject": "repo:a/b"}},
					"attributes":          attributes("false"), "sourceIdentity": "ann",
				}}},
		{"anonymous", auth.Nobody("us-east-1"), nil,
			obj{"type": "AWSAccount", "principalId": "ANONYMOUS_PRINCIPAL", "accountId": "ANONYMOUS_PRINCIPAL"}},
		{"nobody", auth.Principal{}, nil, obj{"type": "AWSAccount", "principalId": "ANONYMOUS_PRINCIPAL", "accountId": "ANONYMOUS_PRINCIPAL"}},
		{"a claimed name", auth.Principal{}, func(c *audit.Call) { c.Claimed = strings.Repeat("x", 100) },
			obj{"type": "Unknown", "userName": strings.Repeat("x", 64) + "…"}},
		{"a claimed key", auth.Principal{}, func(c *audit.Call) { c.ClaimedKey = "AKIAIOSFODNN7EXAMPLE" },
			obj{"type": "Unknown", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}},
		{"a secret in the place of a key", auth.Principal{}, func(c *audit.Call) { c.ClaimedKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" },
			obj{"type": "Unknown", "accessKeyId": audit.Hidden}},
	}
	l := open(t)
	for _, tt := range tests {
		l.call("GET", func(c *audit.Call, _ http.ResponseWriter, _ *http.Request) {
			c.Event, c.Principal = "BatchGetImage", tt.by
			if tt.fill != nil {
				tt.fill(c)
			}
		})
		if diff := cmp.Diff(any(tt.want), l.last()["userIdentity"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	l.must(l.Close())
}

type obj = map[string]any

// TestValues writes what a door may give as parameters.
func TestValues(t *testing.T) {
	type inner struct {
		Name *string `json:"name,omitzero"`
		Skip string
	}
	name, yes, n := "x", true, int64(7)
	tests := []struct {
		in   any
		want string
	}{
		{nil, `null`},
		{audit.Fields{}, `{}`},
		{(*inner)(nil), `null`},
		{&inner{Name: &name, Skip: "y"}, `{"name":"x"}`},
		{&inner{}, `{}`},
		{audit.Fields{{"a", ""}, {"b", &yes}, {"c", &n}, {"d", []string{"", "1", "", "2"}}, {"e", []string(nil)}, {"f", []inner{{}}}}, `{"b":true,"c":7,"d":["1","2"],"f":[{}]}`},
		{audit.Fields{{"Password", "p"}, {"sessionToken", "p"}, {"layerPartBlob", "p"}, {"list", []audit.Fields{{{"secretAccessKey", "p"}}}}},
			`{"Password":"HIDDEN_DUE_TO_SECURITY_REASONS","sessionToken":"HIDDEN_DUE_TO_SECURITY_REASONS","list":[{"secretAccessKey":"HIDDEN_DUE_TO_SECURITY_REASONS"}]}`},
		{audit.Fields{{"token", []string{"p"}}, {"secret", audit.Fields{{"a", "p"}}}}, `{"token":"HIDDEN_DUE_TO_SECURITY_REASONS","secret":"HIDDEN_DUE_TO_SECURITY_REASONS"}`},
		{audit.Fields{{"imageManifest", "{}"}}, `{"imageManifest":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}}`},
		{audit.Fields{{"a", "\"\\\n\t\x00\x7fé\xff<"}}, `{"a":"\"\\\n\t\u0000` + "\x7fé\uFFFD" + `<"}`},
		{audit.Fields{{"at", time.Unix(0, 0).UTC()}}, `{"at":"1970-01-01T00:00:00Z"}`},
		{audit.Fields{{"f", func() {}}, {"g", 1}}, `{"g":1}`},
	}
	l := open(t)
	for _, tt := range tests {
		l.call("GET", func(c *audit.Call, _ http.ResponseWriter, _ *http.Request) { c.Event, c.Parameters = "GetX", tt.in })
		l.Step()
		lines := l.lines(l.options.File)
		line := lines[len(lines)-1]
		_, rest, _ := strings.Cut(line, `"requestParameters":`)
		got, _, _ := strings.Cut(rest, `,"responseElements"`)
		if got != tt.want {
			t.Errorf("%v:\n got %s\nwant %s", tt.in, got, tt.want)
		}
		if !json.Valid([]byte(line)) {
			t.Errorf("%s is not JSON", line)
		}
	}
	l.must(l.Close())
}

func TestLongValuesAreClipped(t *testing.T) {
	l := open(t)
	for _, v := range []any{long(), audit.Fields{{"policyText", strings.Repeat("a", 9<<10)}}, audit.Fields{{"tag", strings.Repeat("é", 2<<10)}}} {
		l.call("PUT", func(c *audit.Call, w http.ResponseWriter, _ *http.Request) {
			c.Event, c.Principal, c.Parameters, c.Response = "PutX", root, v, v
			c.Reference = strings.Repeat("\x02", 400)
		})
		r := l.last()
		lines := l.lines(l.options.File)
		if n := len(lines[len(lines)-1]); n > audit.LongestLine || r["additionalEventData"].(obj)["clipped"] != true {
			t.Errorf("a line of %d bytes, %v", n, r["additionalEventData"])
		}
	}
	l.must(l.Close())
}

func TestErrorsAndDenialsAreTold(t *testing.T) {
	l := open(t)
	denied := &auth.Denied{Check: auth.Check{Principal: root}, Verdict: policy.Verdict{}, Reason: "because", Code: "D-7"}
	l.call("PUT", func(c *audit.Call, w http.ResponseWriter, _ *http.Request) {
		c.Event, c.Principal, c.Response = "PutImage", root, audit.Fields{{"a", "b"}}
		c.Fail("AccessDeniedException", denied.Error(), fmt.Errorf("asked: %w", denied))
		w.WriteHeader(http.StatusForbidden)
	})
	r := l.last()
	if r["errorCode"] != "AccessDeniedException" || r["errorMessage"] != denied.Error() || r["responseElements"] != nil {
		t.Errorf("%v", r)
	}
	if more := r["additionalEventData"].(obj); more["denialCode"] != "D-7" || more["httpStatus"] != 403.0 {
		t.Errorf("%v", more)
	}
	l.must(l.Close())
}

func TestCallThatBreaksOffIsRecorded(t *testing.T) {
	l := open(t)
	for _, begun := range []bool{false, true} {
		func() {
			defer func() { recover() }()
			l.call("GET", func(c *audit.Call, w http.ResponseWriter, _ *http.Request) {
				c.Event = "GetDownloadUrlForLayer"
				if begun {
					w.Write([]byte("half"))
				}
				panic(http.ErrAbortHandler)
			})
		}()
		r := l.last()
		status := map[bool]float64{false: 500, true: 200}[begun]
		if r["errorCode"] != "InternalFailure" || r["additionalEventData"].(obj)["httpStatus"] != status {
			t.Errorf("begun %v: %v", begun, r)
		}
	}
	l.must(l.Close())
}

func TestNilTrailRecordsNothing(t *testing.T) {
	var none *audit.Trail
	rec := newRecorder()
	r := newRequest(t)
	c, w, r2 := none.Begin(rec, r, audit.ECR)
	c.Event = "PutImage"
	c.Fail("x", "y", nil)
	c.End()
	if w != http.ResponseWriter(rec) || r2 != r || none.Ready() != nil || none.Close() != nil || c.Refused() != nil {
		t.Error("a nil trail does something")
	}
	audit.Of(t.Context()).Fail("a", "b", nil) // of no call
}

func TestCallIsFoundInItsContext(t *testing.T) {
	l := open(t)
	l.call("GET", func(c *audit.Call, _ http.ResponseWriter, r *http.Request) {
		if audit.Of(r.Context()) != c {
			t.Error("another call")
		}
	})
	if got := l.last()["eventName"]; got != audit.Unknown {
		t.Errorf("a call without a name is %v", got)
	}
	l.must(l.Close())
}

func TestReadOnly(t *testing.T) {
	for event, want := range map[string]bool{
		"BatchGetImage": true, "GetDownloadUrlForLayer": true, "ListImages": true, "DescribeImages": true, "BatchCheckLayerAvailability": true,
		"ValidatePullThroughCacheRule": true, "AssumeRole": true, "PutImage": false, "BatchDeleteImage": false, "InitiateLayerUpload": false,
		"StartImageScan": false, "TagResource": false, "MountLayer": false,
	} {
		if got := audit.ReadOnly(event); got != want {
			t.Errorf("ReadOnly(%s) = %v", event, got)
		}
	}
}

func TestBytesOfABodyAreCounted(t *testing.T) {
	l := open(t)
	l.serve(newRequest(t), func(c *audit.Call, w http.ResponseWriter, r *http.Request) {
		c.Event = "UploadLayerPart"
		r.Body.Read(make([]byte, 10))
		w.(io.ReaderFrom).ReadFrom(strings.NewReader("answer"))
	})
	if more := l.last()["additionalEventData"].(obj); more["bytesReceived"] != 4.0 || more["bytesSent"] != 0.0 {
		t.Errorf("%v", more)
	}
	l.must(l.Close())
}

// BenchmarkRecord is what a record costs the request: of a read, whose line is made
// by the trail's worker, and of a change, whose line is in the file before its answer.
func BenchmarkRecord(b *testing.B) {
	for _, event := range []string{"BatchGetImage", "PutImage"} {
		b.Run(event, func(b *testing.B) {
			l := open(b)
			r := httptest.NewRequestWithContext(b.Context(), "GET", "/", nil)
			r.Header.Set("User-Agent", "docker/28.1")
			rec := httptest.NewRecorder()
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%50 == 49 {
					b.StopTimer()
					l.must(l.Sync()) // as the worker does
					b.StartTimer()
				}
				l.record(event, rec, r)
			}
			l.must(l.Close())
		})
	}
}

// record is a call as doors make it.
func (l *ledger) record(event string, rec http.ResponseWriter, r *http.Request) {
	c, w, _ := l.Begin(rec, r, audit.OCI)
	defer c.End()
	c.Event, c.Principal = event, root
	c.On("arn:aws:ecr:eu-west-1:"+account+":repository/team/app", account, audit.RepositoryType)
	c.Parameters = audit.Fields{{"repositoryName", "team/app"}, {"imageIds", []audit.Fields{{{"imageTag", "1.4"}}}}}
	w.WriteHeader(http.StatusOK)
	c.Answered()
}

// FuzzRecord has texts of strangers in all places of a record.
func FuzzRecord(f *testing.F) {
	f.Add("a", "b", "c")
	f.Add("", "b", "")
	f.Add("\"\\\n", "\x00\xff\xed\xa0\x80", strings.Repeat("é<", 3000))
	f.Add(`","chain":{"sequence":1,"previous":"`, "\u2028", `"}}`+"\n")
	l := open(f)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header["User-Agent"] = []string{c}
		l.serve(r, func(call *audit.Call, w http.ResponseWriter, _ *http.Request) {
			call.Event, call.Claimed, call.ClaimedKey, call.Reference, call.Account = a, b, c, a+b, c
			call.On(a, b, c)
			call.Parameters = audit.Fields{{a, b}, {"policyText", c}, {"list", []string{a, b, c}}}
			call.Fail(a, b, nil)
			w.WriteHeader(http.StatusBadRequest)
		})
		if err := errors.Join(l.Close(), os.Truncate(l.options.File+".head", 0)); err != nil {
			t.Fatal(err)
		}
		report, err := audit.Verify([]string{l.options.File}, key)
		if err != nil || len(report.Breaks) > 0 || report.Records != 3 {
			content, _ := os.ReadFile(l.options.File)
			t.Fatalf("%+v, %v: %q", report, err, content)
		}
		if err := os.Truncate(l.options.File, 0); err != nil {
			t.Fatal(err)
		}
		l.Trail, err = audit.OpenOn(l.options, l.disk)
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestPull: the parameters of a pull are as Fields of the same members would be.
func TestPull(t *testing.T) {
	l := open(t)
	long := strings.Repeat("x", 2000)
	for _, tt := range []struct {
		pull audit.Pull
		want audit.Fields
	}{
		{audit.Pull{RepositoryName: "a"}, audit.Fields{{"repositoryName", "a"}}},
		{
			audit.Pull{RegistryID: "1", RepositoryName: "a/\"b", ImageTag: "t", ImageDigest: "sha256:é"},
			audit.Fields{{"registryId", "1"}, {"repositoryName", "a/\"b"}, {"imageIds", []audit.Fields{{{"imageTag", "t"}, {"imageDigest", "sha256:é"}}}}},
		},
		{audit.Pull{ImageTag: long}, audit.Fields{{"imageIds", []audit.Fields{{{"imageTag", long}}}}}},
		{audit.Pull{RepositoryName: "a", LayerDigest: "d"}, audit.Fields{{"repositoryName", "a"}, {"layerDigest", "d"}}},
		{audit.Pull{RepositoryName: "a", SoughtLayer: long}, audit.Fields{{"repositoryName", "a"}, {"layerDigests", []string{long}}}},
	} {
		var told [2]obj
		for i, fill := range []func(*audit.Call){
			func(c *audit.Call) { c.Pull = tt.pull }, func(c *audit.Call) { c.Parameters = tt.want },
		} {
			l.serve(newRequest(t), func(c *audit.Call, w http.ResponseWriter, _ *http.Request) {
				c.Event = "BatchGetImage"
				fill(c)
				w.WriteHeader(http.StatusOK)
			})
			last := l.last()
			told[i] = obj{"parameters": last["requestParameters"], "clipped": last["additionalEventData"].(obj)["clipped"]}
		}
		if d := cmp.Diff(told[1], told[0]); d != "" || told[0]["parameters"] == nil {
			t.Errorf("%+v: %v\n%s", tt.pull, told[0], d)
		}
	}
	l.must(l.Close())
}
