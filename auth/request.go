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

type requestKey struct{}

// WithRequest notes in ctx the circumstances of a request.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf returns the circumstances of the request under way, or zero where
// the server acts by itself.
func RequestOf(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}
