package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func newScanQueue() *cobra.Command {
	c := leaf(0, "queue", "List the scans that wait, and those that failed last", "berth scan queue --json")
	c.Long = `List the scans of images that wait or are under way, in the order in which they are begun,
and the last ones that came to nothing, of all registries of the server.`
	o := atOffice(c, true)
	c.RunE = func(*cobra.Command, []string) error {
		return answer(o, admin.ListScans, admin.None{}, printScanQueue)
	}
	return c
}

func printScanQueue(w io.Writer, q admin.ScanQueue) error {
	if _, err := fmt.Fprintf(w, "%s wait\n", counted(q.Total, "scan")); err != nil {
		return err
	}
	if len(q.Waiting) > 0 {
		err := table("IMAGE|REGISTRY|TYPE|SINCE|ATTEMPTS|STATE", func(s admin.WaitingScan) []string {
			return append(scanColumns(s.ScannedImage), when(s.Requested, "-"), fmt.Sprint(s.Attempts), scanState(s))
		})(w, q.Waiting)
		if err != nil {
			return err
		}
	}
	if len(q.Failed) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return table("IMAGE|REGISTRY|TYPE|FAILED|STATUS|WHY", func(s admin.FailedScan) []string {
		return append(scanColumns(s.ScannedImage), when(s.At, "-"), s.Status, s.Reason)
	})(w, q.Failed)
}

func scanColumns(of admin.ScannedImage) []string {
	return []string{of.Repository + "@" + shortDigest(of.Digest), of.Account + "/" + of.Region, of.Type}
}

func scanState(s admin.WaitingScan) string {
	switch {
	case s.Running:
		return "under way"
	case s.Attempts > 0:
		return "tried again at " + when(s.Due, "-")
	case s.Rematch:
		return "to be matched again"
	}
	return "waits"
}
