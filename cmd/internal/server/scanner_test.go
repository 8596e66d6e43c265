package server

import (
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry/scan/inspect"
)

// What people are told of the limits is what the scanner has them be.
func TestScanLimitsAreTheScanners(t *testing.T) {
	c, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if got := scanLimits(c.Scanning.Limits); got != inspect.Defaults() {
		t.Errorf("the limits of the configuration are %+v, the scanner's %+v", got, inspect.Defaults())
	}
}
