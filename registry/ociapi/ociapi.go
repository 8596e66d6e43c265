// Package ociapi is the door that speaks the OCI distribution specification,
// version 1.1, over HTTP: it turns requests below /v2/ into calls of the
// domain, and answers into status codes, headers and error envelopes. It does
// so as the specification says or, where that differs, as Amazon ECR does: see
// [Compat] and the table of quirks.
//
// Where the specification leaves a choice:
//
//   - A manifest is always served as it was pushed, whatever Accept says: its
//     digest is what clients know it by, and never changes. A client that does
//     not take the stored type learns it from Content-Type.
//   - Lists are in byte order. Without n they are whole, however long, because
//     who sent no n does not look for a Link either.
//   - Digests are sha256 or sha512.
//   - Unknown members of a query are ignored; a known one that stands twice is
//     refused.
//   - A tag that no image can have is not found when read, and refused when
//     written.
//
// Credentials are a registry password in a Basic header. They are asked for
// before anything else is looked at, on known and unknown paths alike, so that
// nobody learns from a refusal what is there.
package ociapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/throttle"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// Options say what the door opens on. All but Log and RequestID are required.
type Options struct {
	Registry    *registry.Service
	Credentials *credentials.Verifier
	Authorizer  auth.Authorizer
	Names       *endpoint.Names
	// Compat says whose answers are given where the specification and ECR
	// differ; "" means OCI.
	Compat Compat
	// Anonymous lets reads without credentials be answered where the policy of a
	// repository or of the registry allows them to everyone.
	Anonymous bool
	// AnonymousReads bounds how many of those one address may ask for; nil bounds
	// nothing.
	AnonymousReads *throttle.Addresses
	// Bearer gives out bearer tokens at /v2/token and takes them, and has the door ask
	// for them. Basic is taken all the same.
	Bearer bool
	// Throttle bounds how often each action is asked for; nil bounds nothing.
	Throttle *throttle.Limiter
	// Audit takes a record of each request; nil records nothing.
	Audit *audit.Trail
	// Log takes the faults; nil means nowhere.
	Log *slog.Logger
	// RequestID returns the id that a request was given. With nil the door
	// makes one for each fault.
	RequestID func(context.Context) string
}

// Server is the door: an http.Handler for "/v2" and all that is below "/v2/",
// which must come with its path as the client sent it. It is safe for use by
// several goroutines.
//
// A ResponseWriter that wraps the server's own must pass ReadFrom on, or layers
// do not go by sendfile. An answer that breaks off in its middle ends with
// panic(http.ErrAbortHandler), so that the client sees it break.
type Server struct {
	registry    *registry.Service
	credentials *credentials.Verifier
	authorizer  auth.Authorizer
	names       *endpoint.Names
	compat      Compat
	anonymous   bool
	bearer      bool
	throttle    *throttle.Limiter
	audit       *audit.Trail
	log         *slog.Logger
	requestID   func(context.Context) string

	anonymousReads *throttle.Addresses
}

// New returns a door.
func New(o Options) (*Server, error) {
	if o.Registry == nil || o.Credentials == nil || o.Authorizer == nil || o.Names == nil {
		return nil, errors.New("ociapi: Registry, Credentials, Authorizer and Names are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.RequestID == nil {
		o.RequestID = func(context.Context) string { return rand.Text() }
	}
	switch o.Compat {
	case "", OCI, ECR:
	default:
		return nil, fmt.Errorf("ociapi: no such compat: %q", o.Compat)
	}
	return &Server{
		registry: o.Registry, credentials: o.Credentials, authorizer: o.Authorizer, names: o.Names, compat: o.Compat,
		anonymous: o.Anonymous, anonymousReads: o.AnonymousReads, bearer: o.Bearer, throttle: o.Throttle, audit: o.Audit, log: o.Log, requestID: o.RequestID,
	}, nil
}

// apiVersion is the value of a header that every answer has, in canonical form.
var apiVersion = []string{"registry/2.0"}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Docker-Distribution-Api-Version"] = apiVersion
	call, w, r := s.audit.Begin(w, r, audit.OCI)
	defer call.End()
	at, unrouted := parseRoute(r.URL.EscapedPath())
	if s.audit != nil {
		s.describe(call, r, at, unrouted)
	}
	if err := s.serve(call, w, r, at, unrouted); err != nil {
		s.writeError(w, r, err)
	}
	call.Answered()
}

// serve finds out who asks, for what, and whether they may; then it calls the
// handler. unrouted is why the path leads nowhere, if it does not.
func (s *Server) serve(call *audit.Call, w http.ResponseWriter, r *http.Request, at route, unrouted error) error {
	if err := unrecorded(r, call.Refused()); err != nil {
		return err
	}
	site, err := s.site(r)
	if err != nil {
		return err
	}
	if s.bearer && r.URL.EscapedPath() == tokenPath {
		return s.serveTokenOrChallenge(call, w, r, site)
	}
	by, granted, err := s.authenticate(r, site)
	if err != nil {
		return tooOften(w, s.challenge(w, r, site, err))
	}
	call.Principal = by
	if unrouted != nil {
		return unrouted
	}
	op, err := operationFor(w, at.kind, r.Method)
	if err != nil {
		return err
	}
	to, err := s.target(r, site, by, at)
	if err != nil {
		return s.challenge(w, r, site, err)
	}
	to.grants = granted
	aim(call, to)
	by = to.by
	r = identified(r, by)
	actions := op.actions(r, to.query)
	if to, err = s.permit(r, to, op, actions); err != nil {
		return s.challenge(w, r, site, s.noteDenied(r.Context(), to, err))
	}
	if err := s.throttle.Take(by.Account, by.Region, actions...); err != nil {
		return tooOften(w, err)
	}
	if err := checkEncoding(r); err != nil {
		return err
	}
	return s.challenge(w, r, site, s.noteDenied(r.Context(), to, op.serve(s, w, r, to)))
}

// identified is r with who is asking.
func identified(r *http.Request, by auth.Principal) *http.Request {
	if ctx := auth.Identify(r.Context(), by); ctx != r.Context() {
		return r.WithContext(ctx)
	}
	return r
}

// tooOften answers what comes too often, with the seconds to wait in Retry-After
// (RFC 6585, section 4).
func tooOften(w http.ResponseWriter, err error) error {
	var e *throttle.Exceeded
	if !errors.As(err, &e) {
		return err
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.After.Seconds()))))
	return refuse(http.StatusTooManyRequests, errcode.ErrorCodeTooManyRequests, "Rate exceeded")
}

func (s *Server) ping(w http.ResponseWriter, r *http.Request, _ target) error {
	writeJSON(w, r, http.StatusOK, struct{}{})
	return nil
}
