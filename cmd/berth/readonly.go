package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newReadOnly() *cobra.Command {
	return folder("readonly", "Have the running server take no writes, or take them again",
		`Have the running server take no writes, or take them again. Pulls and log-ins go on. The
order ends with the process; the setting read-only is there from the start. SIGUSR1
gives the order and, the next time, ends it.`,
		newReadOnlyOrder("on", "Take no writes", true), newReadOnlyOrder("off", "Take writes again", false), newReadOnlyStatus())
}

func newReadOnlyOrder(use, short string, on bool) *cobra.Command {
	c := leaf(0, use, short, "berth readonly "+use)
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.SetReadOnly, admin.ReadOnly{On: on}, printWriteState)
	}
	return c
}

func newReadOnlyStatus() *cobra.Command {
	c := leaf(0, "status", "Say whether writes are taken and, if not, why", "berth readonly status")
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ShowReadOnly, admin.None{}, printWriteState)
	}
	return c
}

func printWriteState(w io.Writer, s admin.WriteState) error {
	if len(s.Refused) == 0 {
		_, err := fmt.Fprintln(w, "writes are taken")
		return err
	}
	for _, r := range s.Refused {
		if _, err := fmt.Fprintf(w, "no writes since %s (%s): %s\n", r.Since.Format(time.RFC3339), r.Reason, r.Why); err != nil {
			return err
		}
	}
	return nil
}
