package ecrapi

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/ecrapi/shape"
)

// getAuthorizationToken issues a registry password. It is bound to the caller
// and the region; naming registries only changes where it is said to be used
// (ECR reference, operations.md section 2).
func (a *API) getAuthorizationToken(ctx context.Context, c *call, in *shape.GetAuthorizationTokenRequest) (*shape.GetAuthorizationTokenResponse, error) {
	if err := a.mayLogInTo(ctx, c, in.RegistryIDs); err != nil {
		return nil, err
	}
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

// mayLogInTo asks for each account that a request names. Only what the caller's own
// policies say counts (ECR reference, policies.md section 1), so they tell accounts
// apart by aws:ResourceAccount.
func (a *API) mayLogInTo(ctx context.Context, c *call, named []string) error {
	for _, account := range distinct(named) {
		check := c.check("ecr:GetAuthorizationToken", "*")
		check.Keys = policy.Keys{"aws:resourceaccount": {account}}
		if err := a.authorizer.Authorize(ctx, check); err != nil {
			return err
		}
	}
	return nil
}
