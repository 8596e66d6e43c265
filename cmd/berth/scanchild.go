package main

import (
	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/registry/scan/inspect"
)

// newScanChild is what a server starts for each scan, with the image's layers as its input.
// It is no command for people.
func newScanChild() *cobra.Command {
	return &cobra.Command{
		Use:    "scan-child",
		Short:  "Look at one image for the server that starts this",
		Hidden: true,
		Args:   withUsage(cobra.NoArgs),
		RunE:   func(c *cobra.Command, _ []string) error { return inspect.Child(c.InOrStdin(), c.OutOrStdout()) },
	}
}
