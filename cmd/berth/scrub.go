package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newScrub() *cobra.Command {
	return folder("scrub", "Hash all that is stored, or say what was found damaged",
		`Hash all that is stored, or say what was found damaged, beside a running server or
while it is stopped. A server does so by itself every scrub-interval. Nobody gets what
is damaged: it is healed by whoever pushes it again.`,
		newScrubStatus(), newScrubRun())
}

func newScrubStatus() *cobra.Command {
	var asJSON bool
	c := leaf(0, "status", "Say how far the scrub is, and what is damaged", "berth scrub status --json")
	src := addPlace(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withKeeper(c.Context(), src, func(k admin.Keeper, _ bool) error {
			st, err := admin.ShowScrub.Ask(c.Context(), k, admin.None{})
			if err != nil {
				return err
			}
			return printScrub(c.OutOrStdout(), st, asJSON)
		})
	}
	return c
}

func newScrubRun() *cobra.Command {
	var asJSON bool
	var q admin.ScrubRate
	c := leaf(0, "run", "Hash all that is stored now and say what is damaged", "berth scrub run --rate 100000000")
	c.Long = `Hash all that is stored now, from the beginning, and say what is damaged. How far it is
goes to the standard error. Broken off, it is gone on with by the server. The exit code
is 3 if anything is damaged.`
	src := addPlace(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, and not how far it is")
	c.Flags().Int64Var(&q.Bytes, "rate", 0, "bytes to read in a second (default: as many as it can)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if q.Bytes < 0 {
			return usageError{errors.New("--rate: none a second would never end")}
		}
		return withKeeper(c.Context(), src, func(k admin.Keeper, _ bool) error {
			progress := c.ErrOrStderr()
			if asJSON {
				progress = io.Discard
			}
			st, err := runScrub(c.Context(), k, q, progress)
			if err == nil {
				err = printScrub(c.OutOrStdout(), st, asJSON)
			}
			if err == nil && len(st.Damaged) > 0 {
				err = damagedError{fmt.Errorf("%d damaged: push again what is, to heal it", len(st.Damaged))}
			}
			return err
		})
	}
	return c
}

// runScrub runs a scrub and tells meanwhile how far it is.
func runScrub(ctx context.Context, k admin.Keeper, q admin.ScrubRate, progress io.Writer) (admin.ScrubState, error) {
	watch, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() {
		for {
			select {
			case <-watch.Done():
				return
			case <-time.After(gcPause):
			}
			if st, err := admin.ShowScrub.Ask(watch, k, admin.None{}); err == nil {
				_, _ = fmt.Fprintf(progress, "about %.0f %%: %d bytes in %s\n", 100*st.Done, st.Bytes, counted(int(st.Layers), "layer"))
			}
		}
	})
	return admin.RunScrub.Ask(ctx, k, q)
}

func printScrub(w io.Writer, st admin.ScrubState, asJSON bool) error {
	if asJSON {
		return printJSON(w, st)
	}
	if _, err := fmt.Fprintln(w, scrubWords(st)); err != nil {
		return err
	}
	for _, d := range st.Damaged {
		which := d.Digest
		if d.What == "manifest" {
			which = fmt.Sprintf("%s/%s/%s@%s", d.Account, d.Region, d.Repository, d.Digest)
		}
		if _, err := fmt.Fprintf(w, "damaged %s %s, since %s: %s\n", d.What, which, when(d.At, "-"), d.Found); err != nil {
			return err
		}
		if d.Blob == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "  its bytes are the blob %s, of %d bytes if it were whole\n", d.Blob, d.Size); err != nil {
			return err
		}
	}
	if len(st.Damaged) == 0 {
		_, err := fmt.Fprintln(w, "nothing is known to be damaged")
		return err
	}
	return nil
}

func scrubWords(st admin.ScrubState) string {
	looked := fmt.Sprintf("%s, %s, %d bytes", counted(int(st.Layers), "layer"), counted(int(st.Manifests), "manifest"), st.Bytes)
	switch {
	case st.Started.IsZero():
		return "no scrub has begun yet"
	case st.Ended.IsZero():
		return fmt.Sprintf("a scrub is about %.0f %% done: begun %s, %s", 100*st.Done, when(st.Started, "-"), looked)
	}
	return fmt.Sprintf("the last scrub ended %s, in %v: %s", when(st.Ended, "-"), st.Ended.Sub(st.Started).Round(time.Millisecond), looked)
}
