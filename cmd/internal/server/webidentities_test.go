package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// webIssuer is a provider of web identities on 127.0.0.1, whose keys may be
// elsewhere.
type webIssuer struct {
	*httptest.Server
	key   *ecdsa.PrivateKey
	keys  string
	asked atomic.Int32
}

func newWebIssuer(t *testing.T) *webIssuer {
	t.Helper()
	s := &webIssuer{key: newSigningKey(t)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	s.keys = s.URL + "/keys"
	return s
}

func newSigningKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *webIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if r.URL.Path == "/keys" {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: "1", Algorithm: "ES256"}}})
		return
	}
	json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "jwks_uri": s.keys})
}

// token is one of a job, with claims changed, made with a key.
func (s *webIssuer) token(t *testing.T, by *ecdsa.PrivateKey, changes map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{"iss": s.URL, "aud": "sts.amazonaws.com", "sub": "repo:team/app:x", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	maps.Copy(claims, changes)
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: by}, (&jose.SignerOptions{}).WithHeader("kid", "1"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// trusting is a server that trusts the issuer, with settings for where it may go.
func (s *webIssuer) trusting(t *testing.T, egress string) *house {
	t.Helper()
	dir := t.TempDir()
	name := strings.TrimPrefix(s.URL, "http://")
	write := func(file, text string) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	identities := write("identities.yml", fmt.Sprintf(`
accounts:
  "000000000000":
    roles:
      ci:
        policies: [AmazonEC2ContainerRegistryPowerUser]
        trust:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {Federated: "arn:aws:iam::000000000000:oidc-provider/%s"}
              Action: sts:AssumeRoleWithWebIdentity
              Condition: {StringEquals: {"%[1]s:sub": "repo:team/app:x"}}
    providers:
      %[2]s: [sts.amazonaws.com]
`, name, s.URL))
	return dev(t, "config", write("berth.yml", egress), "identities", identities)
}

// exchange is the code that STS answers a token with, "" if it gives a key.
func (h *house) exchange(token string) string {
	h.t.Helper()
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:aws:iam::000000000000:role/ci"},
		"RoleSessionName": {"job"}, "WebIdentityToken": {token},
	}
	w, err := h.client.PostForm(h.url+"/", form)
	if err != nil {
		h.t.Fatal(err)
	}
	defer w.Body.Close()
	var got struct {
		Error  struct{ Code string }
		Result struct{ AssumedRoleUser struct{ Arn string } } `xml:"AssumeRoleWithWebIdentityResult"`
	}
	if err := xml.NewDecoder(w.Body).Decode(&got); err != nil {
		h.t.Fatal(err)
	}
	if (w.StatusCode == http.StatusOK) != (got.Result.AssumedRoleUser.Arn != "") || w.StatusCode >= 500 {
		h.t.Errorf("%d %+v", w.StatusCode, got)
	}
	return got.Error.Code
}

// Tokens that are not good are refused, and keys are asked for only where the server
// may go.
func TestWebIdentities(t *testing.T) {
	const here = "egress: {allow: [%s], plain-http: [127.0.0.1]}\n"
	s, inside := newWebIssuer(t), newWebIssuer(t)
	h := s.trusting(t, fmt.Sprintf(here, strings.TrimPrefix(s.URL, "http://")))
	for name, tt := range map[string]struct{ token, code string }{
		"good":            {s.token(t, s.key, nil), ""},
		"wrong audience":  {s.token(t, s.key, map[string]any{"aud": "else"}), "InvalidIdentityToken"},
		"wrong issuer":    {s.token(t, s.key, map[string]any{"iss": inside.URL}), "InvalidIdentityToken"},
		"expired":         {s.token(t, s.key, map[string]any{"exp": time.Now().Add(-2 * time.Minute).Unix()}), "ExpiredTokenException"},
		"unknown key":     {s.token(t, newSigningKey(t), nil), "InvalidIdentityToken"},
		"another subject": {s.token(t, s.key, map[string]any{"sub": "repo:team/other:x"}), "AccessDenied"},
	} {
		if code := h.exchange(tt.token); code != tt.code {
			t.Errorf("%s: %q, want %q", name, code, tt.code)
		}
	}

	asked := s.asked.Load()
	if code := s.trusting(t, "").exchange(s.token(t, s.key, nil)); code != "IDPCommunicationError" || s.asked.Load() != asked {
		t.Errorf("an issuer inside: %q, asked %d times", code, s.asked.Load()-asked)
	}
	s.keys = inside.URL + "/keys"
	h = s.trusting(t, fmt.Sprintf(here, strings.TrimPrefix(s.URL, "http://")))
	if code := h.exchange(s.token(t, s.key, nil)); code != "IDPCommunicationError" || inside.asked.Load() != 0 {
		t.Errorf("keys inside: %q, asked %d times", code, inside.asked.Load())
	}
	if log := h.log.String(); !strings.Contains(log, "the keys of an identity provider cannot be had") || !strings.Contains(log, "not public") {
		t.Errorf("log %s", log)
	}
}
