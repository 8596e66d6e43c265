package auth

import (
	"context"
	"net/netip"
)

// Request is what a request's circumstances tell policies.
type Request struct {
	ID        string     // as in x-amzn-RequestId
	SourceIP  netip.Addr // of the client, or of the proxy that is not trusted; zero if unknown
	Secure    bool       // came by TLS
	UserAgent string
}

// underway is the context of a request on its way. What is learnt of the request on that
// way is noted in it and not in contexts around it: every request learns all of it.
type underway struct {
	context.Context
	request Request
	by      Principal
	call    any
}

type (
	requestKey   struct{}
	principalKey struct{}
)

// Value implements context.Context.
func (u *underway) Value(key any) any {
	switch key.(type) {
	case requestKey:
		return u
	case principalKey:
		return &u.by
	}
	return u.Context.Value(key)
}

func underwayOf(ctx context.Context) *underway {
	u, _ := ctx.Value(requestKey{}).(*underway)
	return u
}

// WithRequest notes in ctx the circumstances of a request. Who is asking is not known
// then, whatever ctx says.
func WithRequest(ctx context.Context, r Request) context.Context {
	return &underway{Context: ctx, request: r}
}

// RequestOf returns the circumstances of the request under way, or zero where
// the server acts by itself.
func RequestOf(ctx context.Context) Request {
	if u := underwayOf(ctx); u != nil {
		return u.request
	}
	return Request{}
}

// WithPrincipal returns a ctx that says who is asking.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, &p)
}

// Identify notes who is asking in the request that ctx is of, where it has one, else in
// the ctx that it returns. Nobody else may have ctx yet, since it changes.
func Identify(ctx context.Context, p Principal) context.Context {
	if u, ok := ctx.(*underway); ok {
		u.by = p
		return ctx
	}
	return WithPrincipal(ctx, p)
}

// PrincipalOf returns who is asking, or the zero Principal where the server
// acts by itself.
func PrincipalOf(ctx context.Context) Principal {
	if p, ok := ctx.Value(principalKey{}).(*Principal); ok {
		return *p
	}
	return Principal{}
}

type callKey struct{}

// WithCall notes the record of a call, of whatever type, as Identify notes who is asking.
func WithCall(ctx context.Context, call any) context.Context {
	if u, ok := ctx.(*underway); ok {
		u.call = call
		return ctx
	}
	return context.WithValue(ctx, callKey{}, call)
}

// CallOf returns what WithCall noted last, nil if nothing.
func CallOf(ctx context.Context) any {
	if call := ctx.Value(callKey{}); call != nil {
		return call
	}
	if u := underwayOf(ctx); u != nil {
		return u.call
	}
	return nil
}
