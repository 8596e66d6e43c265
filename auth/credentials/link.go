package credentials

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/token"
)

// Link names a layer that a signed link opens, to GET and HEAD alone.
type Link struct {
	Account, Region, Repository, Digest string
	// Method is that of the request to VerifyLink; "" counts as GET. SignLink
	// does not look at it.
	Method string
}

// The parameters of a link's query.
const (
	linkExpires   = "expires"
	linkSignature = "signature"
)

// SignLink returns the query ("expires=…&signature=…") that opens l for anyone
// until expires, as long as the principal's key is alive.
func (v *Verifier) SignLink(ctx context.Context, p auth.Principal, l Link, expires time.Time) (query string, err error) {
	if p.KeyID == "" {
		return "", errors.New("credentials: a link must be signed by somebody")
	}
	key, err := v.liveKey(ctx, p.KeyID)
	if err != nil {
		return "", refuseDead(err)
	}
	return url.Values{
		linkExpires:   {strconv.FormatInt(expires.Unix(), 10)},
		linkSignature: {v.tokens.SignLink(tokenLink(l, key, expires))},
	}.Encode(), nil
}

// VerifyLink checks the query of a link and returns the principal who signed
// it, in the link's region. The error is an *Error with status 403, or a fault.
func (v *Verifier) VerifyLink(ctx context.Context, l Link, query map[string][]string) (auth.Principal, error) {
	if l.Method != "" && l.Method != http.MethodGet && l.Method != http.MethodHead {
		return auth.Principal{}, refuseLink("The link does not open this with the method %.20s.", l.Method)
	}
	expires, signature, ok := readLink(query)
	if !ok {
		return auth.Principal{}, refuseLink("The link is not valid.")
	}
	keyID, err := v.tokens.LinkKey(signature)
	if err != nil {
		return auth.Principal{}, refuseLink("The link is not valid.")
	}
	key, err := v.liveKey(ctx, keyID)
	if errors.Is(err, errDead) {
		return auth.Principal{}, refuseLink("The link is not valid any more.")
	}
	if err != nil {
		return auth.Principal{}, err
	}
	err = v.tokens.VerifyLink(tokenLink(l, key, expires), signature)
	if errors.Is(err, token.ErrExpired) {
		return auth.Principal{}, refuseLink("The link has expired.")
	}
	if err != nil {
		return auth.Principal{}, refuseLink("The link is not valid.")
	}
	return owner(key, l.Region), nil
}

func tokenLink(l Link, key accounts.Key, expires time.Time) token.Link {
	return token.Link{
		KeyID: key.ID, Mark: key.Mark,
		Account: l.Account, Region: l.Region, Repository: l.Repository, Digest: l.Digest, Expires: expires,
	}
}

// readLink takes the two parameters of a link, given once and in the one form
// that SignLink writes.
func readLink(query url.Values) (expires time.Time, signature string, ok bool) {
	e, s := query[linkExpires], query[linkSignature]
	if len(e) != 1 || len(s) != 1 {
		return time.Time{}, "", false
	}
	seconds, err := strconv.ParseInt(e[0], 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != e[0] {
		return time.Time{}, "", false
	}
	return time.Unix(seconds, 0), s[0], true
}

func refuseLink(format string, args ...any) *Error {
	e := refuse(AccessDenied, format, args...)
	e.Status = http.StatusForbidden
	return e
}
