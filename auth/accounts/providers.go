package accounts

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// Provider is an issuer of web identities (OpenID Connect) that an account trusts.
type Provider struct {
	Account string
	// URL is the issuer's, such as "https://token.actions.githubusercontent.com".
	URL string
	ARN string
	// ClientIDs are the audiences that tokens may be for: one at least.
	ClientIDs []string
	CreatedAt time.Time
	Declared  bool
}

type providerRow struct {
	URL       string    `json:"url"`
	ClientIDs []string  `json:"clientIds"`
	CreatedAt time.Time `json:"createdAt"`
}

// Issuer is how policies name a provider: its URL without the scheme.
func (p Provider) Issuer() string { return issuerName(p.URL) }

func issuerName(u string) string {
	_, rest, _ := strings.Cut(u, "://")
	return rest
}

func checkProvider(row providerRow) error {
	u, err := url.Parse(row.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(row.URL) > 255 {
		return invalid("the URL of an issuer is like https://issuer.example or https://issuer.example/path")
	}
	if strings.HasSuffix(row.URL, "/") && u.Path == "/" {
		return invalid("write the URL of the issuer as its tokens have it, without a slash behind")
	}
	if len(row.ClientIDs) == 0 || len(row.ClientIDs) > 100 {
		return invalid("a provider has 1 to 100 client ids (audiences)")
	}
	if slices.Contains(row.ClientIDs, "") {
		return invalid("a client id is empty")
	}
	return nil
}

func (s *Store) asProvider(account string, row providerRow) Provider {
	return Provider{
		Account: account, URL: row.URL, ARN: s.arn(account, "oidc-provider", "/", issuerName(row.URL)),
		ClientIDs: row.ClientIDs, CreatedAt: row.CreatedAt, Declared: s.declared.Load().has(account),
	}
}

// CreateProvider makes an account trust an issuer. The error may be ErrExists,
// ErrInvalid, ErrDeclared. Plain HTTP works only for hosts that the settings allow.
func (s *Store) CreateProvider(ctx context.Context, account, url string, clientIDs []string) (Provider, error) {
	row := providerRow{URL: url, ClientIDs: clientIDs, CreatedAt: s.today()}
	if err := checkProvider(row); err != nil {
		return Provider{}, err
	}
	err := s.change(ctx, account, func(tx storage.Tx, b book) error {
		if _, err := b.provider(account, issuerName(url)); checkNew(err, ErrNoProvider) != nil {
			return checkNew(err, ErrNoProvider)
		}
		return providerRows.Put(tx, row, account, issuerName(url))
	})
	if err != nil {
		return Provider{}, err
	}
	return s.asProvider(account, row), nil
}

// Provider returns an account's provider by its issuer's URL, or ErrNoProvider.
func (s *Store) Provider(ctx context.Context, account, url string) (p Provider, err error) {
	err = s.view(ctx, func(b book) error {
		row, err := b.provider(account, issuerName(url))
		if err == nil && row.URL != url {
			err = ErrNoProvider
		}
		p = s.asProvider(account, row)
		return err
	})
	if err != nil {
		return Provider{}, err
	}
	return p, nil
}

// Providers are those of an account in order of their issuers.
func (s *Store) Providers(ctx context.Context, account string) (list []Provider, err error) {
	err = s.view(ctx, func(b book) error {
		rows, err := all(b, providerRows, b.declared.providers, account)
		list = nil
		for _, n := range rows {
			list = append(list, s.asProvider(account, n.row))
		}
		return err
	})
	return list, err
}

// DeleteProvider ends the trust. Sessions that began with it go on to their end.
// The error may be ErrNoProvider or ErrDeclared.
func (s *Store) DeleteProvider(ctx context.Context, account, url string) error {
	return s.change(ctx, account, func(tx storage.Tx, b book) error {
		row, err := b.provider(account, issuerName(url))
		if err == nil && row.URL != url {
			err = ErrNoProvider
		}
		if err != nil {
			return err
		}
		return providerRows.Delete(tx, account, issuerName(url))
	})
}
