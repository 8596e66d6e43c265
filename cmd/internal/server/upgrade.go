package server

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/registry"
)

// upgrade brings a folder of an older format into today's. The folder says so last: if
// the process dies before, the next one goes on where this one was. It is not to be
// broken off, since nothing works before it is done, and dying is how to.
func (s *store) upgrade(log *slog.Logger) error {
	from := s.dir.Format()
	if from == datadir.Format {
		return nil
	}
	log.Info("the data folder is of an older format and is brought into today's; older programs will refuse it",
		"folder", s.dir.Path(), "from", from, "to", datadir.Format)
	if err := registry.Upgrade(context.Background(), s.index, s.blobs, log); err != nil {
		return fmt.Errorf("upgrade data folder %s from format %d: %w", s.dir.Path(), from, err)
	}
	return s.dir.NoteUpgrade()
}
