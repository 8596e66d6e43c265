package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newKey() *cobra.Command {
	return folder("key", "Make, list and delete access keys",
		`Make, list and delete access keys, beside a running server or while it is
stopped. A key is a user's, or its account's root's: to make one for root is the way
back from a lost one.`,
		newKeyCreate(), newKeyList(), newKeyLastUsed(),
		newKeyState("activate", "Let an access key verify requests again", true),
		newKeyState("deactivate", "Have an access key, and all that derives from it, refused", false),
		newKeyRevoke(), newKeyDelete())
}

func newKeyCreate() *cobra.Command {
	var user string
	c := leaf(0, "create", "Make an access key and print it; its secret is shown this once", "berth key create --user ada")
	c.Flags().StringVar(&user, "user", "", "user whose key it is, who has two at most (default: the account's root)")
	o := atOffice(c, true)
	c.Flags().Lookup("account").Usage = "account of the key, made to exist by it (default: the server's own)"
	c.RunE = func(*cobra.Command, []string) error {
		key, err := ask(o, admin.CreateKey, admin.OfUser{Account: o.account, User: user})
		return orPrintKey(o, key, err)
	}
	return c
}

// newKeyJSON is what scripts read. The names are those of IAM's CreateAccessKey.
type newKeyJSON struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Account         string
	UserName        string `json:",omitempty"`
}

func printNewKey(w io.Writer, k admin.Key, asJSON bool) error {
	if asJSON {
		return printJSON(w, newKeyJSON{k.ID, k.Secret.Reveal(), k.Account, k.User})
	}
	_, err := fmt.Fprintf(w, "AccessKeyId      %s\nSecretAccessKey  %s\nAccount          %s\n", k.ID, k.Secret.Reveal(), k.Account)
	if err == nil && k.User != "" {
		_, err = fmt.Fprintf(w, "UserName         %s\n", k.User)
	}
	return err
}

func newKeyList() *cobra.Command {
	var user string
	c := leaf(0, "list", "List the access keys that the server made, without their secrets", "berth key list --user ada")
	c.Flags().StringVar(&user, "user", "", "those of this user alone")
	o := atOffice(c, true)
	c.Flags().Lookup("account").Usage = "those of this account alone (default: those of all)"
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ListKeys, admin.OfUser{Account: o.account, User: user}, table("ACCESS KEY|ACCOUNT|MADE|STATE|OWNER|LAST USED|DESCRIPTION", func(k admin.Key) []string {
			return []string{k.ID, k.Account, k.CreatedAt.Format(time.RFC3339), active(k.Active), owner(k.User), when(k.UsedAt, "never"), k.Description}
		}))
	}
	return c
}

func active(yes bool) string {
	if yes {
		return "active"
	}
	return "inactive"
}

// owner is whose a key is.
func owner(user string) string {
	if user == "" {
		return "root"
	}
	return "user/" + user
}

func newKeyLastUsed() *cobra.Command {
	c := leaf(1, "last-used ACCESS-KEY-ID", "Say when an access key was last used", "berth key last-used AKIA0123456789ABCDEF")
	o := atOffice(c, true)
	c.RunE = func(_ *cobra.Command, args []string) error {
		all, err := ask(o, admin.ListKeys, admin.OfUser{})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(k admin.Key) bool { return k.ID == args[0] })
		switch {
		case i < 0:
			return fmt.Errorf("%s: %w", args[0], accounts.ErrNoKey)
		case o.json:
			return printJSON(o.cmd.OutOrStdout(), all[i])
		}
		return o.say("%s", when(all[i].UsedAt, "never"))
	}
	return c
}

func newKeyState(use, short string, active bool) *cobra.Command {
	c := leaf(1, use+" ACCESS-KEY-ID", short, "berth key "+use+" AKIA0123456789ABCDEF")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.SetKeyActive, admin.KeyState{ByID: admin.ByID{ID: args[0]}, Active: active}, "%sd %s", use, args[0])
	}
	return c
}

func newKeyRevoke() *cobra.Command {
	c := leaf(1, "revoke ACCESS-KEY-ID", "End all registry passwords and temporary keys that derive from an access key, now; the key itself stays",
		"berth key revoke AKIA0123456789ABCDEF")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.RevokeKey, admin.ByID{ID: args[0]}, "revoked what derives from %s", args[0])
	}
	return c
}

func newKeyDelete() *cobra.Command {
	c := leaf(1, "delete ACCESS-KEY-ID", "Delete an access key, and end all that derives from it", "berth key delete AKIA0123456789ABCDEF")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.DeleteKey, admin.ByID{ID: args[0]}, "deleted %s", args[0])
	}
	return c
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
