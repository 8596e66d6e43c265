package server

import (
	"context"
	"fmt"

	"github.com/seed-78150930/berth/auth/oidc"
	"github.com/seed-78150930/berth/registry/remote"
)

// openWebIdentities makes what verifies tokens of the accounts' providers. It asks
// them where the settings let the server go, and nowhere else.
func (s *Server) openWebIdentities() (*oidc.Verifier, error) {
	c := s.options.Config
	client, err := remote.New(remote.Options{Allow: c.Egress.Allow, PlainHTTP: c.Egress.PlainHTTP})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	return oidc.New(oidc.Options{Client: client, Unreachable: func(ctx context.Context, issuer string, err error) {
		s.log.WarnContext(ctx, "the keys of an identity provider cannot be had", "issuer", issuer, "error", err, "id", requestID(ctx))
	}})
}
