package server

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
)

// noAudit is the value of the setting audit.file for a server that records nothing.
const noAudit = "off"

// AuditFile is the file of the trail that a configuration asks for, "" where there
// is none to be: also, if none is named, for a server that keeps nothing.
func AuditFile(c *config.Config) string {
	switch file := c.Audit.File; {
	case file == noAudit, file == "" && c.InMemory():
		return ""
	case file != "":
		return file
	}
	return filepath.Join(c.Data, "audit", "audit.jsonl")
}

// AuditKey is the key that seals the records of a server with a master key.
func AuditKey(k datadir.Key) []byte { return k.Derive("audit") }

// openAudit opens the trail that the configuration asks for, nil if it asks for none.
func (s *Server) openAudit() (*audit.Trail, error) {
	c := s.options.Config
	file := AuditFile(c)
	if file == "" {
		return nil, nil
	}
	return audit.Open(audit.Options{
		File: file, Key: AuditKey(s.keeper.store.key), MaxSize: int64(c.Audit.MaxSize), MaxAge: c.Audit.MaxAge, Keep: c.Audit.Keep,
		Required: c.Audit.Required, Account: c.Account, Region: c.Region, Log: s.log,
	})
}

// ready says why requests would be refused, or fail.
func (s *Server) ready(ctx context.Context) error {
	return cmp.Or(s.storeFault(), s.registry.Ready(ctx), s.audit.Ready())
}
