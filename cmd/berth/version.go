package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
)

func newVersion() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  withUsage(cobra.NoArgs),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		v := versionJSON{thisVersion(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, datadir.Format}
		if asJSON {
			return printJSON(c.OutOrStdout(), v)
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "berth %s (%s, %s, data format %d)\n", v.Version, v.Go, v.Platform, v.DataFormat)
		return err
	}
	return c
}

type versionJSON struct {
	Version    string `json:"version"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	DataFormat int    `json:"dataFormat"` // newest that this version opens
}
