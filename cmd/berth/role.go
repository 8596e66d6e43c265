package main

import (
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newRole() *cobra.Command {
	return folder("role", "Make, change and delete roles",
		`Make, change and delete roles, beside a running server or while it is stopped. A
role is what those whom its trust policy names may act as, by AssumeRole or
AssumeRoleWithWebIdentity.`,
		append([]*cobra.Command{
			newRoleCreate(), newRoleList(), newRoleShow(), newRoleSet(), newRoleTrust(), newRoleDelete(), newRoleRevoke(),
		}, newHoldings(accounts.HolderRole)...)...)
}

// roleFlags are what a role is made with and may be given later.
type roleFlags struct {
	userFlags
	maxSession time.Duration
	tags       []string
}

func (f *roleFlags) add(c *cobra.Command) {
	c.Flags().DurationVar(&f.maxSession, "max-session", time.Hour, "how long a session of the role may last at most, from 1h to 12h")
	c.Flags().StringArrayVar(&f.tags, "tag", nil, "a tag as KEY=VALUE (repeatable)")
	f.userFlags.add(c)
}

func newRoleCreate() *cobra.Command {
	var f roleFlags
	var path, trust string
	c := leaf(1, "create NAME --trust FILE", "Make a role that a trust policy lets others assume", "berth role create ci --trust trust.json --max-session 4h")
	c.Flags().StringVar(&trust, "trust", "", "file with the trust policy; - is the standard input")
	c.Flags().StringVar(&path, "path", "", "path in its ARN, such as /ci/ (default: /)")
	f.add(c)
	o := atOffice(c, true)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		n := admin.NewRole{
			Named: o.named(args[0]), Path: path, MaxSession: admin.Life(f.maxSession),
			PermissionsBoundary: f.boundary, PasswordLife: admin.Life(f.life),
		}
		if n.Tags, err = parseTags(f.tags); err != nil {
			return err
		}
		if trust == "" {
			return usageError{errors.New("--trust: which file says who may assume the role?")}
		}
		if n.Trust, err = readPolicy(c.InOrStdin(), trust); err != nil {
			return err
		}
		return answer(o, admin.CreateRole, n, func(_ io.Writer, r admin.Role) error { return o.say("created role %s (%s)", r.Name, r.ARN) })
	}
	return c
}

func newRoleList() *cobra.Command {
	c := leaf(0, "list", "List roles", "berth role list")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ListRoles, admin.InAccount{Account: o.account}, table("ROLE|ARN|MADE|MAX SESSION", func(r admin.Role) []string {
			return []string{r.Name, r.ARN, when(r.CreatedAt, "declared"), r.MaxSession.String()}
		}))
	}
	return c
}

func newRoleShow() *cobra.Command {
	c := leaf(1, "show NAME", "Show a role with its policies", "berth role show ci")
	o := atOffice(c, true)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return answer(o, admin.ShowRole, o.named(args[0]), printRole)
	}
	return c
}

func printRole(w io.Writer, r admin.Role) error {
	err := facts{
		{"role", r.Name}, {"id", r.ID}, {"ARN", r.ARN}, {"made", when(r.CreatedAt, "declared in the configuration")}, {"max session", r.MaxSession.String()},
		{"attached", list(r.AttachedPolicies)}, {"boundary", r.PermissionsBoundary}, {"tags", pairs(r.Tags)},
		{"registry passwords hold", life(r.PasswordLife, "")},
	}.print(w)
	if err != nil {
		return err
	}
	if err := printDocuments(w, "", map[string]string{"trust policy": r.TrustPolicy}); err != nil {
		return err
	}
	return printDocuments(w, "inline policy ", r.InlinePolicies)
}

func newRoleSet() *cobra.Command {
	var f roleFlags
	var untag []string
	c := leaf(1, "set NAME", "Change a role: how long its sessions last, its permissions boundary, its tags", "berth role set ci --max-session 2h --tag team=blue")
	f.add(c)
	c.Flags().StringArrayVar(&untag, "untag", nil, "key of a tag to take away (repeatable)")
	o := atOffice(c, false)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		q := admin.RoleChange{
			Named: o.named(args[0]), MaxSession: given(c, "max-session", admin.Life(f.maxSession)), Untag: untag,
			PermissionsBoundary: given(c, "permissions-boundary", f.boundary), PasswordLife: given(c, "password-life", admin.Life(f.life)),
		}
		if q.Tags, err = parseTags(f.tags); err != nil {
			return err
		}
		return tell(o, admin.ChangeRole, q, "changed role %s", args[0])
	}
	return c
}

func newRoleTrust() *cobra.Command {
	c := leaf(2, "trust NAME FILE", "Give a role another trust policy, from a file or with - from the standard input", "berth role trust ci trust.json")
	o := atOffice(c, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		text, err := readPolicy(c.InOrStdin(), args[1])
		if err != nil {
			return err
		}
		return tell(o, admin.ChangeRole, admin.RoleChange{Named: o.named(args[0]), Trust: &text}, "changed the trust policy of role %s", args[0])
	}
	return c
}

func newRoleDelete() *cobra.Command {
	c := leaf(1, "delete NAME", "Delete a role; its sessions end", "berth role delete ci")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.DeleteRole, o.named(args[0]), "deleted role %s", args[0])
	}
	return c
}

func newRoleRevoke() *cobra.Command {
	c := leaf(1, "revoke NAME", "End all sessions of a role and what derives from them, now", "berth role revoke ci")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.ChangeRole, admin.RoleChange{Named: o.named(args[0]), Revoke: true}, "revoked the sessions of role %s", args[0])
	}
	return c
}
