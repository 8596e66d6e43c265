package server

import (
	"context"
	"log/slog"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/storage/journal"
)

// OpenIndex opens the index of a folder, with its journal, that is sound.
func OpenIndex(dir *datadir.Dir) (*journal.Index, error) {
	x, _, err := OpenOrRebuild(dir, config.RebuildOff)
	return x, err
}

// OpenOrRebuild opens the index of a folder as a server does with the setting.
func OpenOrRebuild(dir *datadir.Dir, setting string) (*journal.Index, *Rebuilt, error) {
	x, r, err := openOrRebuild(context.Background(), dir, opening{rebuild: setting}, seams{}, slog.New(slog.DiscardHandler))
	return x.Index, r, err
}
