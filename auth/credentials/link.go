package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
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
	keyID, mark, err := v.linkHolder(ctx, p)
	if err != nil {
		return "", err
	}
	return url.Values{
		linkExpires:   {strconv.FormatInt(expires.Unix(), 10)},
		linkSignature: {v.tokens.SignLink(tokenLink(l, keyID, mark, expires))},
	}.Encode(), nil
}

// linkHolder is who signs a link, and what must stay true of him: a key, or in JSON a
// session of a role. What limits the session has been looked at, and is left out.
func (v *Verifier) linkHolder(ctx context.Context, p auth.Principal) (keyID, mark string, err error) {
	of, err := v.noted(ctx, p)
	if err != nil {
		return "", "", err
	}
	if of != nil {
		of.Carried = token.Carried{}
		text, err := json.Marshal(of)
		return string(text), "", err
	}
	key, err := v.liveKey(ctx, p.KeyID)
	return key.ID, key.Mark, refuseDead(err)
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
	p, err := v.openLinkHolder(ctx, keyID, l.Region, func(mark string) error {
		return v.tokens.VerifyLink(tokenLink(l, keyID, mark, expires), signature)
	})
	switch {
	case errors.Is(err, errDead):
		return auth.Principal{}, refuseLink("The link is not valid any more.")
	case errors.Is(err, token.ErrExpired):
		return auth.Principal{}, refuseLink("The link has expired.")
	case errors.Is(err, token.ErrForged), errors.Is(err, token.ErrMalformed):
		return auth.Principal{}, refuseLink("The link is not valid.")
	}
	return p, err
}

// openLinkHolder is the principal of linkHolder's words, if a link is proven to be of
// a mark; or errDead.
func (v *Verifier) openLinkHolder(ctx context.Context, keyID, region string, proven func(mark string) error) (auth.Principal, error) {
	if strings.HasPrefix(keyID, "{") {
		if err := proven(""); err != nil { // before anything in the words is believed
			return auth.Principal{}, err
		}
		var of token.Session
		if err := json.Unmarshal([]byte(keyID), &of); err != nil {
			return auth.Principal{}, errDead
		}
		return v.revive(ctx, of, region)
	}
	key, err := v.liveKey(ctx, keyID)
	if err != nil {
		return auth.Principal{}, err
	}
	return owner(key, region), proven(key.Mark)
}

func tokenLink(l Link, keyID, mark string, expires time.Time) token.Link {
	return token.Link{
		KeyID: keyID, Mark: mark,
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
