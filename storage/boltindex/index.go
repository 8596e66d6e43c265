// Package boltindex keeps a [storage.Index] in one file, by bbolt. One process
// at a time may have the file open.
//
// Updates that wait at the same time are committed together, and so share the
// syncs of one commit: see group.go. Who is alone waits for nobody: a group is
// whoever came while the commit before it was under way.
//
// bbolt never makes a file smaller. When more than half of one that is not small is
// free, it is compacted while it is in use, see compact.go, and not when it is opened:
// that would make a start take as long as its rows do.
package boltindex

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
)

var (
	errClosed = errors.New("boltindex: index is closed")
	errEnded  = errors.New("boltindex: transaction has ended")
)

// bucket holds all rows.
var bucket = []byte("rows")

// Options are what an index may be told. The zero value is good.
type Options struct {
	// Log is told how long opening took, and of a list of free pages that
	// could not be kept. Nil means nobody is.
	Log *slog.Logger
	// Disk has the names of files, and makes them durable; nil means disk.OS. The
	// file itself is bbolt's, which opens and maps a real one.
	Disk disk.FS

	// Bulk is for filling an index under another name: nothing is synced until Close,
	// and until then a power cut may leave anything.
	Bulk bool

	// Verify, unless nil, holds the rows of a file that was not closed in order against
	// what else is known of them, before the first update. An error says that they are
	// not as they should be, or that ctx has ended.
	Verify func(ctx context.Context, x storage.Numbered) error

	// Patience is how long Open waits until such a file has been read. Then it returns
	// an Index that answers views, and whose updates wait: see [Index.Sound]. 0 means
	// as long as it takes.
	Patience time.Duration

	// Room says whether a disk has room for a number of bytes more, which a
	// compaction needs for as long as it takes; nil means that nobody is asked, and
	// one that finds none gives up.
	Room func(bytes int64) error

	// For tests: a disk that is full at a size in bytes, for the file or for a copy of
	// it, who gets the files that bbolt opened, and from how many bytes on the file is
	// compacted; from less than none on it is not looked at.
	maxSize, maxCopy int
	opened           func(*os.File)
	compactOver      int64
}

// Stats counts what an index has done since it was opened.
type Stats struct {
	Updates int64 // updates whose writes are kept
	Commits int64 // commits that kept them
}

// Index is a storage.Index in a file, and a storage.Numbered.
//
// An update of which a failed commit was part returns its error, and its
// writes are gone: only if the very last sync of the commit failed may they
// be there after all, as with any store that dies on the way to its answer.
// A commit that found no room fails with storage.ErrFull and later ones are
// tried anew. After any other failure the disk is not to be trusted: reads go
// on, and updates fail until the index is opened again.
//
// A view must not open another view: it may wait for an update that makes the
// file's map larger, which waits for the first.
type Index struct {
	log *slog.Logger
	o   Options

	path    string
	found   Found
	doubt   *doubt // nil if it was found as it was left
	written bool   // since it was opened; of whoever has the baton

	mu      sync.Mutex // guards what follows
	closed  bool
	file    *file          // changed by a compaction that has the baton too
	running sync.WaitGroup // all but views
	busy    bool           // somebody has the baton
	waiting []waiter       // for the baton, first come first
	broken  error          // why there are no more updates
	damage  error          // the first that was found while it was open
	stats   Stats

	space       Space
	looked      lookedAt
	compactions int64

	group    *group              // the open one; of whoever has the baton
	together int                 // how many updates the last one had; likewise
	company  chan struct{}       // has a value when somebody began to wait for the baton
	touched  map[string]struct{} // keys that were written since a compaction began; likewise

	compacting chan struct{}   // holds one thing while one is under way
	ending     context.Context // ends when Close begins
	end        context.CancelFunc

	last atomic.Uint64 // number of the last update
}

// file is an open file and the views of it.
type file struct {
	db    *bbolt.DB
	views sync.WaitGroup
}

// Open opens the index in the file path, made if it is absent. If another
// process has it open, Open fails after a second. Two processes must not
// create the same index at once; whoever owns the folder sees to that.
//
// If the file is not as Close left it, as after a crash, all of it is read: Open, or
// [Index.Sound] where that takes longer than Options.Patience, fails with ErrDamaged
// where it does not hold together, or with what Options.Verify says.
func Open(path string, o Options) (*Index, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Disk == nil {
		o.Disk = disk.OS{}
	}
	if o.compactOver == 0 {
		o.compactOver = compactOver
	}
	x := &Index{log: o.Log, o: o, path: path, compacting: make(chan struct{}, 1), company: make(chan struct{}, 1)}
	x.ending, x.end = context.WithCancel(context.Background())
	if err := x.openFound(); err != nil {
		x.end()
		return nil, fmt.Errorf("open index %s: %w", path, err)
	}
	if !o.Bulk && o.compactOver >= 0 {
		x.running.Go(x.keepSmall)
	}
	return x, nil
}

// openFound opens the file as it is found.
func (x *Index) openFound() (err error) {
	start := time.Now()
	if x.found, err = prepare(x.path, x.o); err != nil {
		return err
	}
	if x.found != New && x.found != Closed {
		return x.openDoubtful()
	}
	db, err := openLeft(x.path, x.o)
	if err != nil {
		return err
	}
	x.file = &file{db: db}
	err = x.readLast()
	if err == nil && !x.o.Bulk {
		err = x.firstLook()
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	x.log.Info("index opened", "path", x.path, "found", x.found, "took", time.Since(start))
	return nil
}

// Last implements storage.Numbered. The numbers are the sequence of the bucket that
// has the rows, which bbolt writes with every commit in any case.
func (x *Index) Last() uint64 { return x.last.Load() }

// Found is how the file was found by Open.
func (x *Index) Found() Found { return x.found }

// Damage is the first ErrDamaged that was met since the file was opened, nil if
// none was. The next Open reads the file whole, and does not return before.
func (x *Index) Damage() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.damage
}

// noteDamage looks at the outcome of a transaction.
func (x *Index) noteDamage(err error) {
	if err == nil || !errors.Is(err, ErrDamaged) {
		return
	}
	x.mu.Lock()
	first := x.damage == nil
	if first {
		x.damage = err
	}
	x.mu.Unlock()
	if first {
		x.log.Error("index is damaged; stop the server and rebuild it", "path", x.path, "error", errors.Join(err, markDoubtful(x.path, x.o.Disk)))
	}
}

// Renumber has the next update get the number after last, as in the index that this
// one takes the place of.
func (x *Index) Renumber(ctx context.Context, last uint64) error {
	if err := x.enterUpdate(ctx); err != nil {
		return err
	}
	defer x.running.Done()
	if err := x.takeBaton(ctx); err != nil {
		return err
	}
	defer x.passBaton()
	x.finishGroup()
	if err := x.beforeWrite(); err != nil {
		return err
	}
	err := attempt(func() error {
		return x.file.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).SetSequence(last) })
	})
	if err != nil {
		return mapFull(err)
	}
	x.last.Store(last)
	return nil
}

// View implements storage.Index.
func (x *Index) View(ctx context.Context, fn func(storage.Reader) error) (err error) {
	f, err := x.enterView(ctx)
	if err != nil {
		return err
	}
	defer f.views.Done()
	defer func() { x.noteDamage(err) }()
	defer surviveFaults(&err)()
	return f.db.View(func(btx *bbolt.Tx) error {
		rows, err := rowsOf(btx)
		if err != nil {
			return err
		}
		t := &tx{rows: rows, number: rows.Sequence()}
		defer t.end()
		return fn(t)
	})
}

// Close implements storage.Index. Later transactions fail.
func (x *Index) Close() error {
	x.mu.Lock()
	again := x.closed
	x.closed = true
	x.mu.Unlock()
	x.end()
	x.running.Wait() // from here on there is no other file
	x.file.views.Wait()
	if again {
		return nil
	}
	db := x.file.db
	if errors.Is(x.broken, errStuck) {
		return x.broken // bbolt would wait for its own lock
	}
	if x.found == Closed && !x.written || db.IsReadOnly() {
		return db.Close() // it is as it was
	}
	kept := x.broken == nil && x.damage == nil && x.beforeWrite() == nil
	if kept {
		if err := keepFreelist(db); err != nil {
			x.log.Warn("index closed without its list of free pages; the next start reads it whole", "error", err)
			kept = false
		}
	}
	if x.o.Bulk {
		return errors.Join(mapFull(attempt(db.Sync)), db.Close())
	}
	if err := db.Close(); err != nil || !kept {
		return err
	}
	if err := mark(x.path, x.o.Disk); err != nil {
		x.log.Warn("index closed, but not marked so; the next start reads it whole", "error", err)
	}
	return nil
}

// beforeWrite sees to it that after a crash from now on the file is not taken for
// one that was closed. The caller has the baton.
func (x *Index) beforeWrite() error {
	if x.written || x.o.Bulk {
		return nil
	}
	if x.Damage() != nil {
		x.written = true
		return nil // and the mark says so
	}
	if err := unmark(x.path, x.o.Disk); err != nil {
		if errors.Is(err, storage.ErrSync) {
			x.fail(err)
		}
		return err
	}
	x.written = true
	return nil
}

// Stats returns what has been counted so far.
func (x *Index) Stats() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.stats
}

// enterUpdate counts an update as running, which running.Done ends.
func (x *Index) enterUpdate(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.open(ctx); err != nil {
		return err
	}
	x.running.Add(1)
	return nil
}

// enterView counts a view of the file as running, which views.Done ends.
func (x *Index) enterView(ctx context.Context) (*file, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.open(ctx); err != nil {
		return nil, err
	}
	x.file.views.Add(1)
	return x.file, nil
}

// open says whether a transaction may begin. The caller has the lock.
func (x *Index) open(ctx context.Context) error {
	if x.closed {
		return errClosed
	}
	return ctx.Err()
}

// fail has the index take no more updates, for the first reason given.
func (x *Index) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.broken == nil {
		x.broken = fmt.Errorf("boltindex: no more updates after a failure: %w: %w", storage.ErrReadOnly, err)
	}
}

// sound says why the file is not to be copied, nil if it may be.
func (x *Index) sound() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return errors.Join(x.broken, x.damage)
}
