package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newSigning() *cobra.Command {
	return folder("signing", "See what images are signed with",
		`See what images are signed with when they are pushed, beside a running server or while
it is stopped.`,
		folder("profile", "Show signing profiles", "Show the signing profiles of the configuration.", newSigningList(), newSigningCert()))
}

func newSigningList() *cobra.Command {
	c := leaf(0, "list", "List signing profiles, whose they are and how long they hold", "berth signing profile list")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ListSigningProfiles, admin.None{}, table("PROFILE|SUBJECT|ROOT|UNTIL|KEY|FAULT", func(p admin.SigningProfile) []string {
			key := "file"
			if p.Generated {
				key = "generated"
			}
			return []string{p.ARN, orDash(p.Subject), orDash(p.Root), when(p.NotAfter, "-"), key, orDash(p.Fault)}
		}))
	}
	return c
}

func newSigningCert() *cobra.Command {
	c := leaf(1, "cert ARN", "Print the root certificate of a signing profile, for a trust store",
		"berth signing profile cert arn:aws:signer:us-east-1:000000000000:/signing-profiles/release >release.pem")
	o := atOffice(c, true)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return answer(o, admin.ShowSigningProfile, admin.ByID{ID: args[0]}, func(w io.Writer, p admin.SigningProfile) error {
			_, err := io.WriteString(w, p.RootPEM)
			return err
		})
	}
	return c
}
