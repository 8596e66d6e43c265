package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// newHoldings are the commands that give policies to users, groups or roles and take
// them away.
func newHoldings(kind accounts.HolderKind) []*cobra.Command {
	return []*cobra.Command{
		newHolding(kind, admin.AttachPolicy, "attach", "attached", "Attach a managed policy to a "+string(kind), "AmazonEC2ContainerRegistryReadOnly"),
		newHolding(kind, admin.DetachPolicy, "detach", "detached", "Detach a managed policy from a "+string(kind), "AmazonEC2ContainerRegistryReadOnly"),
		newPutPolicy(kind),
		newHolding(kind, admin.DeleteInline, "delete-policy", "deleted", "Take a policy of its own from a "+string(kind), "push-apps"),
	}
}

func newHolding(kind accounts.HolderKind, call admin.Call[admin.Given, admin.None], use, done, short, example string) *cobra.Command {
	policy := "POLICY-ARN-OR-NAME"
	if use == "delete-policy" {
		policy = "POLICY"
	}
	c := leaf(2, use+" NAME "+policy, short, fmt.Sprintf("berth %s %s builders %s", kind, use, example))
	o := atOffice(c, false)
	c.RunE = func(_ *cobra.Command, args []string) error {
		return tell(o, call, admin.Given{Named: o.named(args[0]), Kind: kind, Policy: args[1]}, "%s %s: %s %s", kind, args[0], done, args[1])
	}
	return c
}

func newPutPolicy(kind accounts.HolderKind) *cobra.Command {
	c := leaf(3, "put-policy NAME POLICY FILE", "Give a "+string(kind)+" a policy of its own, from a file or with - from the standard input",
		fmt.Sprintf("berth %s put-policy builders push-apps push-apps.json", kind))
	o := atOffice(c, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		text, err := readPolicy(c.InOrStdin(), args[2])
		if err != nil {
			return err
		}
		return tell(o, admin.PutInline, admin.Given{Named: o.named(args[0]), Kind: kind, Policy: args[1], Text: text}, "%s %s: put %s", kind, args[0], args[1])
	}
	return c
}
