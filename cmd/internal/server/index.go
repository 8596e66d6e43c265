package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/volume"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/journal"
)

// A BadIndexError says that the index is not to be used.
type BadIndexError struct {
	Path string
	Err  error // what was found
}

// Error implements error.
func (e *BadIndexError) Error() string { return fmt.Sprintf("the index %s is bad: %v", e.Path, e.Err) }

// Unwrap is what was found.
func (e *BadIndexError) Unwrap() error { return e.Err }

// What only the journal can tell of an index.
var (
	errLost    = errors.New("it is gone, and its journal is there")
	errDiffers = errors.New("it has other rows than its journal")
)

// kept is an index with its journal, and the file that it is in.
type kept struct {
	*journal.Index
	file *boltindex.Index
}

// openIndex opens the index of a data folder with its journal. The error is a
// *BadIndexError if what is there is damaged, gone, or older than the journal.
func openIndex(ctx context.Context, dir *datadir.Dir, in seams, log *slog.Logger) (kept, error) {
	bad := func(err error) (kept, error) {
		if errors.Is(err, boltindex.ErrDamaged) || errors.Is(err, journal.ErrBehind) || errors.Is(err, errLost) || errors.Is(err, errDiffers) {
			err = &BadIndexError{dir.Index(), err}
		}
		return kept{}, err
	}
	if err := checkThere(dir); err != nil {
		return bad(err)
	}
	file, err := boltindex.Open(dir.Index(), boltindex.Options{
		Log: log, Disk: or(in.facts), Room: func(n int64) error { return roomForCopy(dir, n) },
	})
	if err != nil {
		return bad(err)
	}
	if err := compareWithJournal(ctx, dir, file, log); err != nil {
		return bad(errors.Join(err, file.Close()))
	}
	x, err := journal.New(file, dir.Journal(), journal.Options{Log: log, Disk: or(in.facts), Room: func() error { return roomForSnapshot(dir) }})
	if err != nil {
		return bad(errors.Join(err, file.Close()))
	}
	return kept{x, file}, nil
}

// roomForSnapshot says whether all rows of the index could be written once more: its
// file is at least as large.
func roomForSnapshot(dir *datadir.Dir) error {
	info, err := os.Stat(dir.Index())
	if err != nil {
		return err
	}
	space, err := volume.Space(dir.Path())
	if err == nil && space.Free < uint64(info.Size()) {
		err = fmt.Errorf("%w: %d bytes are free, and the index has %d", storage.ErrFull, space.Free, info.Size())
	}
	return err
}

// roomForCopy says whether a copy of the index would leave on the disk what is kept
// back for writes that make room.
func roomForCopy(dir *datadir.Dir, bytes int64) error {
	space, err := volume.Space(dir.Path())
	if back := min(space.Size/100, mostStop); err == nil && space.Free < uint64(bytes)+back {
		err = fmt.Errorf("%w: %d bytes are free, the copy takes %d for a while, and %d are kept back", storage.ErrFull, space.Free, bytes, back)
	}
	return err
}

// checkThere refuses to make a new index where there was one.
func checkThere(dir *datadir.Dir) error {
	_, err := os.Lstat(dir.Index())
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there, err := journal.Present(dir.Journal())
	if err == nil && there {
		err = errLost
	}
	return err
}

// compareWithJournal holds an index that is not as it was left against its journal,
// if that reaches up to it: then each difference is damage, for which the file itself
// has no sign.
func compareWithJournal(ctx context.Context, dir *datadir.Dir, file *boltindex.Index, log *slog.Logger) error {
	if file.Found() == boltindex.Closed || file.Found() == boltindex.New {
		return nil
	}
	state, err := journal.Open(dir.Journal(), journal.At{})
	if errors.Is(err, journal.ErrNothing) {
		if there, _ := journal.Present(dir.Journal()); there {
			log.Warn("the index was not closed in order, and its journal cannot say whether it is whole", "error", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer state.Close()
	if state.Number != file.Last() {
		return nil // if it is behind, the journal refuses it
	}
	c, err := state.Compare(ctx, file, 1)
	if err == nil && len(c.Differences) > 0 {
		d := c.Differences[0]
		err = fmt.Errorf("%w: the first is %q: %s", errDiffers, d.Key, d.Kind)
	}
	return err
}
