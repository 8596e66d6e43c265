package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

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
// *BadIndexError if what is there is damaged, gone, or older than the journal. An index
// that was not closed in order is looked at for as long as patience says before it is
// used, and then beside its use, see [kept.sound]; no patience means as long as it takes.
func openIndex(dir *datadir.Dir, patience time.Duration, in seams, log *slog.Logger) (kept, error) {
	if err := checkThere(dir); err != nil {
		return kept{}, asBad(dir.Index(), err)
	}
	file, err := boltindex.Open(dir.Index(), boltindex.Options{
		Log: log, Disk: or(in.facts), Room: func(n int64) error { return roomForCopy(dir, n) }, Patience: patience,
		Verify: func(ctx context.Context, x storage.Numbered) error { return compareWithJournal(ctx, dir, x, log) },
	})
	if err != nil {
		return kept{}, asBad(dir.Index(), err)
	}
	o := journal.Options{Log: log, Disk: or(in.facts), Room: func() error { return roomForSnapshot(dir) }}
	if !file.Settled() {
		o.Sound = file.Sound
	}
	x, err := journal.New(file, dir.Journal(), o)
	if err != nil {
		return kept{}, asBad(dir.Index(), errors.Join(err, file.Close()))
	}
	return kept{x, file}, nil
}

// asBad is an error as it is, or a *BadIndexError if it says that the index is bad.
func asBad(path string, err error) error {
	for _, bad := range []error{boltindex.ErrDamaged, journal.ErrBehind, errLost, errDiffers} {
		if errors.Is(err, bad) {
			return &BadIndexError{path, err}
		}
	}
	return err
}

// sound waits until the index is known to be as it should be, where its opening did not. Until
// then it takes no update.
func (k kept) sound(ctx context.Context, dir *datadir.Dir) error {
	if k.file == nil {
		return nil
	}
	return asBad(dir.Index(), k.file.Sound(ctx))
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
func compareWithJournal(ctx context.Context, dir *datadir.Dir, file storage.Numbered, log *slog.Logger) error {
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
