package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newUser() *cobra.Command {
	return folder("user", "Make, change and delete users",
		`Make, change and delete users, beside a running server or while it is stopped.
A change is in force for the next request. A user may do nothing until a policy
allows it: attach one, put one of its own, or add the user to a group.`,
		append([]*cobra.Command{
			newUserCreate(), newUserList(), newUserShow(), newUserSet(), newUserDelete(),
			newUserAble("enable", "Let a user's credentials hold again", false),
			newUserAble("disable", "Refuse all credentials of a user, from the next request on", true),
			newUserPasswd(), newUserTag(), newUserUntag(), newUserRevoke(),
		}, newHoldings(accounts.HolderUser)...)...)
}

// userFlags are what a user is made with and may be given later.
type userFlags struct {
	boundary string
	life     time.Duration
}

func (f *userFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.boundary, "permissions-boundary", "", "ARN or name of a managed policy that bounds what others can allow")
	c.Flags().DurationVar(&f.life, "password-life", 0, "how long registry passwords hold (default: 12h)")
}

func newUserCreate() *cobra.Command {
	var f userFlags
	var path string
	var tags []string
	var ask, fromInput, withKey bool
	c := leaf(1, "create NAME", "Make a user", "berth user create ada --tag team=blue --with-key")
	c.Flags().StringVar(&path, "path", "", "path in its ARN, such as /teams/blue/ (default: /)")
	c.Flags().StringArrayVar(&tags, "tag", nil, "a tag as KEY=VALUE (repeatable)")
	f.add(c)
	c.Flags().BoolVar(&ask, "password", false, "ask on the terminal for a password, with which the user can log in")
	c.Flags().BoolVar(&fromInput, "password-stdin", false, "take that password from the standard input")
	c.Flags().BoolVar(&withKey, "with-key", false, "make an access key too, and print it; its secret is shown this once")
	o := atOffice(c, true)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		n := admin.NewUser{Named: o.named(args[0]), Path: path, PermissionsBoundary: f.boundary, PasswordLife: admin.Life(f.life)}
		if n.Tags, err = parseTags(tags); err != nil {
			return err
		}
		if ask || fromInput {
			password, err := readPassword(c, fromInput)
			if err != nil {
				return err
			}
			n.Password = admin.Show(password)
		}
		return createUser(o, n, withKey)
	}
	return c
}

// newUserJSON is a user with the key that was made with it.
type newUserJSON struct {
	admin.User
	AccessKey *newKeyJSON `json:",omitempty"`
}

func createUser(o *office, n admin.NewUser, withKey bool) error {
	u, err := ask(o, admin.CreateUser, n)
	if err != nil {
		return err
	}
	if !o.json {
		if err := o.say("created user %s (%s)", u.Name, u.ARN); err != nil || !withKey {
			return err
		}
	}
	made := newUserJSON{User: u}
	if withKey {
		key, err := ask(o, admin.CreateKey, admin.OfUser{Account: u.Account, User: u.Name})
		if err != nil || !o.json {
			return orPrintKey(o, key, err)
		}
		made.AccessKey = &newKeyJSON{key.ID, key.Secret.Reveal(), key.Account, key.User}
	}
	return printJSON(o.cmd.OutOrStdout(), made)
}

// orPrintKey prints a key that could be made.
func orPrintKey(o *office, key admin.Key, err error) error {
	if err != nil {
		return err
	}
	return printNewKey(o.cmd.OutOrStdout(), key, o.json)
}

func newUserList() *cobra.Command {
	c := leaf(0, "list", "List users", "berth user list --json")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ListUsers, admin.InAccount{Account: o.account}, table("USER|ARN|MADE|STATE|GROUPS", func(u admin.User) []string {
			return []string{u.Name, u.ARN, when(u.CreatedAt, "declared"), enabled(!u.Disabled), orDash(list(u.Groups))}
		}))
	}
	return c
}

func enabled(yes bool) string {
	if yes {
		return "enabled"
	}
	return "disabled"
}

func newUserShow() *cobra.Command {
	c := leaf(1, "show NAME", "Show a user with its policies", "berth user show ada")
	o := atOffice(c, true)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return answer(o, admin.ShowUser, o.named(args[0]), printUser)
	}
	return c
}

func printUser(w io.Writer, u admin.User) error {
	password := "none"
	if u.HasPassword {
		password = "set"
	}
	err := facts{
		{"user", u.Name}, {"id", u.ID}, {"ARN", u.ARN}, {"made", when(u.CreatedAt, "declared in the configuration")}, {"state", enabled(!u.Disabled)},
		{"groups", list(u.Groups)}, {"attached", list(u.AttachedPolicies)}, {"boundary", u.PermissionsBoundary}, {"tags", pairs(u.Tags)},
		{"password", password}, {"registry passwords hold", life(u.PasswordLife, "")},
	}.print(w)
	if err != nil {
		return err
	}
	return printDocuments(w, "inline policy ", u.InlinePolicies)
}

func newUserSet() *cobra.Command {
	var f userFlags
	c := leaf(1, "set NAME", "Change a user's permissions boundary or how long its registry passwords hold",
		"berth user set ada --password-life 1h --permissions-boundary ''")
	f.add(c)
	o := atOffice(c, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		return tell(o, admin.ChangeUser, admin.UserChange{
			Named: o.named(args[0]), PermissionsBoundary: given(c, "permissions-boundary", f.boundary), PasswordLife: given(c, "password-life", admin.Life(f.life)),
		}, "changed user %s", args[0])
	}
	return c
}

func newUserDelete() *cobra.Command {
	c := leaf(1, "delete NAME", "Delete a user with all of its keys, and end all that derives from them", "berth user delete ada")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.DeleteUser, o.named(args[0]), "deleted user %s", args[0])
	}
	return c
}

func newUserAble(use, short string, disabled bool) *cobra.Command {
	c := leaf(1, use+" NAME", short, "berth user "+use+" ada")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.ChangeUser, admin.UserChange{Named: o.named(args[0]), Disabled: &disabled}, "%sd user %s", use, args[0])
	}
	return c
}

func newUserPasswd() *cobra.Command {
	var fromInput, none, hash bool
	c := leaf(1, "passwd NAME", "Give a user another password, or take it away; what derives from the old one ends",
		"pass show berth/ada | berth user passwd ada --password-stdin")
	c.Flags().BoolVar(&fromInput, "password-stdin", false, "take the password from the standard input, not from the terminal")
	c.Flags().BoolVar(&none, "none", false, "take the password away: the user keeps its keys")
	c.Flags().BoolVar(&hash, "hash", false, "change nothing, and print what stands for the password in a file of identities")
	o := atOffice(c, false)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		var password accounts.Secret
		if !none {
			if password, err = readPassword(c, fromInput); err != nil {
				return err
			}
		}
		if hash {
			text, err := accounts.HashPassword(password)
			if err != nil {
				return err
			}
			return o.say("%s", text)
		}
		shown := admin.Show(password)
		return tell(o, admin.ChangeUser, admin.UserChange{Named: o.named(args[0]), Password: &shown}, "changed the password of user %s", args[0])
	}
	return c
}

func newUserTag() *cobra.Command {
	c := leaf(0, "tag NAME KEY=VALUE...", "Give a user tags, which policies know as aws:PrincipalTag/KEY", "berth user tag ada team=blue")
	c.Args = withUsage(cobra.MinimumNArgs(2))
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		tags, err := parseTags(args[1:])
		if err != nil {
			return err
		}
		return tell(o, admin.ChangeUser, admin.UserChange{Named: o.named(args[0]), Tags: tags}, "tagged user %s", args[0])
	}
	return c
}

func newUserUntag() *cobra.Command {
	c := leaf(0, "untag NAME KEY...", "Take tags from a user", "berth user untag ada team")
	c.Args = withUsage(cobra.MinimumNArgs(2))
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.ChangeUser, admin.UserChange{Named: o.named(args[0]), Untag: args[1:]}, "untagged user %s", args[0])
	}
	return c
}

func newUserRevoke() *cobra.Command {
	c := leaf(1, "revoke NAME", "End all registry passwords and temporary keys that derive from a user's credentials, now; the keys themselves stay",
		"berth user revoke ada")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.ChangeUser, admin.UserChange{Named: o.named(args[0]), Revoke: true}, "revoked what derives from user %s", args[0])
	}
	return c
}
