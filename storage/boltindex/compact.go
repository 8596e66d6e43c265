package boltindex

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// How the file is compacted while it is open. From when the copy begins, the key of
// each write is noted, by whoever has the baton. Then all rows are copied, some at a
// time, each time in a view of its own, so that no view is long: what a view shows
// may be newer than the one before, but whatever is written after a row was copied has
// its key among those noted. Their rows are copied again, as they are then, until
// few are left. The rest is copied with the baton held, when nothing can change: then
// the copy has the rows and the number of the file. It is synced and takes the
// file's name, that is synced too, and only then do updates go on, in the copy. Views
// that have begun end on the old file, which has no name any more.
//
// So at each instant the name leads to a file with every acknowledged row, and what a
// death leaves of a copy is removed by the next Open.

const (
	copySize  = 1 << 20 // bytes of rows that are copied at once
	copyRows  = 8192
	copyAlloc = 4 << 20 // by which a copy's file grows, with a sync each time
	fewKeys   = 1000    // are copied with the baton held
	maxRounds = 10      // of copying what was written meanwhile, before updates have to wait for it
)

// Compacted is what a compaction has done.
type Compacted struct {
	Before, After int64 // sizes of the file, in bytes
	Rows          int64 // that were copied, those that were written meanwhile once more
	Took          time.Duration
	Held          time.Duration // of it, how long updates waited at its end
}

func draftPath(path string) string { return path + ".compacted" }

// Compact has the file hold no more free pages than it needs, whatever share they
// are of it. Views and updates go on meanwhile; updates wait for the end of it, as long
// as for a few commits. On an error the index goes on with the file that it has, and
// takes no more updates if a sync failed.
//
// One compaction runs at a time. Compact returns when all views of the old file have
// ended, and gives its room back then.
func (x *Index) Compact(ctx context.Context) (done Compacted, err error) {
	if err := x.enterUpdate(ctx); err != nil {
		return done, err
	}
	defer x.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(x.ending, cancel)()
	select {
	case x.compacting <- struct{}{}:
	case <-ctx.Done():
		return done, ctx.Err()
	}
	defer func() { <-x.compacting }()
	c := &compaction{x: x, path: draftPath(x.path), start: time.Now()}
	done, err = c.run(ctx)
	x.noteDamage(err)
	if errors.Is(err, storage.ErrSync) {
		x.fail(err)
	}
	if err == nil {
		x.log.Info("index compacted", "path", x.path, "before", done.Before, "after", done.After, "rows", done.Rows, "took", done.Took, "held", done.Held)
	}
	return done, err
}

// compaction is one of them.
type compaction struct {
	x     *Index
	path  string
	start time.Time
	db    *bbolt.DB // the copy
	next  string    // rows from this key on are still to be copied
	all   bool      // none are
	rows  int64
}

func (c *compaction) run(ctx context.Context) (done Compacted, err error) {
	before, err := os.Stat(c.x.path)
	if err != nil {
		return done, err
	}
	if err := c.x.room(before.Size()); err != nil {
		return done, err
	}
	old, held, err := c.copyAndSwap(ctx)
	if err != nil {
		return done, fmt.Errorf("compact %s: %w", c.x.path, err)
	}
	old.views.Wait()
	if err := old.db.Close(); err != nil {
		c.x.log.Warn("the index's file from before it was compacted did not close", "error", err)
	}
	after, err := os.Stat(c.x.path)
	if err != nil {
		return done, err
	}
	return Compacted{Before: before.Size(), After: after.Size(), Rows: c.rows, Took: time.Since(c.start), Held: held}, nil
}

// copyAndSwap returns the file that the copy has taken the place of, and how long
// updates waited for that.
func (c *compaction) copyAndSwap(ctx context.Context) (old *file, held time.Duration, err error) {
	if err := c.noteKeys(ctx); err != nil {
		return nil, 0, err
	}
	defer c.noteNoKeys()
	if err := c.open(); err != nil {
		return nil, 0, err
	}
	err = c.copy(ctx)
	if err == nil {
		old, held, err = c.swap(ctx)
	}
	if err != nil {
		return nil, 0, errors.Join(err, attempt(c.db.Close), c.remove())
	}
	return old, held, nil
}

// noteKeys has the keys of all writes noted from now on.
func (c *compaction) noteKeys(ctx context.Context) error {
	x := c.x
	if err := x.takeBaton(ctx); err != nil {
		return err
	}
	defer x.passBaton()
	x.finishGroup()
	if err := x.sound(); err != nil {
		return err
	}
	if err := x.beforeWrite(); err != nil { // a mark would not fit the copy
		return err
	}
	x.touched = map[string]struct{}{}
	return nil
}

func (c *compaction) noteNoKeys() {
	if c.x.takeBaton(context.Background()) == nil { // it does not end
		defer c.x.passBaton()
		c.x.touched = nil
	}
}

// remove removes a copy that was not finished.
func (c *compaction) remove() error { return removeDraft(c.x.o.Disk, c.path) }

func removeDraft(on disk.FS, path string) error {
	err := on.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// open makes the copy, without rows.
func (c *compaction) open() (err error) {
	if err := c.remove(); err != nil {
		return err
	}
	o := c.x.o
	o.Bulk = true
	if o.maxCopy > 0 {
		o.maxSize = o.maxCopy
	}
	if c.db, err = openOwn(c.path, o, nil); err != nil {
		return errors.Join(copyFault(err), c.remove())
	}
	c.db.AllocSize = copyAlloc
	err = attempt(func() error {
		return c.db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket(bucket)
			return err
		})
	})
	if err != nil {
		return errors.Join(copyFault(err), attempt(c.db.Close), c.remove())
	}
	failpoint.Hit(failpoint.CompactMade)
	return nil
}

// copy copies all rows, and again those that were written meanwhile until few are
// left.
func (c *compaction) copy(ctx context.Context) error {
	for !c.all {
		if err := c.copySome(ctx); err != nil {
			return err
		}
		failpoint.Hit(failpoint.CompactCopied)
		if _, err := c.catchUp(ctx); err != nil {
			return err
		}
	}
	for range maxRounds {
		n, err := c.catchUp(ctx)
		if err != nil {
			return err
		}
		if err := c.sync(); err != nil { // little is left for when updates wait
			return err
		}
		if n <= fewKeys {
			break
		}
	}
	return nil
}

// row is one with memory of its own. A nil value is none.
type row struct {
	key   string
	value []byte
}

// copySome copies the rows that are next.
func (c *compaction) copySome(ctx context.Context) error {
	var rows []row
	size, all := 0, true
	err := c.x.View(ctx, func(r storage.Reader) error {
		rows = rows[:0]
		for e, err := range r.Scan(storage.Range{After: c.next}) {
			if err != nil {
				return err
			}
			if size >= copySize || len(rows) == copyRows {
				all = false
				break
			}
			rows = append(rows, row{e.Key, append([]byte{}, e.Value...)})
			size += len(e.Key) + len(e.Value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		c.next = rows[len(rows)-1].key
	}
	c.all = all
	return c.put(rows)
}

// put writes rows into the copy, and takes those without a value out of it.
func (c *compaction) put(rows []row) error {
	return c.update(func(b *bbolt.Bucket) error {
		for _, r := range rows {
			var err error
			if r.value == nil {
				err = b.Delete([]byte(r.key))
			} else {
				err = b.Put([]byte(r.key), r.value)
			}
			if err != nil {
				return err
			}
		}
		c.rows += int64(len(rows))
		return nil
	})
}

func (c *compaction) update(fn func(*bbolt.Bucket) error) error {
	return copyFault(attempt(func() error {
		return c.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucket)
			b.FillPercent = 0.9 // rows come in their order
			return fn(b)
		})
	}))
}

// catchUp copies again what was written since the last time, and returns how many
// rows that was.
func (c *compaction) catchUp(ctx context.Context) (int, error) {
	x := c.x
	if err := x.takeBaton(ctx); err != nil {
		return 0, err
	}
	x.finishGroup() // or a view might miss what is noted
	keys := x.touched
	x.touched = make(map[string]struct{})
	x.passBaton()
	return len(keys), c.copyAgain(ctx, keys)
}

// copyAgain copies the rows with these keys as they are now. Those that are still to
// be copied in their turn are left out.
func (c *compaction) copyAgain(ctx context.Context, keys map[string]struct{}) error {
	var rows []row
	size := 0
	for key := range keys {
		if !c.all && key > c.next {
			continue
		}
		r := row{key: key}
		if err := c.x.View(ctx, r.read); err != nil {
			return err
		}
		rows, size = append(rows, r), size+len(r.value)
		if size >= copySize {
			if err := c.put(rows); err != nil {
				return err
			}
			rows, size = rows[:0], 0
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return c.put(rows)
}

func (r *row) read(from storage.Reader) error {
	value, err := from.Get(r.key)
	if errors.Is(err, storage.ErrNotFound) {
		r.value = nil
		return nil
	}
	r.value = append([]byte{}, value...)
	return err
}

// swap copies what is left while no update runs, and has the copy take the place of
// the file, which it returns.
func (c *compaction) swap(ctx context.Context) (old *file, held time.Duration, err error) {
	x := c.x
	if err := x.takeBaton(ctx); err != nil {
		return nil, 0, err
	}
	start := time.Now()
	defer x.passBaton()
	x.finishGroup()
	if err := errors.Join(x.sound(), c.finish(ctx)); err != nil {
		return nil, 0, err
	}
	if err := x.o.Disk.Rename(c.path, x.path); err != nil {
		return nil, 0, mapFull(err)
	}
	failpoint.Hit(failpoint.CompactRenamed)
	if err := disk.Sync(x.o.Disk, filepath.Dir(x.path)); err != nil {
		// Nobody knows which file is found after a power cut: both have all that was
		// acknowledged, as long as neither takes more.
		return nil, 0, fmt.Errorf("%w: %w", storage.ErrSync, err)
	}
	failpoint.Hit(failpoint.CompactNamed)
	c.db.NoSync, c.db.AllocSize = x.file.db.NoSync, x.file.db.AllocSize
	x.mu.Lock()
	defer x.mu.Unlock()
	old, x.file = x.file, &file{db: c.db}
	x.compactions++
	return old, time.Since(start), nil
}

// finish has the copy hold all rows and the number of the last update, on disk. The
// caller has the baton.
func (c *compaction) finish(ctx context.Context) error {
	if err := c.copyAgain(ctx, c.x.touched); err != nil {
		return err
	}
	var last uint64
	err := c.x.View(ctx, func(r storage.Reader) error {
		last = r.(storage.Numbering).Number()
		return nil
	})
	if err == nil {
		err = c.update(func(b *bbolt.Bucket) error { return b.SetSequence(last) })
	}
	if err == nil {
		err = c.sync()
	}
	failpoint.Hit(failpoint.CompactSynced)
	return err
}

func (c *compaction) sync() error {
	err := attempt(c.db.Sync)
	if err == nil {
		return nil
	}
	if full := mapFull(err); errors.Is(full, storage.ErrFull) {
		return full
	}
	return fmt.Errorf("%w: %w", storage.ErrSync, err)
}

// copyFault is mapCommit for a copy: where there is no room for it, no sync of what
// was acknowledged has failed.
func copyFault(err error) error {
	if full := mapFull(err); errors.Is(full, storage.ErrFull) {
		return full
	}
	return mapCommit(err)
}
