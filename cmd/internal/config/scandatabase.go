package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ScanDatabase says where the records of vulnerabilities come from.
type ScanDatabase struct {
	Directory  string        `key:"directory" default:"" help:"folder with zips of records in OSV's form, <Ecosystem>/all.zip, which somebody else keeps current; none means none"`
	URL        string        `key:"url" default:"" help:"address that has such zips, reached as egress allows; none means that nothing is fetched"`
	Ecosystems []string      `key:"ecosystems" help:"ecosystems that are taken, such as Debian and npm; none listed means all that the directory has, and from an address those of images"`
	Interval   time.Duration `key:"interval" default:"24h" help:"time between two looks for newer records"`
	MaxAge     time.Duration `key:"max-age" default:"720h" zero:"yes" help:"how long ago the records may have been fetched, or the oldest zip written, for scans to count; 0s means for ever"`
}

func checkScanDatabase(c *Config) error {
	d := c.Scanning.Database
	if d.Directory != "" && d.URL != "" {
		return errors.New("one of directory and url is asked for")
	}
	if err := checkURL(d.URL); d.URL != "" && err != nil {
		return err
	}
	for i, e := range d.Ecosystems {
		if e == "" || strings.HasPrefix(e, ".") || strings.ContainsAny(e, `/\:`) || strings.ContainsFunc(e, func(r rune) bool { return r < ' ' }) {
			return fmt.Errorf("ecosystems[%d]: %.80q is no ecosystem such as Debian or npm", i, e)
		}
		if slices.Contains(d.Ecosystems[:i], e) {
			return fmt.Errorf("ecosystems[%d]: %.80q is listed twice", i, e)
		}
	}
	return nil
}
