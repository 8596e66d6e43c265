package ecrapi

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/ecrapi/shape"
)

// getAuthorizationToken issues a registry password. It is bound to the caller
// and the region; naming registries only changes where it is said to be used
// (ECR reference, operations.md section 2).
func (a *API) getAuthorizationToken(ctx context.Context, c *call, in *shape.GetAuthorizationTokenRequest) (*shape.GetAuthorizationTokenResponse, error) {
	password, expires, err := a.credentials.Password(ctx, c.by)
	if err != nil {
		return nil, fmt.Errorf("issue password: %w", err)
	}
	token := base64.StdEncoding.EncodeToString([]byte(credentials.User + ":" + password))
	registries, named := in.RegistryIDs, in.RegistryIDs != nil
	if !named {
		registries = []string{c.id.Account}
	}
	out := &shape.GetAuthorizationTokenResponse{}
	for _, account := range registries {
		out.AuthorizationData = append(out.AuthorizationData, shape.AuthorizationData{
			AuthorizationToken: token,
			ExpiresAt:          shape.At(expires),
			ProxyEndpoint:      c.site.ProxyEndpoint(account, c.id.Region, named),
		})
	}
	return out, nil
}
