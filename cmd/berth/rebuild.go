package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/server"
)

func newRebuild() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Make a bad index anew from its journal, while no server runs",
		Long: `Make the index of a data folder anew from its journal, while no server runs: all
repositories, settings, policies, tags, times and identities, up to the last update
that the journal has, which is about a second before a crash and none before an
orderly stop. The bad index is kept beside it, as index.damaged-TIME. An index that
is sound is left alone.`,
		Args: withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.Flags().BoolVar(&force, "force", false, "make a sound index anew too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config.Load(src)
		if err != nil {
			return err
		}
		r, err := server.Rebuild(c.Context(), cfg, force)
		if err != nil {
			return err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "what was wrong: %s\n%s\n", r.Why, r)
		for _, cut := range r.Cut {
			fmt.Fprintf(&b, "left out of the journal: %s\n", cut)
		}
		_, err = fmt.Fprint(c.OutOrStdout(), b.String())
		return err
	}
	return c
}

// journalWords say how far a journal is behind.
func journalWords(x admin.Index) string {
	const mib = 1 << 20
	text := fmt.Sprintf("all %d updates, in %.1f MiB", x.Updates, float64(x.SnapshotBytes+x.RecordBytes)/mib)
	if x.Safe < x.Updates {
		text = fmt.Sprintf("%d of %d updates", x.Safe, x.Updates)
		if !x.BehindSince.IsZero() {
			text += fmt.Sprintf(", behind since %s", x.BehindSince.Format("2006-01-02T15:04:05.000Z07:00"))
		}
	}
	if x.Incomplete {
		text += "; a new snapshot is needed"
	}
	if x.Snapshotting {
		text += "; a snapshot is being written"
	}
	return text
}
