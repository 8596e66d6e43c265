package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newFsck() *cobra.Command {
	var asJSON bool
	var q admin.FaultQuestion
	c := &cobra.Command{
		Use:   "fsck",
		Short: "Check that all that is stored agrees with the rest",
		Long: `Check that all that is stored agrees with the rest, beside a running server or while it
is stopped: the index with its journal, its rows with each other, layers with their
files both ways, and all bytes with their digests. Nothing is changed. The exit code
is 1 if there is a fault.`,
		Example: "  berth fsck --quick",
		Args:    withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.Flags().BoolVar(&q.Quick, "quick", false, "hash nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withKeeper(c.Context(), src, func(k admin.Keeper, _ bool) error {
			found, err := admin.ShowFaults.Ask(c.Context(), k, q)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), found)
			} else {
				err = printFaults(c.OutOrStdout(), found)
			}
			if err == nil && found.Total > 0 {
				err = errors.New(counted(found.Total, "fault"))
			}
			return err
		})
	}
	return c
}

// advice says what to do about a kind of fault; about others it is adviceElse.
var advice = map[string]string{
	"missing":   "push the image again, or put the file back from a backup",
	"size":      "push the image again, or put the file back from a backup",
	"digest":    "push the image again, or put the file back from a backup",
	"damage":    "push the image again, or put the file back from a backup and call berth scrub run",
	"stray":     "berth gc run deletes it",
	"row":       "stop the server and call berth rebuild --force",
	"journal":   "restart the server, which begins a new snapshot; if the index is the one that is wrong, call berth rebuild --force",
	"lifecycle": "put the lifecycle policy again",
	"setting":   "set it again",
}

const adviceElse = "stop the server, keep a copy of the data folder, and call berth rebuild --force; report it if it comes back"

func printFaults(w io.Writer, found admin.Faults) error {
	told := map[string]bool{}
	for _, f := range found.Faults {
		if _, err := fmt.Fprintf(w, "%s: %s: %s\n", f.Kind, f.Row, f.Text); err != nil {
			return err
		}
		told[f.Kind] = true
	}
	if len(found.Faults) < found.Total {
		if _, err := fmt.Fprintf(w, "and %d more\n", found.Total-len(found.Faults)); err != nil {
			return err
		}
	}
	for _, f := range found.Faults {
		if !told[f.Kind] {
			continue
		}
		told[f.Kind] = false
		text, ok := advice[f.Kind]
		if !ok {
			text = adviceElse
		}
		if _, err := fmt.Fprintf(w, "what to do about %s: %s\n", f.Kind, text); err != nil {
			return err
		}
	}
	if found.Total == 0 {
		_, err := fmt.Fprintln(w, "no fault was found")
		return err
	}
	return nil
}
