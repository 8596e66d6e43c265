package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/volume"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/fsblob"
	"github.com/seed-78150930/berth/storage/gate"
	"github.com/seed-78150930/berth/storage/memory"
)

// store is where a server has what it keeps.
type store struct {
	dir   *datadir.Dir // nil in memory
	index storage.Index
	blobs storage.Blobs
	gate  *gate.Gate // before index and blobs
	kept  kept       // what is behind it of the index, zero in memory
	// rebuilt is what was made of a bad index when the store was opened, nil if it
	// was sound.
	rebuilt *Rebuilt
	key     datadir.Key
	log     *slog.Logger
	spool   string // folder for request bodies, "" in memory
}

// openStore opens what the configuration names, and makes it if need be.
func openStore(c *config.Config, in seams, log *slog.Logger) (*store, error) {
	if c.InMemory() {
		return (&store{index: in.before(memory.NewIndex()), blobs: memory.NewBlobs(), key: datadir.NewKey()}).guarded(log), nil
	}
	dir, err := datadir.Open(c.Data)
	if err != nil {
		return nil, err
	}
	warnOfShared(dir.Path(), in, log)
	return openFolder(dir, opening{c.Rebuild, cmp.Or(in.patience, patience)}, in, log)
}

// patience is how long a start waits for an index that was not closed in order to be read,
// before it answers reads.
const patience = time.Second

// warnOfShared says what a file system is that may not keep other machines out. That
// locks work on this one has been tried.
func warnOfShared(dir string, in seams, log *slog.Logger) {
	kind := volume.Kind
	if in.kind != nil {
		kind = in.kind
	}
	if name := volume.Shared(kind(dir)); name != "" {
		log.Warn("the data folder is on a file system that other machines may have too: one server alone may use it, and it is as safe as that file system's locks and syncs",
			"path", dir, "file_system", name)
	}
}

// openFolder opens the store in a data folder and takes the folder over.
func openFolder(dir *datadir.Dir, how opening, in seams, log *slog.Logger) (*store, error) {
	index, rebuilt, err := openOrRebuild(context.Background(), dir, how, in, log)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	blobs, err := fsblob.OpenOn(or(in.layers), dir.Blobs())
	if err != nil {
		return nil, errors.Join(err, index.Close(), dir.Close())
	}
	s := (&store{dir: dir, index: in.before(index.Index), blobs: blobs, key: dir.Key(), spool: dir.Tmp(), kept: index, rebuilt: rebuilt}).guarded(log)
	if err := s.upgrade(log); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// guarded is the store behind a gate.
func (s *store) guarded(log *slog.Logger) *store {
	s.log, s.gate = log, gate.New(log)
	s.index, s.blobs = s.gate.Index(s.index), s.gate.Blobs(s.blobs)
	return s
}

// name is what people call the store.
func (s *store) name() string {
	if s.dir == nil {
		return config.Memory
	}
	return s.dir.Path()
}

func (s *store) close() error {
	err := s.index.Close()
	if s.dir != nil {
		err = errors.Join(err, s.dir.Close())
	}
	return err
}
