package oidc_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/auth/oidc"
	"github.com/seed-78150930/berth/registry/remote"
)

func TestVerify(t *testing.T) {
	for _, k := range []pair{{"rs", jose.RS256, rsaKey()}, {"ps", jose.PS256, rsaKey()}, ec(t, "es"), ed(t, "ed")} {
		s := newIssuer(t, ec(t, "another"), k)
		w := newWorld(t, s.Client())
		got, err := w.Verify(context.Background(), s.token(t, k, map[string]any{
			"aud": []string{"third", audience}, "amr": []string{"pwd", "mfa"}, "run_id": 12, "protected": true, "half": 1.5, "kubernetes.io": map[string]any{"pod": "p"},
		}), s.provider())
		want := oidc.Claims{
			Issuer: s.URL, Subject: "repo:team/app:ref:refs/heads/main", Audience: []string{audience, "third"}, AMR: []string{"pwd", "mfa"},
			Expires: start.Add(5 * time.Minute),
			Values: map[string][]string{
				"iss": {s.URL}, "sub": {"repo:team/app:ref:refs/heads/main"}, "aud": {"third", audience}, "amr": {"pwd", "mfa"},
				"repository": {"team/app"}, "run_id": {"12"}, "protected": {"true"},
				"iat": {"1772366400"}, "nbf": {"1772366400"}, "exp": {"1772366700"},
			},
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(oidc.Claims{})); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", k.id, err, d)
		}
	}
}

func TestRefusals(t *testing.T) {
	good, foreign := ec(t, "k1"), ec(t, "k1")
	rs := pair{"rs", jose.RS256, rsaKey()}
	s := newIssuer(t, good, rs)
	other := newIssuer(t, foreign)
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	oct := func(secret []byte) jose.SigningKey { return jose.SigningKey{Algorithm: jose.HS256, Key: secret} }
	byForeign := jose.SigningKey{Algorithm: jose.ES256, Key: foreign.key}
	raw := base64.RawURLEncoding
	text, _ := json.Marshal(s.claims(nil))
	unsigned := raw.EncodeToString([]byte(`{"alg":"none"}`)) + "." + raw.EncodeToString(text) + "."
	fine := s.token(t, good, nil)
	parts := strings.Split(fine, ".")
	changed, _ := json.Marshal(s.claims(map[string]any{"sub": "repo:team/other:ref:refs/heads/main"}))

	for _, tt := range []struct {
		name, token string
		want        error
	}{
		{"good", fine, nil},
		{"wrong audience", s.token(t, good, map[string]any{"aud": "else"}), oidc.ErrRejected},
		{"no audience", s.token(t, good, map[string]any{"aud": nil}), oidc.ErrRejected},
		{"audience that is a number", s.token(t, good, map[string]any{"aud": 1}), oidc.ErrInvalid},
		{"audience that only begins so", s.token(t, good, map[string]any{"aud": audience + ".evil"}), oidc.ErrRejected},
		{"wrong issuer", s.token(t, good, map[string]any{"iss": other.URL}), oidc.ErrRejected},
		{"issuer with a slash", s.token(t, good, map[string]any{"iss": s.URL + "/"}), oidc.ErrRejected},
		{"issuer in other capitals", s.token(t, good, map[string]any{"iss": nil, "ISS": s.URL}), oidc.ErrInvalid},
		{"no issuer", s.token(t, good, map[string]any{"iss": nil}), oidc.ErrInvalid},
		{"no subject", s.token(t, good, map[string]any{"sub": nil}), oidc.ErrInvalid},
		{"subject that is no text", s.token(t, good, map[string]any{"sub": []string{"a"}}), oidc.ErrInvalid},
		{"expired", s.token(t, good, map[string]any{"exp": start.Add(-61 * time.Second).Unix()}), oidc.ErrExpired},
		{"expired within the leeway", s.token(t, good, map[string]any{"exp": start.Add(-time.Minute).Unix()}), nil},
		{"no expiry", s.token(t, good, map[string]any{"exp": nil}), oidc.ErrInvalid},
		{"expiry that is a text", s.token(t, good, map[string]any{"exp": "9999999999"}), oidc.ErrInvalid},
		{"not yet", s.token(t, good, map[string]any{"nbf": start.Add(61 * time.Second).Unix()}), oidc.ErrInvalid},
		{"not yet, within the leeway", s.token(t, good, map[string]any{"nbf": start.Add(time.Minute).Unix()}), nil},
		{"issued in the future", s.token(t, good, map[string]any{"iat": start.Add(61 * time.Second).Unix()}), oidc.ErrInvalid},
		{"never issued", s.token(t, good, map[string]any{"iat": nil}), oidc.ErrInvalid},
		{"another's key of the same id", s.token(t, foreign, nil), oidc.ErrInvalid},
		{"another's key without an id", sign(t, byForeign, nil, s.claims(nil)), oidc.ErrInvalid},
		{"no id", sign(t, jose.SigningKey{Algorithm: jose.ES256, Key: good.key}, nil, s.claims(nil)), nil},
		{"attacker's jwk", sign(t, byForeign, map[string]any{"jwk": foreign.public(), "kid": "k1"}, s.claims(nil)), oidc.ErrInvalid},
		{"attacker's jku and x5u", sign(t, byForeign, map[string]any{"jku": other.URL + "/keys", "x5u": other.URL + "/keys", "kid": "k1"}, s.claims(nil)), oidc.ErrInvalid},
		{"kid of a file", sign(t, oct(make([]byte, 32)), map[string]any{"kid": "../../../dev/null"}, s.claims(nil)), oidc.ErrInvalid},
		{"HS256 with the public key", sign(t, oct(public), map[string]any{"kid": "rs"}, s.claims(nil)), oidc.ErrInvalid},
		{"HS256 with its bytes", sign(t, oct(der), map[string]any{"kid": "rs"}, s.claims(nil)), oidc.ErrInvalid},
		{"RS384 with a key for RS256", sign(t, jose.SigningKey{Algorithm: jose.RS384, Key: rsaKey()}, map[string]any{"kid": "rs"}, s.claims(nil)), oidc.ErrInvalid},
		{"alg none", unsigned, oidc.ErrInvalid},
		{"alg none with the signature of another", raw.EncodeToString([]byte(`{"alg":"none","kid":"k1"}`)) + "." + parts[1] + "." + parts[2], oidc.ErrInvalid},
		{"no signature", parts[0] + "." + parts[1] + ".", oidc.ErrInvalid},
		{"changed claims", parts[0] + "." + raw.EncodeToString(changed) + "." + parts[2], oidc.ErrInvalid},
		{"unknown critical header", sign(t, jose.SigningKey{Algorithm: jose.ES256, Key: good.key}, map[string]any{"kid": "k1", "crit": []string{"x"}, "x": 1}, s.claims(nil)), oidc.ErrInvalid},
		{"nothing", "", oidc.ErrInvalid},
		{"two parts", "a.b", oidc.ErrInvalid},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, oidc.ErrInvalid},
		{"a list", sign(t, jose.SigningKey{Algorithm: jose.ES256, Key: good.key}, map[string]any{"kid": "k1"}, nil), oidc.ErrInvalid},
		{"too long", s.token(t, good, map[string]any{"x": strings.Repeat("x", oidc.MaxToken)}), oidc.ErrInvalid},
	} {
		w := newWorld(t, s.Client())
		c, err := w.Verify(context.Background(), tt.token, s.provider())
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if tt.want != nil && c.Subject != "" {
			t.Errorf("%s: claims %+v of a token that is refused", tt.name, c)
		}
	}
	if n := other.times(); n != 0 {
		t.Errorf("the attacker was asked %d times", n)
	}
}

func TestNobodyIsAskedForAHopelessToken(t *testing.T) {
	k := ec(t, "k1")
	s := newIssuer(t, k)
	w := newWorld(t, s.Client())
	for _, changes := range []map[string]any{{"sub": nil}, {"exp": nil}, {"iss": "https://issuer.example"}} {
		if _, err := w.Verify(context.Background(), s.token(t, k, changes), s.provider()); err == nil {
			t.Errorf("%v passes", changes)
		}
	}
	if n := s.times(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestKeysAreKept(t *testing.T) {
	one, two := ec(t, "k1"), ec(t, "k2")
	s := newIssuer(t, one)
	w := newWorld(t, s.Client())
	verify := func(k pair, want error, asked int) {
		t.Helper()
		life := map[string]any{"exp": start.Add(24 * time.Hour).Unix()}
		if _, err := w.Verify(context.Background(), s.token(t, k, life), s.provider()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", k.id, err, want)
		}
		if n := s.times(); n != asked {
			t.Errorf("%s: asked %d times, want %d", k.id, n, asked)
		}
	}
	verify(one, nil, 1)
	verify(one, nil, 1)
	verify(two, oidc.ErrInvalid, 2) // not yet its
	s.set(two)
	verify(one, nil, 2) // kept
	verify(two, nil, 3) // rotated: a key that is not known is looked for
	verify(one, oidc.ErrInvalid, 4)
	w.add(59 * time.Minute)
	verify(two, nil, 4)
	s.set(ec(t, "k2"))
	w.add(2 * time.Minute) // the hour is over: a key that was taken back has ended
	verify(two, oidc.ErrInvalid, 5)
}

func TestStrangersCannotHaveAnIssuerAskedAgainAndAgain(t *testing.T) {
	k := ec(t, "k1")
	s := newIssuer(t, k)
	w := newWorld(t, s.Client())
	for range 50 {
		if _, err := w.Verify(context.Background(), s.token(t, ec(t, "unknown"), nil), s.provider()); !errors.Is(err, oidc.ErrInvalid) {
			t.Fatal(err)
		}
	}
	if n := s.times(); n != 10 {
		t.Errorf("asked %d times in a minute", n)
	}
	if _, err := w.Verify(context.Background(), s.token(t, k, nil), s.provider()); err != nil {
		t.Errorf("meanwhile, with a known key: %v", err)
	}
	w.add(time.Minute)
	s.set(k, ec(t, "k2"))
	if _, err := w.Verify(context.Background(), s.token(t, ec(t, "k2"), nil), s.provider()); !errors.Is(err, oidc.ErrInvalid) || s.times() != 11 {
		t.Errorf("a minute later: %v, asked %d times", err, s.times())
	}
}

func TestIssuersThatDoNotAnswerWell(t *testing.T) {
	k := ec(t, "k1")
	var big bytes.Buffer
	big.WriteString(`{"keys":[`)
	big.WriteString(strings.Repeat(" ", 10<<20))
	big.WriteString(`]}`)
	answer := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte(text))
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*issuer)
		why    string
	}{
		{"10 MB of keys", func(s *issuer) { s.answer = answer(200, big.String()) }, "too large"},
		{"no JSON", func(s *issuer) { s.answer = answer(200, "<html>") }, "no JSON object"},
		{"too many keys", func(s *issuer) { s.answer = answer(200, `{"keys":[`+strings.Repeat(`{},`, 100)+`{}]}`) }, "more than 100 keys"},
		{"an error", func(s *issuer) { s.answer = answer(500, `{"keys":[]}`) }, "answers 500"},
		{"a redirect", func(s *issuer) {
			s.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) }
		}, "answers 302"},
		{"another's configuration", func(s *issuer) { s.configuration["issuer"] = s.URL + "/" }, "did not match"},
		{"no address of keys", func(s *issuer) { s.configuration["jwks_uri"] = 7 }, "cannot unmarshal"},
		{"a file", func(s *issuer) { s.configuration["jwks_uri"] = "file:///etc/passwd" }, "unsupported protocol"},
	} {
		s := newIssuer(t, k)
		tt.change(s)
		w := newWorld(t, s.Client())
		_, err := w.Verify(context.Background(), s.token(t, k, nil), s.provider())
		if !errors.Is(err, oidc.ErrUnreachable) || strings.Contains(err.Error(), s.URL) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if len(w.why) != 1 || !strings.Contains(w.why[0].Error(), tt.why) {
			t.Errorf("%s: told %v, want %q", tt.name, w.why, tt.why)
		}
	}
}

func TestWeakAndOddKeysAreNone(t *testing.T) {
	k := ec(t, "k1")
	s := newIssuer(t, k)
	weak := `{"kty":"RSA","kid":"weak","n":"` + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 128)) + `","e":"AQAB"}`
	own, _ := json.Marshal(k.public())
	s.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"keys":[{"kty":"oct","kid":"oct","k":"AAAA"},{"kty":"odd"},7,` + weak + `,` + string(own) + `]}`))
	}
	w := newWorld(t, s.Client())
	if _, err := w.Verify(context.Background(), s.token(t, k, nil), s.provider()); err != nil {
		t.Errorf("beside odd keys: %v", err)
	}
	encrypting := k.public()
	encrypting.Use = "enc"
	own, _ = json.Marshal(encrypting)
	w.add(2 * time.Hour)
	late := map[string]any{"exp": start.Add(24 * time.Hour).Unix()}
	if _, err := w.Verify(context.Background(), s.token(t, k, late), s.provider()); !errors.Is(err, oidc.ErrInvalid) {
		t.Errorf("with a key for encryption: %v", err)
	}
}

// TestGuarded has an issuer, and keys, where only this machine may go.
func TestGuarded(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "")
	}
	k := ec(t, "k1")
	s, inside := newIssuer(t, k), newIssuer(t, k)
	host := strings.TrimPrefix(s.URL, "http://")
	for _, tt := range []struct {
		name    string
		options remote.Options
		keys    string
		want    error
	}{
		{"nothing is allowed", remote.Options{PlainHTTP: []string{"127.0.0.1"}}, s.URL, oidc.ErrUnreachable},
		{"the issuer is", remote.Options{PlainHTTP: []string{"127.0.0.1"}, Allow: []string{host}}, s.URL, nil},
		{"the issuer is, its keys are not", remote.Options{PlainHTTP: []string{"127.0.0.1"}, Allow: []string{host}}, inside.URL, oidc.ErrUnreachable},
		{"not without TLS", remote.Options{Allow: []string{"127.0.0.0/8"}}, s.URL, oidc.ErrUnreachable},
	} {
		client, err := remote.New(tt.options)
		if err != nil {
			t.Fatal(err)
		}
		s.configuration["jwks_uri"] = tt.keys + "/keys"
		w := newWorld(t, client)
		if _, err := w.Verify(context.Background(), s.token(t, k, nil), s.provider()); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if tt.want != nil && (len(w.why) != 1 || !errors.Is(w.why[0], remote.ErrRefused)) {
			t.Errorf("%s: told %v", tt.name, w.why)
		}
	}
	if n := inside.times(); n != 0 {
		t.Errorf("what is inside was asked %d times", n)
	}
}

// TestSlowIssuer has one issuer that does not answer beside one that does.
func TestSlowIssuer(t *testing.T) {
	k := ec(t, "k1")
	slow, quick := newIssuer(t, k), newIssuer(t, k)
	reached, release := make(chan struct{}), make(chan struct{})
	slow.answer = func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-release
		w.WriteHeader(http.StatusBadGateway)
	}
	w := newWorld(t, slow.Client())
	var group sync.WaitGroup
	results := make(chan error, 3)
	verify := func(ctx context.Context) {
		_, err := w.Verify(ctx, slow.token(t, k, nil), slow.provider())
		results <- err
	}
	group.Go(func() { verify(context.Background()) })
	<-reached
	if _, err := w.Verify(context.Background(), quick.token(t, k, nil), quick.provider()); err != nil {
		t.Errorf("another issuer meanwhile: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if verify(gone); !errors.Is(<-results, context.Canceled) {
		t.Error("one who gives up waits on")
	}
	close(release)
	group.Wait()
	if err := <-results; !errors.Is(err, oidc.ErrUnreachable) {
		t.Errorf("the slow one: %v", err)
	}
}

func TestIssuer(t *testing.T) {
	k := ec(t, "k1")
	s := newIssuer(t, k)
	if got, err := oidc.Issuer(s.token(t, k, nil)); got != s.URL || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := oidc.Issuer("x"); !errors.Is(err, oidc.ErrInvalid) {
		t.Errorf("of no token: %v", err)
	}
	if _, err := oidc.New(oidc.Options{}); err == nil {
		t.Error("without a client")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := oidc.Issuer(token); err != nil && !errors.Is(err, oidc.ErrInvalid) {
			t.Error(err)
		}
	})
}
