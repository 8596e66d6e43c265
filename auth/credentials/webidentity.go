package credentials

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/oidc"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/auth/token"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// AssumeRoleWithWebIdentity issues a temporary key of a session of a role to
// whoever brings a token of a provider that the role's account knows, if the role
// trusts who the token says that he is. Region is that of the registry which is
// asked. A role that is not there is refused as one is that does not trust him. The
// error is an *auth.Denied, an *Error or a fault.
//
// The session ends with the role; the provider may be gone before.
func (v *Verifier) AssumeRoleWithWebIdentity(ctx context.Context, webToken, region string, r RoleRequest) (RoleSession, error) {
	account := accountOf(r.Role)
	if account == "" {
		return RoleSession{}, &auth.Denied{Check: auth.Check{Action: assumeByToken, Resource: r.Role}}
	}
	provider, claims, err := v.webIdentity(ctx, account, webToken)
	if err != nil {
		return RoleSession{}, err
	}
	carried, err := r.carried(nil)
	if err != nil {
		return RoleSession{}, err
	}
	role, err := v.role(ctx, r.Role)
	if err != nil && !errors.Is(err, accounts.ErrNoRole) {
		return RoleSession{}, fmt.Errorf("look up role: %w", err)
	}
	why := noRole
	if err == nil {
		why = v.distrust(ctx, role, provider, claims, region, r)
	}
	if why != "" {
		who := auth.Principal{Account: account, ARN: provider.ARN, Region: region}
		return RoleSession{}, v.denied(ctx, auth.Check{Principal: who, Action: assumeByToken, Resource: r.Role, Account: account},
			untrusted, fmt.Sprintf("%s to the subject %.300q", why, claims.Subject))
	}
	s := token.Session{Carried: carried, Provider: provider.Issuer(), Subject: claims.Subject}
	issued, err := v.act(ctx, role, r, s, endpoint.Partition(region))
	if err != nil {
		return RoleSession{}, err
	}
	issued.Provider, issued.Audience = provider.ARN, claims.Audience[0]
	return issued, nil
}

// webIdentity verifies a token of one of an account's providers.
func (v *Verifier) webIdentity(ctx context.Context, account, webToken string) (accounts.Provider, oidc.Claims, error) {
	issuer, err := oidc.Issuer(webToken)
	if err != nil {
		return accounts.Provider{}, oidc.Claims{}, refuseWebIdentity(err)
	}
	provider, err := v.accounts.Provider(ctx, account, issuer)
	if errors.Is(err, accounts.ErrNoProvider) || err == nil && v.webIdentities == nil {
		return provider, oidc.Claims{}, refuse(InvalidIdentityToken, "No OpenIDConnect provider found in your account for %.255s", issuer)
	}
	if err != nil {
		return provider, oidc.Claims{}, fmt.Errorf("look up provider: %w", err)
	}
	claims, err := v.webIdentities.Verify(ctx, webToken, oidc.Provider{URL: provider.URL, ClientIDs: provider.ClientIDs})
	return provider, claims, refuseWebIdentity(err)
}

// refuseWebIdentity words what is wrong with a token (STS API reference,
// AssumeRoleWithWebIdentity).
func refuseWebIdentity(err error) error {
	code := ""
	switch {
	case errors.Is(err, oidc.ErrInvalid), errors.Is(err, oidc.ErrRejected):
		code = InvalidIdentityToken
	case errors.Is(err, oidc.ErrExpired):
		code = ExpiredIdentityToken
	case errors.Is(err, oidc.ErrUnreachable):
		code = IDPCommunicationError
	default:
		return err
	}
	return refuse(code, "Web identity: %v.", err)
}

// distrust is why the trust policy of a role does not allow what a web identity asks
// for, "" if it does.
func (v *Verifier) distrust(ctx context.Context, role accounts.Role, p accounts.Provider, c oidc.Claims, region string, r RoleRequest) string {
	keys := auth.Keys(ctx, auth.Principal{Region: region}, nil, v.now())
	keys["sts:rolesessionname"] = []string{r.Name}
	keys["aws:federatedprovider"] = []string{p.ARN}
	for name, values := range c.Values {
		keys[strings.ToLower(p.Issuer()+":"+name)] = values
	}
	_, why := trustOf(role, &policy.Request{
		Principal: policy.Principal{Federated: p.ARN}, Action: assumeByToken, Resource: role.ARN, Keys: keys,
	})
	return why
}
