package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-78150930/berth/auth/oidc"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const audience = "sts.amazonaws.com"

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// pair is a key of an issuer.
type pair struct {
	id  string
	alg jose.SignatureAlgorithm
	key crypto.Signer
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func ec(t testing.TB, id string) pair {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair{id, jose.ES256, k}
}

func ed(t testing.TB, id string) pair {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair{id, jose.EdDSA, k}
}

func (p pair) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: p.key.Public(), KeyID: p.id, Algorithm: string(p.alg), Use: "sig"}
}

// issuer is a provider of tests, on 127.0.0.1.
type issuer struct {
	*httptest.Server
	mu            sync.Mutex
	keys          []jose.JSONWebKey
	configuration map[string]any
	answer        http.HandlerFunc // instead of the keys
	asked         int              // for keys
}

func newIssuer(t testing.TB, keys ...pair) *issuer {
	t.Helper()
	s := &issuer{}
	s.set(keys...)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	s.configuration = map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/keys"}
	return s
}

func (s *issuer) set(keys ...pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = nil
	for _, k := range keys {
		s.keys = append(s.keys, k.public())
	}
}

func (s *issuer) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	keys, answer, configuration := jose.JSONWebKeySet{Keys: s.keys}, s.answer, s.configuration
	if r.URL.Path == "/keys" {
		s.asked++
	}
	s.mu.Unlock()
	switch {
	case r.URL.Path == "/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(configuration)
	case r.URL.Path != "/keys":
		http.NotFound(w, r)
	case answer != nil:
		answer(w, r)
	default:
		json.NewEncoder(w).Encode(keys)
	}
}

func (s *issuer) provider() oidc.Provider {
	return oidc.Provider{URL: s.URL, ClientIDs: []string{"other", audience}}
}

// claims are those of a good token, changed.
func (s *issuer) claims(changes map[string]any) map[string]any {
	c := map[string]any{
		"iss": s.URL, "sub": "repo:team/app:ref:refs/heads/main", "aud": audience,
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Add(5 * time.Minute).Unix(), "repository": "team/app",
	}
	maps.Copy(c, changes)
	for name, v := range changes {
		if v == nil {
			delete(c, name)
		}
	}
	return c
}

// sign makes a token with a key, and more in its header.
func sign(t testing.TB, k jose.SigningKey, header map[string]any, claims map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	for name, v := range header {
		o.WithHeader(jose.HeaderKey(name), v)
	}
	signer, err := jose.NewSigner(k, o)
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
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// token is one of the issuer's, made with a key of it.
func (s *issuer) token(t testing.TB, k pair, changes map[string]any) string {
	t.Helper()
	return sign(t, jose.SigningKey{Algorithm: k.alg, Key: k.key}, map[string]any{"kid": k.id}, s.claims(changes))
}

// world is a verifier with the clock that it reads.
type world struct {
	*oidc.Verifier
	clock
	mu  sync.Mutex
	why []error // that issuers were not reached
}

func newWorld(t testing.TB, client *http.Client) *world {
	t.Helper()
	w := &world{clock: clock{t: start}}
	v, err := oidc.New(oidc.Options{Client: client, Now: w.now, Unreachable: func(_ context.Context, _ string, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.why = append(w.why, err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.Verifier = v
	return w
}
