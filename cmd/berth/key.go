package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newKey() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make, list and delete access keys",
		Long: `Make, list and delete access keys, beside a running server or while it is
stopped. Every key is its account's root's, and the way back from a lost one.`,
		Args: withUsage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newKeyCreate(), newKeyList(), newKeyDelete())
	return c
}

func newKeyCreate() *cobra.Command {
	var account string
	var asJSON bool
	c := &cobra.Command{
		Use:   "create",
		Short: "Make an access key and print it; its secret is shown this once",
		Args:  withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.Flags().StringVar(&account, "account", "", "account of the key, made to exist by it (default: the server's own)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withKeeper(c.Context(), src, func(k admin.Keeper, _ bool) error {
			key, err := k.CreateKey(c.Context(), account)
			if err != nil {
				return err
			}
			return printNewKey(c.OutOrStdout(), key, asJSON)
		})
	}
	return c
}

// newKeyJSON is what scripts read. The names are those of IAM's CreateAccessKey.
type newKeyJSON struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Account         string
}

func printNewKey(w io.Writer, k accounts.Key, asJSON bool) error {
	if asJSON {
		return printJSON(w, newKeyJSON{k.ID, k.Secret.Reveal(), k.Account})
	}
	_, err := fmt.Fprintf(w, "AccessKeyId      %s\nSecretAccessKey  %s\nAccount          %s\n", k.ID, k.Secret.Reveal(), k.Account)
	return err
}

func newKeyList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the access keys that the server made, without their secrets",
		Args:  withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withKeeper(c.Context(), src, func(k admin.Keeper, _ bool) error {
			all, err := k.Keys(c.Context())
			if err != nil {
				return err
			}
			return printKeys(c.OutOrStdout(), all, asJSON)
		})
	}
	return c
}

// keyJSON is a key in a list.
type keyJSON struct {
	AccessKeyID string `json:"AccessKeyId"`
	Account     string
	Description string
	CreatedAt   time.Time
	Active      bool
}

func printKeys(w io.Writer, all []accounts.Key, asJSON bool) error {
	if asJSON {
		list := make([]keyJSON, 0, len(all))
		for _, k := range all {
			list = append(list, keyJSON{k.ID, k.Account, k.Description, k.CreatedAt, k.Active})
		}
		return printJSON(w, list)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ACCESS KEY\tACCOUNT\tMADE\tSTATE\tDESCRIPTION")
	for _, k := range all {
		state := "active"
		if !k.Active {
			state = "inactive"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Account, k.CreatedAt.Format(time.RFC3339), state, k.Description)
	}
	return table.Flush()
}

func newKeyDelete() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete ACCESS-KEY-ID",
		Short: "Delete an access key, and end all that derives from it",
		Args:  withUsage(cobra.ExactArgs(1)),
	}
	src := addPlace(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return withKeeper(c.Context(), src, func(k admin.Keeper, _ bool) error {
			if err := k.DeleteKey(c.Context(), args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "deleted %s\n", args[0])
			return err
		})
	}
	return c
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
