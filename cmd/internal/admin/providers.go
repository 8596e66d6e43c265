package admin

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// The calls about identity providers (OpenID Connect), which are named by their URLs.
var (
	CreateProvider = Call[NewProvider, Provider]{"create-provider"}
	ListProviders  = Call[InAccount, []Provider]{"list-providers"}
	DeleteProvider = Call[Named, None]{"delete-provider"}
)

// Provider is an identity provider. Its JSON form is what commands print.
type Provider struct {
	URL       string    `json:"Url"`
	ARN       string    `json:"Arn"`
	Account   string    `json:"Account"`
	ClientIDs []string  `json:"ClientIds"`
	CreatedAt time.Time `json:"CreatedAt,omitzero"`
	Declared  bool      `json:"Declared"`
}

// NewProvider is an identity provider to be trusted.
type NewProvider struct {
	InAccount
	URL       string   `json:"url"`
	ClientIDs []string `json:"clientIds"`
}

func (n NewProvider) subject() string { return n.URL }

func (c *Clerk) answerProviders(all answers) {
	answered(all, CreateProvider, func(ctx context.Context, q NewProvider) (Provider, error) {
		p, err := c.Accounts.CreateProvider(ctx, c.account(q.Account), q.URL, q.ClientIDs)
		return providerOf(p), err
	})
	answered(all, ListProviders, func(ctx context.Context, q InAccount) ([]Provider, error) {
		list, err := c.Accounts.Providers(ctx, c.account(q.Account))
		return each(list, providerOf), err
	})
	done(all, DeleteProvider, func(ctx context.Context, q Named) error {
		return c.Accounts.DeleteProvider(ctx, c.account(q.Account), q.Name)
	})
}

func providerOf(p accounts.Provider) Provider {
	return Provider{
		URL: p.URL, ARN: p.ARN, Account: p.Account, ClientIDs: append([]string{}, p.ClientIDs...), CreatedAt: p.CreatedAt, Declared: p.Declared,
	}
}
