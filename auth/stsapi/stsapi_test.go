package stsapi_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/oidc"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/auth/stsapi"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

const account = "123456789012"

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is a server with one key.
type fixture struct {
	*httptest.Server
	api      *stsapi.API
	accounts *accounts.Store
	verifier *credentials.Verifier
	denials  *access.Denials
	broken   bool // the index fails
	now      time.Time
	key      sigv4test.Key
	log      bytes.Buffer
}

// index is a memory index that can be broken.
type index struct {
	storage.Index
	f *fixture
}

func (x index) View(ctx context.Context, fn func(storage.Reader) error) error {
	if x.f.broken {
		return errors.New("input/output error at sector 7")
	}
	return x.Index.View(ctx, fn)
}

// noResources are resources that have no policies.
type noResources struct{}

func (noResources) Resource(context.Context, string) (auth.Resource, error) {
	return auth.Resource{}, nil
}

func setUp(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{now: start}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	clock := func() time.Time { return f.now }
	var err error
	f.accounts, err = accounts.Open(context.Background(), accounts.Options{
		Index: index{memory.NewIndex(), f}, SealingKey: bytes.Repeat([]byte{1}, 32), Now: clock,
	})
	must(err)
	web, err := oidc.New(oidc.Options{Client: &http.Client{}, Now: clock})
	must(err)
	f.denials = access.NewDenials(10)
	f.verifier, err = credentials.New(credentials.Options{
		NoteDenial: func(ctx context.Context, d *auth.Denied, reason string) string {
			return f.denials.Note(ctx, d, reason, f.now)
		},
		Accounts: f.accounts, TokenKeys: [][]byte{bytes.Repeat([]byte{2}, 32)}, Now: clock,
		HasRegion: func(r string) bool { return r == "us-east-1" }, WebIdentities: web,
	})
	must(err)
	authorizer, err := access.New(access.Options{Identities: f.accounts, Resources: noResources{}, Now: clock})
	must(err)
	k, err := f.accounts.Create(context.Background(), account)
	must(err)
	f.key = sigv4test.Key{ID: k.ID, Secret: k.Secret.Reveal(), Region: "us-east-1", Service: "sts"}
	f.api, err = stsapi.New(stsapi.Options{Credentials: f.verifier, Authorizer: authorizer, Log: slog.New(slog.NewTextHandler(&f.log, nil))})
	must(err)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == stsapi.ContainerPath {
			f.api.Container().ServeHTTP(w, r)
			return
		}
		f.api.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) form(t *testing.T, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", f.URL+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

func (f *fixture) get(t *testing.T, query string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("GET", f.URL+"/?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// send sends a request and returns status and body, with the request id out of
// the way.
func (f *fixture) send(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	w, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	id := w.Header.Get("x-amzn-RequestId")
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("request id %q", id)
	}
	if _, err := http.ParseTime(w.Header.Get("Date")); err != nil {
		t.Errorf("Date: %v", err)
	}
	if got := w.Header.Get("Content-Type"); got != "text/xml" {
		t.Errorf("Content-Type %q", got)
	}
	if n := strings.Count(string(text), "<RequestId>"+id+"</RequestId>"); n != 1 {
		t.Errorf("request id %s stands %d times in %s", id, n, text)
	}
	return w.StatusCode, strings.ReplaceAll(string(text), id, "ID")
}

// wantError checks an error answer.
func (f *fixture) wantError(t *testing.T, r *http.Request, status int, code, text string) {
	t.Helper()
	gotStatus, body := f.send(t, r)
	var got struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error   struct{ Type, Code, Message string }
	}
	if err := xml.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	kind := "Sender"
	if status >= 500 {
		kind = "Receiver"
	}
	if gotStatus != status || got.Error.Code != code || got.Error.Type != kind || !strings.Contains(got.Error.Message, text) {
		t.Errorf("%d %+v, want %d %s %s %q", gotStatus, got.Error, status, kind, code, text)
	}
}

const identity = "Action=GetCallerIdentity&Version=2011-06-15"

func TestGetCallerIdentity(t *testing.T) {
	f := setUp(t)
	want := `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetCallerIdentityResult>
    <Arn>arn:aws:iam::123456789012:root</Arn>
    <UserId>123456789012</UserId>
    <Account>123456789012</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata>
    <RequestId>ID</RequestId>
  </ResponseMetadata>
</GetCallerIdentityResponse>
`
	posted := f.form(t, identity)
	f.key.Sign(posted, identity, f.now)
	got := f.get(t, identity)
	f.key.Sign(got, "", f.now)
	presigned := f.get(t, identity)
	f.key.Presign(presigned, f.now, time.Minute)
	split := f.form(t, "Version=2011-06-15")
	split.URL.RawQuery = "Action=GetCallerIdentity"
	f.key.Sign(split, "Version=2011-06-15", f.now)
	for name, r := range map[string]*http.Request{"form": posted, "query": got, "presigned": presigned, "both": split} {
		status, body := f.send(t, r)
		if diff := cmp.Diff(want, body); status != 200 || diff != "" {
			t.Errorf("%s: %d (-want +got):\n%s", name, status, diff)
		}
	}
}

type sessionToken struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetSessionTokenResponse"`
	Result  struct {
		Credentials struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
			Expiration      time.Time
		}
	} `xml:"GetSessionTokenResult"`
	RequestID string `xml:"ResponseMetadata>RequestId"`
}

const session = "Action=GetSessionToken&Version=2011-06-15"

// session asks for a temporary key.
func (f *fixture) session(t *testing.T, body string) (sigv4test.Key, time.Time) {
	t.Helper()
	r := f.form(t, body)
	f.key.Sign(r, body, f.now)
	status, text := f.send(t, r)
	var got sessionToken
	if err := xml.Unmarshal([]byte(text), &got); err != nil || status != 200 || got.RequestID != "ID" {
		t.Fatalf("%d %v %s", status, err, text)
	}
	c := got.Result.Credentials
	return sigv4test.Key{ID: c.AccessKeyID, Secret: c.SecretAccessKey, Token: c.SessionToken, Region: "us-east-1", Service: "sts"}, c.Expiration
}

func TestGetSessionToken(t *testing.T) {
	f := setUp(t)
	for body, life := range map[string]time.Duration{
		session:                             12 * time.Hour,
		session + "&DurationSeconds=900":    15 * time.Minute,
		session + "&DurationSeconds=129600": 36 * time.Hour,
	} {
		k, expires := f.session(t, body)
		if !expires.Equal(start.Add(life)) || !strings.HasPrefix(k.ID, "ASIA") {
			t.Errorf("%s: key %s until %s", body, k.ID, expires)
		}
		r := f.form(t, identity)
		k.Sign(r, identity, f.now)
		if status, body := f.send(t, r); status != 200 || !strings.Contains(body, "<Arn>arn:aws:iam::123456789012:root</Arn>") {
			t.Errorf("the temporary key gets %d %s", status, body)
		}
	}
}

func TestTemporaryKeysEnd(t *testing.T) {
	f := setUp(t)
	k, _ := f.session(t, session+"&DurationSeconds=900")
	again := f.form(t, session)
	k.Sign(again, session, f.now)
	f.wantError(t, again, 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	presigned := f.get(t, session)
	k.Presign(presigned, f.now, time.Minute)
	f.wantError(t, presigned, 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")

	f.now = f.now.Add(15 * time.Minute)
	late := f.form(t, identity)
	k.Sign(late, identity, f.now)
	f.wantError(t, late, 403, "ExpiredToken", "The security token included in the request is expired")
}

var refusals = []struct {
	name   string
	body   string
	key    func(*sigv4test.Key)
	after  func(*fixture, *http.Request)
	status int
	code   string
	text   string
}{
	{name: "unsigned", body: identity, after: unsign, status: 403, code: "MissingAuthenticationToken"},
	{name: "garbled", body: identity, after: func(_ *fixture, r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") },
		status: 400, code: "IncompleteSignature"},
	{name: "Basic", body: identity, after: func(_ *fixture, r *http.Request) { r.SetBasicAuth("AWS", "x") }, status: 400, code: "IncompleteSignature"},
	{name: "unknown key", body: identity, key: func(k *sigv4test.Key) { k.ID = "AKIAABSENT" },
		status: 403, code: "InvalidClientTokenId", text: "The security token included in the request is invalid."},
	{name: "wrong secret", body: identity, key: func(k *sigv4test.Key) { k.Secret = "x" },
		status: 403, code: "SignatureDoesNotMatch", text: "The request signature we calculated does not match"},
	{name: "too late", body: identity, after: func(f *fixture, _ *http.Request) { f.now = f.now.Add(time.Hour) },
		status: 403, code: "SignatureDoesNotMatch", text: "Signature expired: "},
	{name: "other region", body: identity, key: func(k *sigv4test.Key) { k.Region = "mars-1" },
		status: 403, code: "SignatureDoesNotMatch", text: "valid region"},
	{name: "signed for ECR", body: identity, key: func(k *sigv4test.Key) { k.Service = "ecr" },
		status: 403, code: "SignatureDoesNotMatch", text: "Credential should be scoped to correct service: 'sts'."},
	{name: "signed for ECR with a wrong secret", body: "Action=X", key: func(k *sigv4test.Key) { k.Service, k.Secret = "ecr", "x" },
		status: 403, code: "SignatureDoesNotMatch", text: "correct service: 'sts'"},
	{name: "encoded body", body: identity, after: func(_ *fixture, r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
		status: 400, code: "MalformedHttpRequest"},
	{name: "large body", body: identity + "&x=" + strings.Repeat("x", 64<<10), status: 413, code: "RequestEntityTooLarge"},

	{name: "no action", body: "Version=2011-06-15", status: 400, code: "MissingAction"},
	{name: "nothing", body: "", status: 400, code: "MissingAction"},
	{name: "unknown action", body: "Action=AssumeRoleWithSAML&Version=2011-06-15", status: 400, code: "InvalidAction",
		text: "Could not find operation AssumeRoleWithSAML for version 2011-06-15"},
	{name: "action of ECR", body: "Action=DescribeRepositories&Version=2015-09-21", status: 400, code: "InvalidAction"},
	{name: "action of ECR, signed for it", body: "Action=CreateRepository&Version=2015-09-21&repositoryName=x", key: func(k *sigv4test.Key) { k.Service = "ecr" },
		status: 400, code: "InvalidAction"},
	{name: "no version", body: "Action=GetCallerIdentity", status: 400, code: "InvalidAction", text: "NO_VERSION_SPECIFIED"},
	{name: "other version", body: "Action=GetCallerIdentity&Version=2010-05-08", status: 400, code: "InvalidAction"},
	{name: "action in other capitals", body: "Action=getcalleridentity&Version=2011-06-15", status: 400, code: "InvalidAction"},
	{name: "two actions", body: identity + "&Action=GetSessionToken", status: 400, code: "ValidationError", text: "Action"},
	{name: "bad form", body: "Action=%zz", status: 404, code: "MalformedQueryString"},
	{name: "markup", body: "Action=%3C/Message%3E%00%0A&Version=2011-06-15", status: 400, code: "InvalidAction"},

	{name: "too short", body: session + "&DurationSeconds=899", status: 400, code: "ValidationError", text: "greater than or equal to 900"},
	{name: "too long", body: session + "&DurationSeconds=129601", status: 400, code: "ValidationError", text: "less than or equal to 129600"},
	{name: "no number", body: session + "&DurationSeconds=1h", status: 400, code: "ValidationError", text: "durationSeconds"},
	{name: "huge number", body: session + "&DurationSeconds=99999999999999999999", status: 400, code: "ValidationError", text: "durationSeconds"},
	{name: "two durations", body: session + "&DurationSeconds=900&DurationSeconds=901", status: 400, code: "ValidationError", text: "DurationSeconds"},
	{name: "second factor", body: session + "&SerialNumber=x&TokenCode=123456", status: 403, code: "AccessDenied", text: "MultiFactorAuthentication"},
	{name: "second factor without a code", body: session + "&SerialNumber=x", status: 403, code: "AccessDenied", text: "MultiFactorAuthentication"},
	{name: "broken index", body: identity, after: func(f *fixture, _ *http.Request) { f.broken = true },
		status: 500, code: "InternalFailure", text: "internal error"},
}

func TestRefusals(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			f := setUp(t)
			key := f.key
			if tt.key != nil {
				tt.key(&key)
			}
			r := f.form(t, tt.body)
			key.Sign(r, tt.body, f.now)
			if tt.after != nil {
				tt.after(f, r)
			}
			f.wantError(t, r, tt.status, tt.code, tt.text)
			if logged := f.log.String(); (logged != "") != f.broken || f.broken && !strings.Contains(logged, "sector 7") {
				t.Errorf("log %q", logged)
			}
		})
	}
}

func unsign(_ *fixture, r *http.Request) {
	r.Header.Del("Authorization")
	r.Header.Del("X-Amz-Date")
}

func TestQueryRefusals(t *testing.T) {
	f := setUp(t)
	for _, tt := range []struct {
		query  string
		sign   bool
		status int
		code   string
	}{
		{identity, false, 403, "MissingAuthenticationToken"},
		{"Action=DescribeRepositories&Version=2015-09-21", false, 400, "InvalidAction"},
		{"Action=DescribeRepositories&Version=2015-09-21", true, 400, "InvalidAction"},
		{identity + "&Action=GetSessionToken", true, 400, "ValidationError"},
		{"Action=", true, 400, "MissingAction"},
		{"Action=x&a=%zz", false, 404, "MalformedQueryString"},
		{"Action=x;y", false, 404, "MalformedQueryString"},
	} {
		r := f.get(t, tt.query)
		if tt.sign {
			f.key.Sign(r, "", f.now)
		}
		f.wantError(t, r, tt.status, tt.code, "")
	}
	both := f.form(t, identity)
	both.URL.RawQuery = session
	f.key.Sign(both, identity, f.now)
	f.wantError(t, both, 400, "ValidationError", "must be sent once")
}

func TestWants(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		method, target, kind, amzTarget string
		want                            bool
	}{
		{"POST", "/", form, "", true},
		{"POST", "/", form + "; charset=utf-8", "", true},
		{"GET", "/?Action=GetCallerIdentity", "", "", true},
		{"POST", "/?Action=GetCallerIdentity", "application/json", "", true},
		{"POST", "/", "application/x-amz-json-1.1", "", false},
		{"POST", "/", "", "", false},
		{"GET", "/", "", "", false},
		{"GET", "/", form, "", false},
		{"POST", "/x", form, "", false},
		{"GET", "/v2/?Action=GetCallerIdentity", "", "", false},
		{"POST", "/?Action=x", form, "AmazonEC2ContainerRegistry_V20150921.PutImage", false},
		{"POST", "/", "application/x-www-form-urlencodedx", "", false},
	} {
		r := httptest.NewRequest(tt.method, tt.target, nil)
		if tt.kind != "" {
			r.Header.Set("Content-Type", tt.kind)
		}
		if tt.amzTarget != "" {
			r.Header.Set("X-Amz-Target", tt.amzTarget)
		}
		if got := stsapi.Wants(r); got != tt.want {
			t.Errorf("Wants(%s %s, %q, %q) = %t", tt.method, tt.target, tt.kind, tt.amzTarget, got)
		}
	}
}

func TestRequestIDOfTheHouse(t *testing.T) {
	v, err := credentials.New(credentials.Options{TokenKeys: [][]byte{bytes.Repeat([]byte{2}, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	api, err := stsapi.New(stsapi.Options{Credentials: v, Authorizer: auth.RootOnly{}, RequestID: func(context.Context) string { return "mine" }})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest("GET", "/?"+url.Values{"Action": {"x"}}.Encode(), nil))
	if w.Header().Get("x-amzn-RequestId") != "mine" || !strings.Contains(w.Body.String(), "<RequestId>mine</RequestId>") {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

func TestNewChecksOptions(t *testing.T) {
	if _, err := stsapi.New(stsapi.Options{Authorizer: auth.RootOnly{}}); err == nil {
		t.Error("without Credentials")
	}
	if _, err := stsapi.New(stsapi.Options{Credentials: &credentials.Verifier{}}); err == nil {
		t.Error("without Authorizer")
	}
}
