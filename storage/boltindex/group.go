package boltindex

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// How updates share a commit. There is one baton, and whoever holds it runs
// his update, in his own goroutine, inside the group's open transaction of
// bbolt. Then he passes the baton to the next who waits for it. If nobody
// does, or the group is large enough, he commits the group first; who comes
// during the commit waits, and so the next group forms by itself. While there are
// fewer than in the group before, he waits a moment for more: each who comes
// saves a commit, and who is alone waits for nobody.
//
// An update that fails takes back its own writes, the overwritten values in
// reverse order, and leaves the rest of the group as it was. All others learn
// the outcome of the commit, and so does one that failed after a write of
// another, since what it saw might not be kept.

// A group is committed when it has this many updates or bytes at the latest,
// so that the first of it need not wait for ever for the last.
const (
	maxUpdates = 512
	maxBytes   = 8 << 20
	// maxWait is how long a group waits for company. It is less than a sync takes.
	maxWait = time.Millisecond
)

// group is the updates of one commit.
type group struct {
	tx      *bbolt.Tx
	rows    *bbolt.Bucket
	ran     int       // updates, failed ones too
	wrote   int       // updates that succeeded and wrote something
	before  uint64    // number of the last update before them
	closes  time.Time // when it waits for company no longer; zero until it does
	bytes   int       // of keys and values written
	touched map[string]struct{}
	damaged error

	done chan struct{} // closed when the outcome is known
	err  error         // the outcome
}

// waiter gets the baton by one receive.
type waiter chan struct{}

// Update implements storage.Index. A context that ends before fn has begun
// ends the wait; one that ends later has no effect.
func (x *Index) Update(ctx context.Context, fn func(storage.Tx) error) (err error) {
	if err := x.enterUpdate(ctx); err != nil {
		return err
	}
	defer x.running.Done()
	defer func() { x.noteDamage(err) }()
	if err := x.takeBaton(ctx); err != nil {
		return err
	}
	g, err := x.runOne(fn)
	if g == nil {
		return err
	}
	<-g.done
	if g.err != nil {
		return g.err
	}
	return err
}

// takeBaton waits until the caller has the baton, which he must pass on.
func (x *Index) takeBaton(ctx context.Context) error {
	x.mu.Lock()
	if !x.busy {
		x.busy = true
		x.mu.Unlock()
		return nil
	}
	w := make(waiter, 1)
	x.waiting = append(x.waiting, w)
	x.mu.Unlock()
	select {
	case x.company <- struct{}{}:
	default: // who waits for company was told
	}
	select {
	case <-w:
	case <-ctx.Done():
		if x.leave(w) {
			return ctx.Err()
		}
		<-w // it was on its way already
	}
	if err := ctx.Err(); err != nil {
		x.passBaton()
		return err
	}
	return nil
}

// leave takes w out of the queue, and says whether it was still in it.
func (x *Index) leave(w waiter) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := slices.Index(x.waiting, w)
	if i < 0 {
		return false
	}
	x.waiting = slices.Delete(x.waiting, i, i+1)
	return true
}

// passBaton gives the baton to the next of this group, or commits the group
// and gives it to the first of the next.
func (x *Index) passBaton() {
	for !x.group.full() {
		if x.wakeNext() {
			return
		}
		if !x.awaitCompany() {
			break
		}
	}
	x.finishGroup()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.wake() {
		x.busy = false
	}
}

// awaitCompany waits for another update, if the group before this one had more than this
// one has. False says that the time for that is over. The caller has the baton.
func (x *Index) awaitCompany() bool {
	g := x.group
	if g == nil || g.wrote == 0 || g.ran >= x.together {
		return false
	}
	if g.closes.IsZero() {
		g.closes = time.Now().Add(maxWait)
	}
	left := time.Until(g.closes)
	if left <= 0 {
		return false
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-x.company:
	case <-timer.C:
	}
	return true
}

func (x *Index) wakeNext() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.wake()
}

// wake gives the baton to the first who waits for it, if any. The caller has
// the baton and the lock.
func (x *Index) wake() bool {
	if len(x.waiting) == 0 {
		return false
	}
	x.waiting[0] <- struct{}{}
	x.waiting = slices.Delete(x.waiting, 0, 1)
	return true
}

// runOne runs fn, whose caller has the baton, and passes the baton on however
// fn ends. If the outcome depends on a commit, it returns its group.
func (x *Index) runOne(fn func(storage.Tx) error) (wait *group, err error) {
	defer x.passBaton()
	g, err := x.openGroup()
	if err != nil {
		return nil, err
	}
	err = g.run(fn)
	if g.wrote == 0 && g.damaged == nil {
		return nil, err
	}
	return g, err
}

func (x *Index) openGroup() (*group, error) {
	x.mu.Lock()
	broken := x.broken
	x.mu.Unlock()
	if x.group != nil || broken != nil {
		return x.group, broken
	}
	if err := x.beforeWrite(); err != nil {
		return nil, err
	}
	g, err := begin(x.file.db)
	if err != nil {
		return nil, err
	}
	g.touched = x.touched
	x.group = g
	return g, nil
}

func begin(db *bbolt.DB) (*group, error) {
	g := &group{done: make(chan struct{})}
	err := attempt(func() (err error) {
		g.tx, err = db.Begin(true)
		return err
	})
	if err != nil {
		return nil, err
	}
	if g.rows, err = rowsOf(g.tx); err != nil {
		return nil, errors.Join(err, attempt(g.tx.Rollback))
	}
	g.before = g.rows.Sequence()
	if db.NoSync {
		g.rows.FillPercent = 0.9 // rows come in their order
	}
	return g, nil
}

// finishGroup commits the open group and tells all who wait for it.
func (x *Index) finishGroup() {
	g := x.group
	if g == nil {
		return
	}
	x.group = nil
	x.together = g.ran
	g.err = g.commit()
	switch {
	case g.err != nil && !errors.Is(g.err, storage.ErrFull):
		x.fail(g.err)
	case g.err == nil && g.wrote > 0:
		x.count(g)
	}
	close(g.done)
}

func (x *Index) count(g *group) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last.Store(g.last())
	x.stats.Updates += int64(g.wrote)
	x.stats.Commits++
}

// last is the number of the last update so far.
func (g *group) last() uint64 { return g.before + uint64(g.wrote) }

func (g *group) full() bool {
	return g != nil && (g.ran >= maxUpdates || g.bytes >= maxBytes || g.damaged != nil)
}

// run runs fn as part of the group, or undoes it.
func (g *group) run(fn func(storage.Tx) error) (err error) {
	t := &tx{rows: g.rows, number: g.last() + 1, touched: g.touched}
	keep := false
	defer surviveFaults(&err)()
	defer func() { // also when fn panics or ends its goroutine
		g.ran++
		g.bytes += t.bytes
		if !keep {
			g.damaged = errors.Join(g.damaged, t.revert())
		} else if len(t.undo) > 0 {
			g.wrote++
		}
		t.end()
	}()
	err = fn(t)
	keep = err == nil
	return err
}

// commit ends bbolt's transaction, on disk if there is something to keep.
func (g *group) commit() error {
	err := g.damaged
	if err == nil && g.wrote > 0 {
		failpoint.Hit(failpoint.IndexCommit)
		err = attempt(func() error { return errors.Join(g.rows.SetSequence(g.last()), g.tx.Commit()) })
		failpoint.Hit(failpoint.IndexCommitted)
	} else {
		err = errors.Join(err, attempt(g.tx.Rollback))
	}
	if errors.Is(err, ErrDamaged) && g.tx.DB() != nil { // a panic left it open
		if attempt(g.tx.Rollback) != nil {
			err = errors.Join(err, errStuck)
		}
	}
	return mapCommit(err)
}

// attempt calls f, which is bbolt's, with panics and faults made errors.
func attempt(f func() error) (err error) {
	defer surviveFaults(&err)()
	defer catch(&err)
	return f()
}
