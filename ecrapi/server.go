// Package ecrapi is the door that speaks the API of Amazon ECR, version
// 2015-09-21, in AWS's JSON protocol 1.1. It translates: what a request means
// is read from tables that are generated from ECR's model (package shape), who
// asks is decided by package credentials, whether they may by an
// auth.Authorizer, and what happens by package registry.
//
// A request goes through the same steps whatever its operation: signature,
// operation, JSON, the model's constraints, authorization; then its handler
// looks at the repository and what is in it. What goes wrong is answered in
// that order (ECR reference, operations.md section 1).
//
// All 58 operations of the model are in one table. What would need something that
// this version does not have checks the request, and says so as an error that the
// model lists.
package ecrapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/throttle"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// MinPageKey is the least length of Options.PageKey in bytes.
const MinPageKey = 16

// Options are what the API stands on.
type Options struct {
	Registry    *registry.Service     // required
	Credentials *credentials.Verifier // required
	Authorizer  auth.Authorizer       // required
	Names       *endpoint.Names       // required
	// PageKey authenticates the nextToken of lists: at least MinPageKey random
	// bytes, the same after a restart and in every process of a server, or
	// clients cannot go on with a list.
	PageKey  []byte
	Throttle *throttle.Limiter // nil means no limits
	Audit    *audit.Trail      // takes a record of each request; nil means none
	Now      func() time.Time  // nil means time.Now
	Log      *slog.Logger      // takes faults; nil means nowhere
	// RequestID is the id of the request whose context it is given, for
	// x-amzn-RequestId and the log; nil means one that is made up.
	RequestID func(context.Context) string
}

// API answers the requests of the ECR API. It is safe for use by several
// goroutines.
type API struct {
	registry    *registry.Service
	credentials *credentials.Verifier
	authorizer  auth.Authorizer
	names       *endpoint.Names
	pageKey     []byte
	throttle    *throttle.Limiter
	audit       *audit.Trail
	now         func() time.Time
	log         *slog.Logger
	requestID   func(context.Context) string
}

// New checks options.
func New(o Options) (*API, error) {
	if o.Registry == nil || o.Credentials == nil || o.Authorizer == nil || o.Names == nil {
		return nil, errors.New("ecrapi: a registry, credentials, an authorizer and names are needed")
	}
	if len(o.PageKey) < MinPageKey {
		return nil, errors.New("ecrapi: the key for page tokens is too short")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.RequestID == nil {
		o.RequestID = func(context.Context) string { return randomID() }
	}
	return &API{
		registry: o.Registry, credentials: o.Credentials, authorizer: o.Authorizer, names: o.Names,
		pageKey: o.PageKey, throttle: o.Throttle, audit: o.Audit, now: o.Now, log: o.Log, requestID: o.RequestID,
	}, nil
}

func randomID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // UUID, version 4
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// service is the name that signatures for this API are scoped to.
const service = "ecr"

// ServeHTTP answers one request, whatever its path: whoever mounts the API
// decides that it is at "/".
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := a.requestID(r.Context())
	w.Header().Set("x-amzn-RequestId", id)
	record, w, r := a.audit.Begin(w, r, audit.ECR)
	defer record.End()
	c := &call{op: operationName(r), record: record}
	describe(record, r, c.op)
	a.respond(w, r, c, id)
	record.Answered()
}

// respond writes the answer to a request.
func (a *API) respond(w http.ResponseWriter, r *http.Request, c *call, id string) {
	out, err := a.answer(r, c)
	if err != nil {
		auth.SetDenial(w.Header(), err)
		f := a.failure(r.Context(), id, c.op, err)
		c.record.Fail(f.Type, f.Message, err)
		write(w, f.status, f)
		return
	}
	c.record.Response = out
	write(w, http.StatusOK, out)
}

// answer is the response to a request. It goes on with a call that names its
// operation.
func (a *API) answer(r *http.Request, c *call) (out any, err error) {
	if err := unrecorded(c.record.Refused()); err != nil {
		return nil, err
	}
	if c.site, err = a.names.Site(r); err != nil {
		return nil, err
	}
	op, known := operations[c.op]
	if !known {
		op.limit = maxBody
	}
	by, body, err := a.credentials.Signed(r, service, op.limit)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	c.record.Principal = by
	if err := checkHead(r); err != nil {
		return nil, err
	}
	if !known {
		return nil, unknownOperation(r)
	}
	if by.Region, err = a.region(c.site, by); err != nil {
		return nil, err
	}
	c.by, c.record.Principal = by, by
	return a.run(auth.Identify(r.Context(), by), c, op, body)
}

// region is the one whose registries a request means: that of the host name if
// it has one, else that of the signature, which has been checked.
func (a *API) region(site endpoint.Site, by auth.Principal) (string, error) {
	switch {
	case site.Region == "":
		return by.Region, nil
	case !a.names.HasRegion(site.Region):
		return "", refuse(credentials.InvalidSignature, "There is no region '%s' here.", site.Region)
	}
	return site.Region, nil
}

// run takes a signed request through the steps of its operation.
func (a *API) run(ctx context.Context, c *call, op operation, body *credentials.Body) (any, error) {
	in, err := op.read(body)
	if err != nil {
		return nil, err
	}
	c.record.Parameters = in
	if err := validate(c.op, in); err != nil {
		return nil, err
	}
	resources, err := op.on(c, in)
	c.aim(resources)
	if err != nil {
		return nil, err
	}
	if err := a.permit(ctx, c, op, in, resources); err != nil {
		return nil, a.noteDenied(ctx, c, err)
	}
	if err := a.throttle.Take(c.by.Account, c.by.Region, "ecr:"+c.op); err != nil {
		return nil, err
	}
	out, err := op.do(a, ctx, c, in)
	return out, a.noteDenied(ctx, c, err)
}
