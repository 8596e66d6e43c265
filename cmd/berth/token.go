package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newToken() *cobra.Command {
	return folder("token", "Make, list and revoke registry passwords",
		`Make, list and revoke registry passwords, beside a running server or while it is
stopped: what GetAuthorizationToken gives, for the user AWS of docker login. What a
password's holder may do is looked up at each request.`,
		newTokenCreate(), newTokenList(), newTokenRevoke())
}

func newTokenCreate() *cobra.Command {
	var n admin.NewPassword
	c := leaf(0, "create --user NAME|--role NAME", "Make a registry password and print it, this once",
		"berth token create --user ci --repository 'team/*' --action pull --life 1h | docker login --username AWS --password-stdin localhost:5000")
	c.Flags().StringVar(&n.User, "user", "", "user who it is for")
	c.Flags().StringVar(&n.Role, "role", "", "role whose session it is for")
	f := addScope(c, "how long it holds (default: what the user or role has, else 12h)")
	c.Flags().StringVar(&n.Region, "region", "", "region that it is good in (default: the server's own)")
	o := atOffice(c, true)
	c.RunE = func(_ *cobra.Command, _ []string) (err error) {
		if (n.User == "") == (n.Role == "") {
			return usageError{errors.New("for whom is it? --user or --role says so")}
		}
		if n.Scope, err = f.scope(); err != nil {
			return err
		}
		n.Account, n.Life = o.account, admin.Life(f.life)
		return answer(o, admin.CreatePassword, n, func(w io.Writer, p admin.Password) error {
			_, err := fmt.Fprintln(w, p.Password.Reveal())
			return err
		})
	}
	return c
}

func newTokenList() *cobra.Command {
	var q admin.PasswordsOf
	c := leaf(0, "list", "List registry passwords that have not ended, without the passwords", "berth token list --user ci")
	c.Flags().StringVar(&q.User, "user", "", "those of this user alone")
	c.Flags().StringVar(&q.Role, "role", "", "those of sessions of this role alone")
	c.Flags().StringVar(&q.KeyID, "key", "", "those that derive from this access key or robot key alone")
	c.MarkFlagsMutuallyExclusive("user", "role", "key")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		q.Account = o.account
		return answer(o, admin.ListPasswords, q, table("ID|HOLDER|KEY|ISSUED|ENDS|STATE|FROM|SCOPE", func(i admin.Issued) []string {
			return []string{
				i.ID, i.ARN, orDash(i.KeyID), when(i.IssuedAt, ""), when(i.ExpiresAt, ""), revoked(i.Revoked), orDash(i.SourceIP), orDash(scopeWords(i.Scope)),
			}
		}))
	}
	return c
}

func revoked(yes bool) string {
	if yes {
		return "revoked"
	}
	return "good"
}

func newTokenRevoke() *cobra.Command {
	var key, user, role string
	c := &cobra.Command{
		Use:   "revoke ID|--key ID|--user NAME|--role NAME",
		Short: "Have a registry password refused from the next request on, or all that derive from a key, a user or a role",
		Example: `  berth token revoke k9fHc1xq0Zr2mS4tVwYbNA
  berth token revoke --user ci`,
		Args: withUsage(cobra.MaximumNArgs(1)),
	}
	c.Flags().StringVar(&key, "key", "", "all that derive from this access key, and its temporary keys")
	c.Flags().StringVar(&user, "user", "", "all that derive from this user's credentials, and temporary keys")
	c.Flags().StringVar(&role, "role", "", "all of sessions of this role, and the sessions")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		given := append([]string{}, args...)
		for _, name := range []string{key, user, role} {
			if name != "" {
				given = append(given, name)
			}
		}
		switch {
		case len(given) != 1:
			return usageError{errors.New("which ones? Give the id of one, or --key, --user or --role")}
		case key != "":
			return tell(o, admin.RevokeKey, admin.ByID{ID: key}, "revoked what derives from %s", key)
		case user != "":
			return tell(o, admin.ChangeUser, admin.UserChange{Named: o.named(user), Revoke: true}, "revoked what derives from user %s", user)
		case role != "":
			return tell(o, admin.ChangeRole, admin.RoleChange{Named: o.named(role), Revoke: true}, "revoked the sessions of role %s", role)
		}
		return tell(o, admin.RevokePassword, admin.ByID{ID: args[0]}, "revoked %s", args[0])
	}
	return c
}
