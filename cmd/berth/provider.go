package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newProvider() *cobra.Command {
	return folder("provider", "Trust issuers of web identities (OpenID Connect)",
		`Trust issuers of web identities (OpenID Connect), beside a running server or while
it is stopped. With one, and a role whose trust policy names it, jobs and pods need
no key: they show the token that they have.`,
		newProviderCreate(), newProviderList(), newProviderDelete())
}

func newProviderCreate() *cobra.Command {
	var clients []string
	c := leaf(1, "create URL --client-id AUDIENCE", "Trust an issuer's tokens for some audiences",
		"berth provider create https://token.actions.githubusercontent.com --client-id sts.amazonaws.com")
	c.Flags().StringArrayVar(&clients, "client-id", nil, "audience that tokens are for (repeatable)")
	o := atOffice(c, true)
	c.RunE = func(_ *cobra.Command, args []string) error {
		if len(clients) == 0 {
			return usageError{errors.New("--client-id: for which audience are the tokens?")}
		}
		n := admin.NewProvider{InAccount: admin.InAccount{Account: o.account}, URL: args[0], ClientIDs: clients}
		return answer(o, admin.CreateProvider, n, func(_ io.Writer, p admin.Provider) error { return o.say("created provider %s (%s)", p.URL, p.ARN) })
	}
	return c
}

func newProviderList() *cobra.Command {
	c := leaf(0, "list", "List the issuers that are trusted", "berth provider list")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ListProviders, admin.InAccount{Account: o.account}, table("URL|ARN|MADE|CLIENT IDS", func(p admin.Provider) []string {
			return []string{p.URL, p.ARN, when(p.CreatedAt, "declared"), list(p.ClientIDs)}
		}))
	}
	return c
}

func newProviderDelete() *cobra.Command {
	c := leaf(1, "delete URL", "Trust an issuer no longer; sessions that began go on to their end", "berth provider delete https://token.actions.githubusercontent.com")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.DeleteProvider, o.named(args[0]), "deleted provider %s", args[0])
	}
	return c
}
