// Package stsapi is the door that speaks STS's query protocol: a form or a
// query string in, XML out. It answers GetCallerIdentity, GetSessionToken,
// GetAccessKeyInfo, AssumeRole and AssumeRoleWithWebIdentity. Beside it stands a
// small door for tools on the same machine, which speaks what containers are given
// their credentials by.
package stsapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
)

const (
	version = "2011-06-15"
	form    = "application/x-www-form-urlencoded"
	// maxBody is far more than any action of STS takes.
	maxBody = 64 << 10
)

// Options say what the door opens on.
type Options struct {
	Credentials *credentials.Verifier
	Authorizer  auth.Authorizer
	// Region is the one that unsigned requests are for; "" means us-east-1.
	Region string
	// RequestID returns the id that a request was given. With nil the door
	// makes one for each.
	RequestID func(context.Context) string
	Log       *slog.Logger // for faults; nil means none
	Audit     *audit.Trail // takes a record of each request; nil means none
}

// API is the door, an http.Handler.
type API struct {
	credentials *credentials.Verifier
	authorizer  auth.Authorizer
	region      string
	requestID   func(context.Context) string
	log         *slog.Logger
	audit       *audit.Trail
	actions     map[string]action
}

// New returns a door.
func New(o Options) (*API, error) {
	if o.Credentials == nil || o.Authorizer == nil {
		return nil, errors.New("stsapi: no Credentials or no Authorizer")
	}
	if o.RequestID == nil {
		o.RequestID = newRequestID
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &API{o.Credentials, o.Authorizer, cmp.Or(o.Region, "us-east-1"), o.RequestID, o.Log, o.Audit, actions}, nil
}

// newRequestID is a random UUID (RFC 9562, version 4).
func newRequestID(context.Context) string {
	var b [16]byte
	rand.Read(b[:]) // does not fail: crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Wants says whether a request to "/" is in STS's protocol: by an Action in
// the query string or a form as its body, and no X-Amz-Target, which makes it
// one of the JSON protocol.
func Wants(r *http.Request) bool {
	if r.URL.Path != "/" || len(r.Header.Values("X-Amz-Target")) > 0 {
		return false
	}
	return isForm(r) || r.URL.Query().Has("Action")
}

func isForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == form && r.Method == http.MethodPost
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := a.requestID(r.Context())
	w.Header().Set("x-amzn-RequestId", id)
	record, w, r := a.audit.Begin(w, r, audit.STS)
	defer record.End()
	form := a.describe(record, r)
	if result, err := a.do(r, record); err != nil {
		form.name(record)
		a.writeError(w, r, id, err)
	} else {
		result.setRequestID(id)
		answered(record, result)
		write(w, http.StatusOK, result)
	}
	record.Answered()
}

func (a *API) do(r *http.Request, record *audit.Call) (answer, error) {
	if err := unrecorded(record.Refused()); err != nil {
		return nil, err
	}
	c, act, err := a.admit(r)
	if c.params != nil {
		note(record, c)
	}
	if err != nil {
		return nil, err
	}
	if err := a.authorize(r.Context(), c.by, act); err != nil {
		return nil, err
	}
	return act.run(a, c)
}

// authorize asks whether the caller may, where AWS asks it.
func (a *API) authorize(ctx context.Context, p auth.Principal, act action) error {
	if act.open {
		return nil
	}
	return a.authorizer.Authorize(ctx, auth.Check{Principal: p, Action: act.permission, Resource: "*", Account: p.Account})
}
