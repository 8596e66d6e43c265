package credentials

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4"
	"github.com/seed-78150930/berth/auth/token"
)

// signer is who claims to have signed a request.
type signer struct {
	key    accounts.Key // the long-lived one
	secret accounts.Secret
}

// Signed verifies the SigV4 signature of r for service ("ecr" or "sts"):
// header or presigned URL. Key, scope, date and skew are checked before the
// body is read; the body is then hashed, in memory up to 64 KiB and beyond in
// an unlinked file, at most limit bytes of it. The caller closes the body.
//
// The error is an *Error for what the caller did wrong (also a body over
// limit, 413 RequestEntityTooLarge) and when too many bodies are held (503
// ServiceUnavailable), else a fault: storage.ErrFull where a long body found no
// room.
func (v *Verifier) Signed(r *http.Request, service string, limit int64) (auth.Principal, *Body, error) {
	claim, by, err := v.claim(r, service)
	if err != nil {
		return auth.Principal{}, nil, err
	}
	body, err := v.spool.read(r, limit)
	if err != nil {
		return auth.Principal{}, nil, err
	}
	if err := claim.Verify(by.secret.Reveal(), body.sum); err != nil {
		body.Close()
		return auth.Principal{}, nil, refuseSignature(err)
	}
	v.accounts.NoteUse(by.key.ID)
	return owner(by.key, claim.Region), body, nil
}

// claim checks all of a signature that can be checked without the body.
func (v *Verifier) claim(r *http.Request, service string) (*sigv4.Signature, signer, error) {
	claim, err := sigv4.Parse(r)
	if err != nil {
		return nil, signer{}, refuseSignature(err)
	}
	by, err := v.signer(r.Context(), claim)
	if err != nil {
		return nil, signer{}, err
	}
	if err := claim.CheckScope(service, v.hasRegion); err != nil {
		return nil, signer{}, refuseSignature(err)
	}
	if err := claim.CheckTime(v.now()); err != nil {
		return nil, signer{}, refuseSignature(err)
	}
	return claim, by, nil
}

// signer finds the key that a request says it is signed with.
func (v *Verifier) signer(ctx context.Context, claim *sigv4.Signature) (signer, error) {
	if claim.Token != "" {
		return v.temporarySigner(ctx, claim)
	}
	key, err := v.liveKey(ctx, claim.KeyID)
	if err != nil {
		return signer{}, refuseDead(err)
	}
	return signer{key, key.Secret}, nil
}

// temporarySigner takes the key from the session token. It also refuses a
// token beside a permanent key, which AWS takes for one of another session.
func (v *Verifier) temporarySigner(ctx context.Context, claim *sigv4.Signature) (signer, error) {
	s, err := v.tokens.OpenSession(claim.Token)
	switch {
	case errors.Is(err, token.ErrExpired):
		return signer{}, refuse(ExpiredToken, "The security token included in the request is expired")
	case errors.Is(err, token.ErrMalformed), errors.Is(err, token.ErrForged), errors.Is(err, token.ErrNotYet):
		return signer{}, unrecognized()
	case err != nil:
		return signer{}, err
	case s.KeyID != claim.KeyID:
		return signer{}, unrecognized()
	}
	parent, err := v.liveParent(ctx, s.Parent, s.Account, s.ParentMark)
	if err != nil {
		return signer{}, refuseDead(err)
	}
	return signer{parent, accounts.NewSecret(s.Secret)}, nil
}

// Temporary says whether r was signed with a temporary key. It may be asked
// only once Signed has verified r.
func Temporary(r *http.Request) bool {
	return r.Header.Get("X-Amz-Security-Token") != "" || r.URL.Query().Get("X-Amz-Security-Token") != ""
}

// How long a temporary key may live (STS API reference, GetSessionToken).
const (
	MinSession     = 15 * time.Minute
	MaxSession     = 36 * time.Hour
	DefaultSession = 12 * time.Hour
)

// Session is a temporary key. Requests signed with it carry its token.
type Session struct {
	KeyID   string
	Secret  accounts.Secret
	Token   string
	Expires time.Time
}

// GetSessionToken issues a temporary key of the principal for a time from
// MinSession to MaxSession; 0 means DefaultSession. It dies with the
// principal's key. The error is an *Error for a duration out of range, else a
// fault.
//
// A principal who used a temporary key must not be given another, or one that
// was stolen would never end: see [Temporary].
func (v *Verifier) GetSessionToken(ctx context.Context, p auth.Principal, duration time.Duration) (Session, error) {
	if duration == 0 {
		duration = DefaultSession
	}
	if duration < MinSession || duration > MaxSession {
		return Session{}, refuse(ValidationError, "DurationSeconds must be from %d to %d", MinSession/time.Second, MaxSession/time.Second)
	}
	parent, err := v.liveKey(ctx, p.KeyID)
	if err != nil {
		return Session{}, refuseDead(err)
	}
	id, secret := accounts.NewPair(accounts.PrefixSession)
	sealed, expires, err := v.tokens.SealSession(token.Session{
		KeyID: id, Secret: secret.Reveal(),
		Parent: p.KeyID, ParentMark: parent.Mark, Account: p.Account,
	}, duration)
	if err != nil {
		return Session{}, err
	}
	return Session{KeyID: id, Secret: secret, Token: sealed, Expires: expires}, nil
}
