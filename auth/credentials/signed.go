package credentials

import (
	"context"
	"errors"
	"net/http"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4"
	"github.com/seed-78150930/berth/auth/token"
)

// signer is who claims to have signed a request, and by which secret that shows.
type signer struct {
	who    auth.Principal
	secret accounts.Secret
}

// Signed verifies the SigV4 signature of r for service ("ecr" or "sts"):
// header or presigned URL. Key, scope, date and skew are checked before the
// body is read; the body is then hashed, in memory up to 64 KiB and beyond in
// an unlinked file, at most limit bytes of it. The caller closes the body.
//
// The error is an *Error for what the caller did wrong (also a body over
// limit, 413 RequestEntityTooLarge) and when too many bodies are held (503
// ServiceUnavailable), a *throttle.Exceeded after too many guesses, else a fault:
// storage.ErrFull where a long body found no room.
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
		return auth.Principal{}, nil, v.noteWrongSecret(r.Context(), claim.KeyID, refuseSignature(err))
	}
	v.accounts.NoteUse(by.who.KeyID)
	return by.who, body, nil
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
	if err := claim.CheckTime(v.clients()); err != nil {
		return nil, signer{}, refuseSignature(err)
	}
	return claim, by, nil
}

// signer finds the key that a request says it is signed with.
func (v *Verifier) signer(ctx context.Context, claim *sigv4.Signature) (signer, error) {
	if claim.Token != "" {
		return v.temporarySigner(ctx, claim)
	}
	if err := v.suspended(ctx, claim.KeyID); err != nil {
		return signer{}, err
	}
	key, err := v.liveKey(ctx, claim.KeyID)
	if errors.Is(err, errNoKey) {
		return signer{}, v.noteWrongSecret(ctx, nobodys, unrecognized())
	}
	if err != nil {
		return signer{}, refuseDead(err)
	}
	return signer{owner(key, claim.Region), key.Secret}, nil
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
	who, err := v.revive(ctx, s, claim.Region)
	if err != nil {
		return signer{}, refuseDead(err)
	}
	return signer{who, accounts.NewSecret(s.Secret)}, nil
}

// Temporary says whether r was signed with a temporary key. It may be asked
// only once Signed has verified r.
func Temporary(r *http.Request) bool {
	return r.Header.Get("X-Amz-Security-Token") != "" || r.URL.Query().Get("X-Amz-Security-Token") != ""
}
