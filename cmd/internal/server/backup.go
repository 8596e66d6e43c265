package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/backup"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/fsblob"
	"github.com/seed-78150930/berth/storage/journal"
)

// Snapshot implements admin.Copied.
func (s *Server) Snapshot(ctx context.Context, w io.Writer) error { return s.keeper.Snapshot(ctx, w) }

// Records implements admin.Copied.
func (s *Server) Records(ctx context.Context, after, upTo uint64, w io.Writer) error {
	return s.keeper.Records(ctx, after, upTo, w)
}

// Snapshot implements admin.Copied. It is one view, which takes as long as whoever reads.
func (k *Keeper) Snapshot(ctx context.Context, w io.Writer) error {
	return k.store.index.View(ctx, func(r storage.Reader) error {
		numbering, ok := r.(storage.Numbering)
		if !ok {
			return errors.New("this store cannot be backed up: it does not number its updates")
		}
		at, number := time.Now(), numbering.Number()
		out, err := journal.NewSnapshotWriter(w, number)
		if err != nil {
			return err
		}
		for e, err := range r.Scan(storage.Range{}) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = out.Put(e.Key, e.Value)
			}
			if err != nil {
				return err
			}
		}
		_, err = out.Finish(number, at)
		return err
	})
}

// Records implements admin.Copied.
func (k *Keeper) Records(ctx context.Context, after, upTo uint64, w io.Writer) (err error) {
	if k.store.kept.Index == nil {
		return fmt.Errorf("%w: the store has no journal", backup.ErrNoRecords)
	}
	state, err := k.store.kept.State(ctx) // all that was acknowledged before
	if errors.Is(err, journal.ErrNothing) {
		return fmt.Errorf("%w: %w", backup.ErrNoRecords, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if state.Begin() > after || state.Number < upTo {
		return fmt.Errorf("%w: the journal has those after update %d, up to %d", backup.ErrNoRecords, state.Begin(), state.Number)
	}
	return writeRecords(ctx, w, state, after, upTo)
}

func writeRecords(ctx context.Context, w io.Writer, state *journal.State, after, upTo uint64) error {
	out, err := journal.NewRecordWriter(w, after)
	if err != nil {
		return err
	}
	for rec, err := range state.Records(ctx, after) {
		if err != nil {
			return err
		}
		if upTo != 0 && rec.Number > upTo {
			break
		}
		if err := out.Write(rec); err != nil {
			return err
		}
	}
	return nil
}

// OpenBlobs opens the layers of the store in a data folder to be read, beside the server
// that has the folder.
func OpenBlobs(data string) (storage.Blobs, error) { return fsblob.Open(datadir.BlobsIn(data)) }

// Contents says which blob a row names.
func Contents(e storage.Entry) (backup.Content, bool, error) {
	c, ok, err := registry.ContentOf(e)
	return backup.Content(c), ok, err
}

// Refilled is an empty data folder that is being filled.
type Refilled struct {
	Index storage.Index
	Blobs storage.Blobs
}

// OpenRefilled opens the empty store of a data folder that datadir.Lay made.
func OpenRefilled(dir *datadir.Dir) (*Refilled, error) {
	index, err := boltindex.Open(dir.Index(), boltindex.Options{})
	if err != nil {
		return nil, err
	}
	blobs, err := fsblob.Open(dir.Blobs())
	if err != nil {
		return nil, errors.Join(err, index.Close())
	}
	return &Refilled{index, blobs}, nil
}

// Settle makes what was filled in one to start a server with.
func (r *Refilled) Settle(ctx context.Context) error { return registry.Settle(ctx, r.Index) }

// Close closes the index.
func (r *Refilled) Close() error { return r.Index.Close() }
