package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// Bounds on what issuers are asked and may answer.
const (
	keepKeys  = time.Hour
	fetchTime = 10 * time.Second
	maxAnswer = 512 << 10
	maxKeys   = 100
	// maxFetches is how often in a minute an issuer is asked, whatever strangers
	// bring.
	maxFetches = 10
	// RSA keys below are weak (NIST SP 800-131A), above only slow to check.
	minRSA, maxRSA = 2048, 8192
)

// issuer is who makes tokens, with the keys that it had when it was last asked.
type issuer struct {
	of  *Verifier
	url string

	tried atomic.Int64 // counts fetches
	// turn is held by who reads or writes what follows. It is a channel so that who
	// waits for it can give up.
	turn    chan struct{}
	have    []key
	fetched time.Time // of have
	failed  error     // of the last fetch
	minute  time.Time // when the minute began in which fetches are counted
	count   int
}

// key is a public key of an issuer.
type key struct{ jose.JSONWebKey }

// keySet is an issuer's keys for one token. It implements oidc.KeySet.
type keySet struct {
	of        *issuer
	unreached error // why the keys could not be had, which package oidc does not pass on
}

// VerifySignature checks the signature by the keys that are kept or, where none of
// them is the token's, by those that the issuer has now.
func (s *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	signed, err := parse(token)
	if err != nil {
		return nil, err
	}
	header := signed.Signatures[0].Header
	keys, err := s.of.keys(ctx, header.KeyID)
	if err != nil {
		s.unreached = err
		return nil, err
	}
	var fitting oidc.StaticKeySet
	for _, k := range keys {
		if k.fits(header) {
			fitting.PublicKeys = append(fitting.PublicKeys, k.Key)
		}
	}
	return fitting.VerifySignature(ctx, token)
}

// fits says whether a key can be the one of a token's header.
func (k key) fits(h jose.Header) bool {
	return (h.KeyID == "" || h.KeyID == k.KeyID) && (k.Algorithm == "" || k.Algorithm == h.Algorithm)
}

// keys returns the issuer's keys, fetched within the hour and, if none of them has
// the id, just now. Who has waited while another asked the issuer takes what that
// one was told.
func (s *issuer) keys(ctx context.Context, id string) ([]key, error) {
	before := s.tried.Load()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := s.of.now()
	fresh := s.have != nil && now.Before(s.fetched.Add(keepKeys))
	switch {
	case fresh && hasKey(s.have, id):
	case s.tried.Load() != before:
		return s.have, s.failed
	case s.mayFetch(now):
		s.refresh(ctx, now)
		return s.have, s.failed
	case !fresh:
		return nil, ErrUnreachable
	}
	return s.have, nil
}

// refresh asks the issuer. Keys that it no longer gives are gone; those that are
// there stay for their hour when it does not answer.
func (s *issuer) refresh(ctx context.Context, now time.Time) {
	defer s.tried.Add(1)
	found, err := s.fetch(ctx)
	if err != nil {
		s.of.unreachable(ctx, s.url, err)
		s.failed = ErrUnreachable
		return
	}
	s.have, s.fetched, s.failed = found, now, nil
}

func hasKey(keys []key, id string) bool {
	for _, k := range keys {
		if id == "" || k.KeyID == id {
			return true
		}
	}
	return false
}

// mayFetch counts a fetch, if one more is due in this minute.
func (s *issuer) mayFetch(now time.Time) bool {
	if now.Sub(s.minute) >= time.Minute || now.Before(s.minute) {
		s.minute, s.count = now, 0
	}
	s.count++
	return s.count <= maxFetches
}

// fetch asks the issuer where its keys are, and for them. It goes on when its
// caller has gone: others wait for it.
func (s *issuer) fetch(ctx context.Context) ([]key, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	about, err := oidc.NewProvider(oidc.ClientContext(ctx, s.of.client), s.url)
	if err != nil {
		return nil, err
	}
	var at struct {
		Keys string `json:"jwks_uri"`
	}
	if err := about.Claims(&at); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Keys, nil)
	if err != nil {
		return nil, err
	}
	w, err := s.of.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		return nil, err
	}
	return readKeys(text)
}

// bounded is a client whose answers are good and short, or errors.
func bounded(c *http.Client) *http.Client {
	next := c.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	return &http.Client{Transport: short{next}, CheckRedirect: c.CheckRedirect, Timeout: c.Timeout}
}

type short struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s short) RoundTrip(r *http.Request) (*http.Response, error) {
	w, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if w.StatusCode != http.StatusOK {
		w.Body.Close()
		return nil, fmt.Errorf("it answers %d", w.StatusCode)
	}
	w.Body = http.MaxBytesReader(nil, w.Body, maxAnswer)
	return w, nil
}

// readKeys reads a key set (RFC 7517, section 5), without the keys that are not
// for signatures or not of a kind known here.
func readKeys(text []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("its keys are no JSON object with a list of keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it has more than %d keys", maxKeys)
	}
	keys := []key{}
	for _, raw := range set.Keys {
		var k key
		if json.Unmarshal(raw, &k.JSONWebKey) == nil && k.forSignatures() {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// forSignatures says whether a key is a public one that is for signatures and
// strong enough.
func (k key) forSignatures() bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
	switch k := k.Key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSA && k.N.BitLen() <= maxRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}
