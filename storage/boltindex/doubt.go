package boltindex

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/storage"
)

// What becomes of a file that was not closed in order, as after a crash. It is opened
// for views alone, which bbolt does at once, however large it is. Then all of it is
// read: each page is checked, Options.Verify holds the rows against what else is
// known of them, and bbolt looks for the free pages as it opens the file once more, to
// write. All that time updates wait, since whoever does this has the baton. Views need not,
// once Open has waited for as long as Options.Patience says: a page that is damaged
// fails the view that comes upon it.
//
// If the file is bad, no update ever gets the baton, and the mark of a file that was
// closed says so instead. Then the next Open waits until it has seen all.

// doubt is the look at a file that was not closed in order.
type doubt struct {
	shared *os.File      // keeps the lock while the file is opened twice
	ended  chan struct{} // closed when it is known
	bad    error         // why updates will never run, nil if they do; to be read then

	mu    sync.Mutex
	late  bool // Open did not wait for it
	known bool // and needs not
}

// hurry says whether Open is to return before the end is known.
func (d *doubt) hurry() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.late = !d.known
	return d.late
}

// know says whether Open has returned already.
func (d *doubt) know() (late bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = true
	return d.late
}

// openDoubtful opens the file of x for views and begins to look at it. It returns
// when Open is to.
func (x *Index) openDoubtful() error {
	db, f, err := openForViews(x.path, x.o)
	if err != nil {
		return err
	}
	x.file, x.doubt = &file{db: db}, &doubt{shared: f, ended: make(chan struct{})}
	if err := x.readLast(); err != nil {
		return errors.Join(err, f.Close(), db.Close())
	}
	x.busy = true // nobody knows of the baton yet
	x.running.Go(x.settle)
	patient := x.found == Doubtful || x.o.Patience == 0
	if !patient && !x.endsWithin(x.o.Patience) && x.doubt.hurry() {
		x.log.Warn("index was not closed in order: all of it is read before updates run; views are answered meanwhile", "path", x.path)
		return nil
	}
	if <-x.doubt.ended; x.doubt.bad != nil {
		return errors.Join(x.doubt.bad, x.file.db.Close())
	}
	return nil
}

func (x *Index) endsWithin(patience time.Duration) bool {
	select {
	case <-x.doubt.ended:
		return true
	case <-time.After(patience):
		return false
	}
}

// Sound waits until it is known whether the file was sound when it was opened, and
// returns what was wrong with it, nil if nothing was. Only then do updates run.
func (x *Index) Sound(ctx context.Context) error {
	if x.doubt == nil {
		return nil
	}
	select {
	case <-x.doubt.ended:
		return x.doubt.bad
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Settled says whether Sound has nothing to wait for.
func (x *Index) Settled() bool {
	if x.doubt == nil {
		return true
	}
	select {
	case <-x.doubt.ended:
		return true
	default:
		return false
	}
}

// settle ends the doubt, and passes the baton on if the file is sound.
func (x *Index) settle() {
	start := time.Now()
	err := x.check()
	if err == nil {
		err = x.openForUpdates()
	}
	err = errors.Join(err, x.doubt.shared.Close())
	late := x.doubt.know()
	switch {
	case err == nil:
		x.log.Info("index opened", "path", x.path, "found", x.found, "took", time.Since(start))
	case late && x.ending.Err() == nil:
		x.log.Error("index is bad", "path", x.path, "error", errors.Join(err, markDoubtful(x.path, x.o.Disk)))
	}
	if x.doubt.bad = err; err != nil {
		x.fail(err)
	}
	close(x.doubt.ended)
	x.passBaton() // if it is bad, to those who wait in vain
}

// check reads the whole file.
func (x *Index) check() error {
	if err := checkFile(x.ending, x.path); err != nil || x.o.Verify == nil {
		return err
	}
	return x.o.Verify(x.ending, x)
}

// openForUpdates opens the file once more, for updates too, and has it take the place
// of the one for views. The caller has the baton.
func (x *Index) openForUpdates() error {
	db, err := openOwn(x.path, x.o, x.doubt.shared)
	if err != nil {
		return err
	}
	if err := removeDraft(x.o.Disk, draftPath(x.path)); err != nil {
		return errors.Join(err, db.Close())
	}
	x.mu.Lock()
	old := x.file
	x.file = &file{db: db}
	x.mu.Unlock()
	old.views.Wait() // or an update might use pages again that they read
	return errors.Join(old.db.Close(), x.firstLook())
}

// openForViews opens a file for views alone, and keeps others out who would write to
// it. The file that it returns beside has the same lock.
func openForViews(path string, o Options) (db *bbolt.DB, shared *os.File, err error) {
	db, err = openBolt(path, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true, NoStatistics: true}, func(name string, _ int, mode os.FileMode) (f *os.File, err error) {
		if f, err = os.OpenFile(name, os.O_RDWR, mode); err != nil {
			return nil, err
		}
		if shared, err = again(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	})
	if err == nil {
		err = rowsThere(db)
	}
	if err == nil {
		return db, shared, nil
	}
	if db != nil {
		err = errors.Join(err, db.Close())
	}
	if shared != nil {
		err = errors.Join(err, shared.Close())
	}
	return nil, nil, err
}

// rowsThere says whether a file has the bucket of the rows.
func rowsThere(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		_, err := rowsOf(tx)
		return err
	})
}

// readLast takes the number of the last update from the file.
func (x *Index) readLast() error {
	return x.View(context.Background(), func(r storage.Reader) error {
		x.last.Store(r.(storage.Numbering).Number())
		return nil
	})
}
