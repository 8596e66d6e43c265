package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newGroup() *cobra.Command {
	return folder("group", "Make, change and delete groups of users",
		`Make, change and delete groups of users, beside a running server or while it is
stopped. Whoever is in a group has its policies, beside others.`,
		append([]*cobra.Command{
			newGroupCreate(), newGroupList(), newGroupShow(), newGroupDelete(),
			newGroupMember("add", "added user %[2]s to group %[1]s", "Add a user to a group", func(c *admin.UserChange, group string) { c.Join = group }),
			newGroupMember("remove", "removed user %[2]s from group %[1]s", "Remove a user from a group", func(c *admin.UserChange, group string) { c.Leave = group }),
		}, newHoldings(accounts.HolderGroup)...)...)
}

func newGroupCreate() *cobra.Command {
	var path string
	c := leaf(1, "create NAME", "Make a group", "berth group create builders")
	c.Flags().StringVar(&path, "path", "", "path in its ARN, such as /teams/ (default: /)")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		n := admin.NewGroup{Named: o.named(c.Flags().Arg(0)), Path: path}
		return answer(o, admin.CreateGroup, n, func(_ io.Writer, g admin.Group) error { return o.say("created group %s (%s)", g.Name, g.ARN) })
	}
	return c
}

func newGroupList() *cobra.Command {
	c := leaf(0, "list", "List groups", "berth group list")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ListGroups, admin.InAccount{Account: o.account}, table("GROUP|ARN|MADE|USERS", func(g admin.Group) []string {
			return []string{g.Name, g.ARN, when(g.CreatedAt, "declared"), orDash(list(g.Users))}
		}))
	}
	return c
}

func newGroupShow() *cobra.Command {
	c := leaf(1, "show NAME", "Show a group with its users and policies", "berth group show builders")
	o := atOffice(c, true)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return answer(o, admin.ShowGroup, o.named(args[0]), printGroup)
	}
	return c
}

func printGroup(w io.Writer, g admin.Group) error {
	err := facts{
		{"group", g.Name}, {"id", g.ID}, {"ARN", g.ARN}, {"made", when(g.CreatedAt, "declared in the configuration")},
		{"users", list(g.Users)}, {"attached", list(g.AttachedPolicies)},
	}.print(w)
	if err != nil {
		return err
	}
	return printDocuments(w, "inline policy ", g.InlinePolicies)
}

func newGroupDelete() *cobra.Command {
	c := leaf(1, "delete NAME", "Delete a group that no user is in", "berth group delete builders")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.DeleteGroup, o.named(args[0]), "deleted group %s", args[0])
	}
	return c
}

func newGroupMember(use, done, short string, change func(c *admin.UserChange, group string)) *cobra.Command {
	c := leaf(2, use+" GROUP USER", short, "berth group "+use+" builders ada")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		q := admin.UserChange{Named: o.named(args[1])}
		change(&q, args[0])
		return tell(o, admin.ChangeUser, q, done, args[0], args[1])
	}
	return c
}
