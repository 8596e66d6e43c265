// Package oidc verifies tokens of OpenID Connect providers: those that CI
// systems and clusters give to their jobs as a web identity.
//
// What a token says of itself is not believed. Its issuer's keys come from the
// issuer alone, by discovery (OpenID Connect Discovery 1.0, section 4) and by the
// client that it is given, which decides where it may go; a key, or the address of
// one, in the token's own header is never looked at, nor an algorithm of shared
// secrets.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// What can be wrong with a token. Each error of a Verifier is one of these, or a
// context's, and its text may be shown to who brought the token.
var (
	ErrInvalid  = errors.New("the token is not valid")
	ErrExpired  = errors.New("the token has expired")
	ErrRejected = errors.New("the token is not for here")
	// ErrUnreachable says that the issuer's keys could not be had.
	ErrUnreachable = errors.New("the keys of the issuer could not be fetched")
)

// MaxToken is how long a token may be (STS model, clientTokenType).
const MaxToken = 20_000

// Leeway is by how much clocks may differ.
const Leeway = time.Minute

// algorithms are those of public keys (RFC 7518, section 3.1; RFC 8037).
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// Provider is an issuer that is trusted, and for what.
type Provider struct {
	URL string // exactly as its tokens name it
	// ClientIDs are the audiences of which a token must name one.
	ClientIDs []string
}

// Options say what a Verifier stands on.
type Options struct {
	// Client fetches keys. It must be one that cannot be sent to where only this
	// machine may go. Redirects are not followed.
	Client *http.Client
	Now    func() time.Time // nil means time.Now
	// Unreachable is told why the keys of an issuer could not be had, which the
	// caller is not; nil means nobody is.
	Unreachable func(ctx context.Context, issuer string, err error)
}

// Verifier verifies tokens, and keeps the keys of issuers in memory. It is safe
// for use by several goroutines; a slow issuer delays its own tokens only.
type Verifier struct {
	client      *http.Client
	now         func() time.Time
	unreachable func(context.Context, string, error)

	mu      sync.Mutex
	issuers map[string]*issuer
}

// New returns a Verifier.
func New(o Options) (*Verifier, error) {
	if o.Client == nil {
		return nil, errors.New("oidc: no Client")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Unreachable == nil {
		o.Unreachable = func(context.Context, string, error) {}
	}
	return &Verifier{client: bounded(o.Client), now: o.Now, unreachable: o.Unreachable, issuers: map[string]*issuer{}}, nil
}

// Issuer is who a token says that it is from. It proves nothing. The error is an
// ErrInvalid.
func Issuer(token string) (string, error) {
	c, err := read(token)
	return c.Issuer, err
}

// Verify checks a token that is to be p's. The error is one of the four, or that of
// ctx.
func (v *Verifier) Verify(ctx context.Context, token string, p Provider) (Claims, error) {
	c, err := read(token)
	if err != nil {
		return Claims{}, err
	}
	if c.Issuer != p.URL || p.URL == "" { // before anybody is asked for keys
		return Claims{}, fmt.Errorf("%w: it is of another issuer", ErrRejected)
	}
	if err := v.verify(ctx, token, p.URL); err != nil {
		return Claims{}, err
	}
	if err := c.check(p.ClientIDs, v.now()); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// verify checks signature, issuer and end.
func (v *Verifier) verify(ctx context.Context, token, url string) error {
	keys := &keySet{of: v.issuer(url)}
	_, err := oidc.NewVerifier(url, keys, &oidc.Config{
		SupportedSigningAlgs: algorithms, SkipClientIDCheck: true,
		Now: func() time.Time { return v.now().Add(-Leeway) },
	}).Verify(ctx, token)
	var expired *oidc.TokenExpiredError
	switch {
	case keys.unreached != nil:
		return keys.unreached
	case errors.As(err, &expired):
		return fmt.Errorf("%w at %s", ErrExpired, expired.Expiry.UTC().Format(time.RFC3339))
	case err != nil:
		return fmt.Errorf("%w: no key of its issuer made its signature, or it is malformed", ErrInvalid)
	}
	return nil
}

// read takes a token apart. Nothing in it is proven yet.
func read(token string) (Claims, error) {
	if len(token) > MaxToken {
		return Claims{}, fmt.Errorf("%w: it is too long", ErrInvalid)
	}
	signed, err := parse(token)
	if err != nil {
		return Claims{}, err
	}
	return readClaims(signed.UnsafePayloadWithoutVerification())
}

func parse(token string) (*jose.JSONWebSignature, error) {
	algs := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, a := range algorithms {
		algs[i] = jose.SignatureAlgorithm(a)
	}
	signed, err := jose.ParseSignedCompact(token, algs)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, fmt.Errorf("%w: it is no signed JWT with an algorithm of public keys", ErrInvalid)
	}
	return signed, nil
}

// maxIssuers is how many issuers' keys are kept.
const maxIssuers = 1000

func (v *Verifier) issuer(url string) *issuer {
	v.mu.Lock()
	defer v.mu.Unlock()
	of, ok := v.issuers[url]
	if !ok {
		if len(v.issuers) >= maxIssuers {
			clear(v.issuers)
		}
		of = &issuer{of: v, url: url, turn: make(chan struct{}, 1)}
		v.issuers[url] = of
	}
	return of
}
