package server

import (
	"os"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry/scan/inspect"
)

// openScanner makes the scanner of images, which keeps what it unpacks in the data folder's
// tmp. database opens the vulnerability database for one scan.
func (s *Server) openScanner(database func() (*os.File, error)) (*inspect.Scanner, error) {
	c := s.options.Config.Scanning
	return inspect.New(inspect.Options{
		Database: database, Spool: s.keeper.store.spool, Limits: scanLimits(c.Limits), Timeout: c.Timeout, Log: s.log,
	})
}

func scanLimits(l config.ScanLimits) inspect.Limits {
	return inspect.Limits{
		Unpacked: int64(l.Unpacked), Kept: int64(l.Kept), File: int64(l.File), Entries: l.Entries, Window: int64(l.Window),
		Nested: l.Nested, Memory: int64(l.Memory), CPU: l.CPU, Answer: int64(l.Answer),
	}
}
