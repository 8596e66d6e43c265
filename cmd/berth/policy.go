package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newPolicy() *cobra.Command {
	return folder("policy", "Make, change and delete managed policies, and check policies",
		`Make, change and delete managed policies, beside a running server or while it is
stopped. A managed policy has a name of its own and is attached to users, groups and
roles; four of Amazon's that users of ECR know are built in.`,
		newPolicyCreate(), newPolicyList(), newPolicyShow(), newPolicyUpdate(), newPolicyDelete(), newPolicyCheck())
}

func newPolicyCreate() *cobra.Command {
	var path, description string
	c := leaf(2, "create NAME FILE", "Make a managed policy, from a file or with - from the standard input", "berth policy create push-apps push-apps.json")
	c.Flags().StringVar(&path, "path", "", "path in its ARN, such as /apps/ (default: /)")
	c.Flags().StringVar(&description, "description", "", "what it is for")
	o := atOffice(c, true)
	c.RunE = func(c *cobra.Command, args []string) error {
		text, err := readPolicy(c.InOrStdin(), args[1])
		if err != nil {
			return err
		}
		n := admin.NewPolicy{Named: o.named(args[0]), Path: path, Description: description, Text: text}
		return answer(o, admin.CreatePolicy, n, func(_ io.Writer, p admin.Policy) error { return o.say("created policy %s (%s)", p.Name, p.ARN) })
	}
	return c
}

func newPolicyList() *cobra.Command {
	c := leaf(0, "list", "List managed policies, those that are built in too", "berth policy list")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ListPolicies, admin.InAccount{Account: o.account}, table("POLICY|ARN|CHANGED|DESCRIPTION", func(p admin.Policy) []string {
			none := "declared"
			if p.BuiltIn {
				none = "built in"
			}
			return []string{p.Name, p.ARN, when(p.UpdatedAt, none), p.Description}
		}))
	}
	return c
}

func newPolicyShow() *cobra.Command {
	c := leaf(1, "show NAME-OR-ARN", "Print a managed policy's text", "berth policy show AmazonEC2ContainerRegistryPowerUser")
	o := atOffice(c, true)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return answer(o, admin.ShowPolicy, o.named(args[0]), func(w io.Writer, p admin.Policy) error {
			_, err := fmt.Fprintln(w, strings.TrimSpace(p.Text))
			return err
		})
	}
	return c
}

func newPolicyUpdate() *cobra.Command {
	c := leaf(2, "update NAME FILE", "Give a managed policy another text, in force for the next request", "berth policy update push-apps push-apps.json")
	o := atOffice(c, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		text, err := readPolicy(c.InOrStdin(), args[1])
		if err != nil {
			return err
		}
		return tell(o, admin.UpdatePolicy, admin.NewPolicy{Named: o.named(args[0]), Text: text}, "updated policy %s", args[0])
	}
	return c
}

func newPolicyDelete() *cobra.Command {
	c := leaf(1, "delete NAME", "Delete a managed policy that nobody has", "berth policy delete push-apps")
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, admin.DeletePolicy, o.named(args[0]), "deleted policy %s", args[0])
	}
	return c
}
