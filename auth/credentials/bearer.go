package credentials

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/token"
)

// ErrBadBearer says that a bearer token opens nothing. It does not say why.
var ErrBadBearer = errors.New("credentials: bad bearer token")

// BearerRequest asks for a bearer token.
type BearerRequest struct {
	// Name and Password are as those of Basic.
	Name, Password string
	// Nobody asks instead, without a name.
	Nobody bool
	// Service is the host that the token is for.
	Service string
	Grants  []token.Grant
}

// Bearer is a bearer token that was issued.
type Bearer struct {
	Token           string
	Issued, Expires time.Time
	By              auth.Principal // whom it stands for
}

// IssueBearer issues a bearer token. It dies with what it was got with, and its grants
// give no right: they narrow what it is shown for. The error is as that of Basic, or an
// *Error for grants that are too many.
func (v *Verifier) IssueBearer(ctx context.Context, r BearerRequest) (Bearer, error) {
	by, c, err := v.bearerClaims(ctx, r)
	if err != nil {
		return Bearer{}, err
	}
	b := Bearer{By: by}
	b.Token, b.Issued, b.Expires, err = v.tokens.SealBearer(token.Bearer{Claims: c, Nobody: r.Nobody, Service: r.Service, Grants: r.Grants})
	if errors.Is(err, token.ErrTooLong) {
		return Bearer{}, refuse(ValidationError, "That is more than one token can be for.")
	}
	return b, err
}

// bearerClaims say whom the token of a request stands for. It is got with a registry
// password, and dies with it, or with what else Basic takes.
func (v *Verifier) bearerClaims(ctx context.Context, r BearerRequest) (by auth.Principal, c token.Claims, err error) {
	if r.Nobody {
		return auth.Nobody(""), token.Claims{}, nil
	}
	if by, err = v.Basic(ctx, r.Name, r.Password); err != nil {
		return by, c, err
	}
	if r.Name == User {
		c, err = v.tokens.OpenPassword(r.Password)
	} else {
		c, err = v.claims(ctx, by)
	}
	var gone *Error
	if errors.As(err, &gone) || errors.Is(err, token.ErrExpired) { // since it was looked at
		err = ErrBadPassword
	}
	return by, c, err
}

// Bearer verifies a bearer token for a service, and returns whom it stands for and what
// it is for; nobody, as auth.Nobody. The error is ErrBadBearer or a fault.
func (v *Verifier) Bearer(ctx context.Context, bearer, service string) (auth.Principal, []token.Grant, error) {
	b, err := v.tokens.OpenBearer(bearer, service)
	if err != nil {
		return auth.Principal{}, nil, ErrBadBearer
	}
	if b.Nobody {
		return auth.Nobody(""), b.Grants, nil
	}
	p, err := v.hear(ctx, bearer, b.Claims)
	if errors.Is(err, errDead) {
		return auth.Principal{}, nil, ErrBadBearer
	}
	if err != nil {
		return auth.Principal{}, nil, err
	}
	return p, b.Grants, nil
}

// hear is alive for the claims of a bearer token. A client shows it with each request, so
// whom it stands for is known as long as nothing changes that could end that; the token's
// own time has been looked at. Robots end by theirs, so they are looked up each time.
func (v *Verifier) hear(ctx context.Context, bearer string, c token.Claims) (auth.Principal, error) {
	if c.Robot != "" {
		return v.alive(ctx, c)
	}
	return v.heard.Get(sha256.Sum256([]byte(bearer)), func() (auth.Principal, error) { return v.alive(ctx, c) })
}
