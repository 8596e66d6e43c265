package server

import (
	"errors"
	"log/slog"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
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
	key   datadir.Key
	spool string // folder for request bodies, "" in memory
}

// openStore opens what the configuration names, and makes it if need be.
func openStore(c *config.Config, log *slog.Logger) (*store, error) {
	if c.InMemory() {
		return (&store{index: memory.NewIndex(), blobs: memory.NewBlobs(), key: datadir.NewKey()}).guarded(log), nil
	}
	dir, err := datadir.Open(c.Data)
	if err != nil {
		return nil, err
	}
	return openFolder(dir, log)
}

// openFolder opens the store in a data folder and takes the folder over.
func openFolder(dir *datadir.Dir, log *slog.Logger) (*store, error) {
	index, err := boltindex.Open(dir.Index(), boltindex.Options{Log: log})
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	blobs, err := fsblob.Open(dir.Blobs())
	if err != nil {
		return nil, errors.Join(err, index.Close(), dir.Close())
	}
	s := (&store{dir: dir, index: index, blobs: blobs, key: dir.Key(), spool: dir.Tmp()}).guarded(log)
	if err := s.upgrade(log); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// guarded is the store behind a gate.
func (s *store) guarded(log *slog.Logger) *store {
	s.gate = gate.New(log)
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
