package server

import (
	"path/filepath"

	"github.com/seed-78150930/berth/auth/audit"
)

// noAudit is the value of the setting audit.file for a server that records nothing.
const noAudit = "off"

// openAudit opens the trail that the configuration asks for. It is nil where there is
// none to be: also, if none is named, for a server that keeps nothing.
func (s *Server) openAudit() (*audit.Trail, error) {
	c := s.options.Config
	file := c.Audit.File
	switch {
	case file == noAudit, file == "" && s.keeper.store.dir == nil:
		return nil, nil
	case file == "":
		file = filepath.Join(s.keeper.store.dir.Path(), "audit", "audit.jsonl")
	}
	return audit.Open(audit.Options{
		File: file, Key: s.keeper.store.key.Derive("audit"), MaxSize: int64(c.Audit.MaxSize), MaxAge: c.Audit.MaxAge, Keep: c.Audit.Keep,
		Required: c.Audit.Required, Account: c.Account, Region: c.Region, Log: s.log,
	})
}
