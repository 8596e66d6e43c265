package config

import "time"

// Scanning says how images are looked at for known vulnerabilities.
type Scanning struct {
	Database     ScanDatabase  `key:"database"`
	Workers      int           `key:"workers" default:"0" zero:"yes" restart:"yes" help:"images that are scanned at the same time; 0 for one for two processors, and at least one"`
	RescanWindow time.Duration `key:"rescan-window" default:"336h" zero:"yes" help:"how long after its push, or its return from the archive or the trash, an image is scanned again beside enhanced scans; 0s for ever"`
	Timeout      time.Duration `key:"timeout" default:"5m" restart:"yes" help:"how long the scan of an image may take"`
	Limits       ScanLimits    `key:"limits"`
}

// ScanLimits bound what the scan of one image may take.
type ScanLimits struct {
	Unpacked Size          `key:"unpacked" default:"8GiB" restart:"yes" help:"bytes of an image's layers, and of archives in them, unpacked"`
	Kept     Size          `key:"kept" default:"2GiB" restart:"yes" help:"bytes of an image's files that tell of packages"`
	File     Size          `key:"file" default:"512MiB" restart:"yes" help:"bytes of one such file"`
	Entries  int           `key:"entries" default:"1000000" restart:"yes" help:"entries of an image's layers"`
	Window   Size          `key:"zstd-window" default:"8MiB" restart:"yes" help:"how far a layer packed by zstd may refer back"`
	Nested   int           `key:"nested" default:"2" restart:"yes" help:"how deep archives within archives are looked into"`
	Memory   Size          `key:"memory" default:"1GiB" restart:"yes" help:"memory of a scan"`
	CPU      time.Duration `key:"cpu" default:"5m" restart:"yes" help:"processor time of a scan"`
	Answer   Size          `key:"answer" default:"128MiB" restart:"yes" help:"bytes of what a scan finds"`
}
