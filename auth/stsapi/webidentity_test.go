package stsapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

// issuer is a provider of web identities, on 127.0.0.1.
type issuer struct {
	*httptest.Server
	name string // as policies have it
	arn  string // of the provider of the account
	key  *ecdsa.PrivateKey
	down atomic.Bool
}

func (f *fixture) issuer(t *testing.T) *issuer {
	t.Helper()
	s := &issuer{key: newKey(t)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	p, err := f.accounts.CreateProvider(context.Background(), account, s.URL, []string{"sts.amazonaws.com", "berth"})
	if err != nil {
		t.Fatal(err)
	}
	s.name, s.arn = p.Issuer(), p.ARN
	return s
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.down.Load():
		http.Error(w, "down", http.StatusServiceUnavailable)
	case r.URL.Path == "/keys":
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: "1", Algorithm: "ES256"}}})
	default:
		json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "jwks_uri": s.URL + "/keys"})
	}
}

// token is one of the job of a repository.
func (s *issuer) token(t *testing.T, by *ecdsa.PrivateKey, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": s.URL, "aud": "sts.amazonaws.com", "sub": "repo:team/app:ref:refs/heads/main", "repository": "team/app",
		"iat": start.Unix(), "exp": start.Add(10 * time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: by}, (&jose.SignerOptions{}).WithHeader("kid", "1"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// trusts is a trust policy for the issuer, under conditions.
func (s *issuer) trusts(conditions string) string {
	return trust(`{"Federated":"`+s.arn+`"}`, `"sts:AssumeRoleWithWebIdentity"`, conditions)
}

func byToken(token string, more ...string) string {
	return assuming(append([]string{"Action", "AssumeRoleWithWebIdentity", "WebIdentityToken", token}, more...)...)
}

// nobody signs nothing.
var nobody sigv4test.Key

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	f := setUp(t)
	s := f.issuer(t)
	r := f.role(t, account, "build", s.trusts(`{"StringEquals":{"`+s.name+`:aud":"sts.amazonaws.com"},"StringLike":{"`+s.name+`:sub":"repo:team/*"}}`))
	got := f.assume(t, nobody, byToken(s.token(t, s.key, map[string]any{"aud": []string{"x", "sts.amazonaws.com"}}), "DurationSeconds", "900", "Policy", allow("ecr:*", "*")))
	if g := got.Result; g.Provider != s.arn || g.Audience != "sts.amazonaws.com" || g.Subject != "repo:team/app:ref:refs/heads/main" ||
		g.PackedPolicySize == nil || !g.Credentials.Expiration.Equal(start.Add(15*time.Minute)) {
		t.Errorf("%+v", g)
	}
	if who := f.whoami(t, got.key()); who != "arn:aws:sts::123456789012:assumed-role/build/run "+r.ID+":run "+account {
		t.Errorf("is %s", who)
	}
	if err := f.accounts.DeleteProvider(context.Background(), account, s.URL); err != nil {
		t.Fatal(err)
	}
	if who := f.whoami(t, got.key()); who == "403" {
		t.Error("the session ends with the provider")
	}
	if _, code, _ := f.refused(t, nobody, byToken(s.token(t, s.key, nil))); code != "InvalidIdentityToken" {
		t.Errorf("a new session without the provider: %s", code)
	}
	if err := f.updateRole("build"); err != nil {
		t.Fatal(err)
	}
	if who := f.whoami(t, got.key()); who != "403" {
		t.Errorf("after the role's sessions were revoked: %s", who)
	}
}

// A signature beside the token is no harm, and counts for nothing.
func TestSignedWebIdentity(t *testing.T) {
	f := setUp(t)
	s := f.issuer(t)
	f.role(t, account, "build", s.trusts(`{}`))
	f.assume(t, f.key, byToken(s.token(t, s.key, nil)))
	got := f.get(t, byToken(s.token(t, s.key, nil)))
	if status, text := f.send(t, got); status != 200 {
		t.Errorf("as a query: %d %s", status, text)
	}
}

func TestWebIdentityRefusals(t *testing.T) {
	for _, tt := range []struct {
		name    string
		trust   string // conditions, with ISS for the issuer's name
		changes map[string]any
		foreign bool // another key of the same id signs
		more    []string
		code    string
		text    string
	}{
		{name: "good"},
		{name: "other audience of the provider", changes: map[string]any{"aud": "berth"}},
		{name: "wrong audience", changes: map[string]any{"aud": "else"}, code: "InvalidIdentityToken", text: "audience"},
		{name: "wrong issuer", changes: map[string]any{"iss": "https://issuer.example"}, code: "InvalidIdentityToken",
			text: "No OpenIDConnect provider found in your account for https://issuer.example"},
		{name: "issuer with a slash", changes: map[string]any{"iss": "http://127.0.0.1/"}, code: "InvalidIdentityToken", text: "No OpenIDConnect provider"},
		{name: "expired", changes: map[string]any{"exp": start.Add(-2 * time.Minute).Unix()}, code: "ExpiredTokenException", text: "expired"},
		{name: "unknown key", foreign: true, code: "InvalidIdentityToken", text: "no key of its issuer"},
		{name: "another's subject", trust: `{"StringEquals":{"ISS:sub":"repo:team/other:ref:refs/heads/main"}}`, code: "AccessDenied",
			text: "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{name: "subject like", trust: `{"StringLike":{"ISS:sub":"repo:team/*:ref:refs/heads/main"}}`},
		{name: "audience condition", trust: `{"StringEquals":{"ISS:aud":"berth"}}`, code: "AccessDenied"},
		{name: "other claim", trust: `{"StringEquals":{"ISS:repository":"team/app"}}`},
		{name: "other claim of another", trust: `{"StringEquals":{"ISS:repository":"team/other"}}`, code: "AccessDenied"},
		{name: "claim that is not there", trust: `{"StringEquals":{"ISS:environment":"prod"}}`, code: "AccessDenied"},
		{name: "claim of another issuer", trust: `{"StringEquals":{"issuer.example:repository":"team/app"}}`, code: "AccessDenied"},
		{name: "authentication method", trust: `{"ForAnyValue:StringEquals":{"ISS:amr":"mfa"}}`, changes: map[string]any{"amr": []string{"pwd", "mfa"}}},
		{name: "session name", trust: `{"StringEquals":{"sts:RoleSessionName":"else"}}`, code: "AccessDenied"},
		{name: "claim that says a key of AWS's", trust: `{"StringEquals":{"aws:PrincipalAccount":"123456789012"}}`,
			changes: map[string]any{"aws:PrincipalAccount": account}, code: "AccessDenied"},
		{name: "no role", more: []string{"RoleArn", role + "2"}, code: "AccessDenied", text: "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{name: "role of an account without the provider", more: []string{"RoleArn", strings.Replace(role, account, other, 1)}, code: "InvalidIdentityToken"},
		{name: "no role at all", more: []string{"RoleArn", "arn:aws:iam::123456789012:user/build"}, code: "AccessDenied"},
		{name: "longer than the role's", more: []string{"DurationSeconds", "7201"}, code: "ValidationError", text: "MaxSessionDuration"},
		{name: "no token", more: []string{"WebIdentityToken", "absent"}, code: "ValidationError", text: "Value null at 'webIdentityToken'"},
		{name: "short token", more: []string{"WebIdentityToken", "abc"}, code: "ValidationError", text: "Value '***' at 'webIdentityToken'"},
		{name: "long token", more: []string{"WebIdentityToken", strings.Repeat("a", 20001)}, code: "ValidationError", text: "20000"},
		{name: "garbled token", more: []string{"WebIdentityToken", "a.b.c"}, code: "InvalidIdentityToken"},
		{name: "token for OAuth", more: []string{"ProviderId", "www.amazon.com"}, code: "ValidationError", text: "ProviderId"},
		{name: "policy that is none", more: []string{"Policy", "x"}, code: "MalformedPolicyDocument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := setUp(t)
			s := f.issuer(t)
			conditions := strings.ReplaceAll(tt.trust, "ISS", s.name)
			if conditions == "" {
				conditions = "{}"
			}
			f.role(t, account, "build", s.trusts(conditions))
			by := s.key
			if tt.foreign {
				by = newKey(t)
			}
			form := byToken(s.token(t, by, tt.changes), tt.more...)
			if tt.code == "" {
				f.assume(t, nobody, form)
				return
			}
			status, code, message := f.refused(t, nobody, form)
			if code != tt.code || !strings.Contains(message, tt.text) || (status == 403) != (code == "AccessDenied") || status >= 500 {
				t.Errorf("%d %s %q", status, code, message)
			}
			if values, _ := url.ParseQuery(form); len(values.Get("WebIdentityToken")) > 9 && strings.Contains(message, values.Get("WebIdentityToken")) {
				t.Errorf("the token is in %q", message)
			}
		})
	}
}

// A role that trusts a provider trusts no user, and the other way round.
func TestTrustOfOneIsNotThatOfAnother(t *testing.T) {
	f := setUp(t)
	s := f.issuer(t)
	jo := f.user(t, account, "jo", allow("sts:*", "*"), nil)
	f.role(t, account, "build", s.trusts(`{}`))
	if _, code, _ := f.refused(t, jo, assuming()); code != "AccessDenied" {
		t.Errorf("a user as a role for web identities: %s", code)
	}
	const deploy = "arn:aws:iam::123456789012:role/deploy"
	f.role(t, account, "deploy", trust(`{"AWS":"123456789012"}`, `["sts:AssumeRole","sts:AssumeRoleWithWebIdentity"]`, `{}`))
	if _, code, _ := f.refused(t, nobody, byToken(s.token(t, s.key, nil), "RoleArn", deploy)); code != "AccessDenied" {
		t.Errorf("a web identity as a role for the account: %s", code)
	}
}

func TestIssuerThatIsDown(t *testing.T) {
	f := setUp(t)
	s := f.issuer(t)
	f.role(t, account, "build", s.trusts(`{}`))
	s.down.Store(true)
	status, code, message := f.refused(t, nobody, byToken(s.token(t, s.key, nil)))
	if status != 400 || code != "IDPCommunicationError" || strings.Contains(message, s.URL) {
		t.Errorf("%d %s %s", status, code, message)
	}
	s.down.Store(false)
	f.assume(t, nobody, byToken(s.token(t, s.key, nil)))
}

// What needs a signature is not to be had by a token instead.
func TestOnlyOneActionIsUnsigned(t *testing.T) {
	f := setUp(t)
	for _, form := range []string{identity, session, assuming(), "Action=GetAccessKeyInfo&Version=2011-06-15&AccessKeyId=" + f.key.ID} {
		if status, code, _ := f.refused(t, nobody, form); status != 403 || code != "MissingAuthenticationToken" {
			t.Errorf("%s: %d %s", form, status, code)
		}
	}
	r := f.form(t, strings.Repeat("x", 65<<10)+"&"+assuming())
	f.wantError(t, r, 413, "RequestEntityTooLarge", "")
}
