// Package journal keeps a second line beside an index: a file to which each update
// is appended as one checksummed record, and from which the index can be made anew
// when it is lost.
//
// [New] puts an [Index] over another. Updates go to the one below and are
// acknowledged by it; what they wrote is written down on the way and handed to a
// goroutine that appends it in the order of the updates' numbers and syncs once a
// second at most. So a request neither waits for the journal nor fails with it,
// and the journal lags the index by about a second, which [Status] tells.
//
// Records pile up, so from time to time the rows of the index are written to a
// snapshot, in short views, beside the updates that go on. Such a snapshot shows no
// single moment, but with the records since it was begun it gives the state at each
// number from its end on: a record says what a key was set to, so to apply one to a
// row that has seen it changes nothing. When snapshot and records are safe, what is
// older goes.
//
// When a write or a sync fails, what the file holds is not known, and asking again
// might get a false "yes". So the segment is given up, back to where it was synced,
// and some seconds later another one is begun, with a new snapshot, since the
// records between are lost. So it is after a crash that the index outran, and when
// more records wait than memory is set aside for. Until the new snapshot is whole
// the old files stay, and tell of an older state.
//
// [Open] reads a state back, in order of the keys and in bounded memory, whatever
// the number of records; [Replay] writes it into an index, and [State.Compare] holds
// it against one.
package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
)

// Options say how a journal is kept. The zero value is good.
type Options struct {
	// SyncEvery is how often the file is synced at most, and so how far it lags; 0
	// means a second.
	SyncEvery time.Duration
	// Retry is how long to wait after a failure, doubled with each in a row up to a
	// minute; 0 means five seconds.
	Retry time.Duration
	// Compact is how many bytes of records there may be before a new snapshot is
	// made; where the last one was larger its size counts. 0 means 64 MiB.
	Compact int64
	// Segment is at how many bytes a new segment is begun; 0 means 64 MiB.
	Segment int64
	// Memory is how many bytes of records may wait for the file; 0 means 64 MiB.
	// When there are more they are dropped.
	Memory int64
	// Rate is how many bytes of rows a snapshot reads in a second; 0 means 64 MiB.
	Rate int64
	Now  func() time.Time // nil means time.Now
	Log  *slog.Logger     // takes what is wrong with the files; nil means nowhere

	// Sound, if not nil, waits until the index below is known to be sound, and returns
	// what is wrong with it or the error of ctx. Until then, and for ever if it is not
	// sound, nothing of the journal is changed; no update may run before it returns.
	Sound func(ctx context.Context) error

	// Room says why the disk has no room for a snapshot, nil if it has: half of one
	// would take it from others. Nil means that it always has.
	Room func() error
	// Disk writes the files; nil means disk.OS.
	Disk disk.FS
}

func (o Options) withDefaults() Options {
	o.SyncEvery = cmp.Or(o.SyncEvery, time.Second)
	o.Retry = cmp.Or(o.Retry, 5*time.Second)
	o.Compact = cmp.Or(o.Compact, 64<<20)
	o.Segment = cmp.Or(o.Segment, 64<<20)
	o.Memory = cmp.Or(o.Memory, 64<<20)
	o.Rate = cmp.Or(o.Rate, 64<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Room == nil {
		o.Room = func() error { return nil }
	}
	if o.Disk == nil {
		o.Disk = disk.OS{}
	}
	return o
}

// ErrBehind says that an index has not got as far as its journal: it is an older
// one, or has lost updates that it had acknowledged.
var ErrBehind = errors.New("journal: the index is behind its journal")

var (
	errClosed     = errors.New("journal: index is closed")
	errUnnumbered = errors.New("journal: the index below does not number its updates")
)

// Index is a storage.Numbered over another, which writes a journal of its updates.
type Index struct {
	inner   storage.Numbered
	dir     string
	o       Options
	frames  sync.Pool      // of *[]byte
	running sync.WaitGroup // updates
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{} // closed when the keeper has ended

	// files is held while old files are removed, and by who reads them.
	files sync.RWMutex

	mu      sync.Mutex // guards what follows; never held over input or output
	closed  bool
	down    bool // there is no segment: records that come are dropped
	arrived []record
	waiting int64 // bytes of records that came and are not written
	oldest  time.Time
	urgent  bool          // somebody waits for a sync
	synced  uint64        // last record that is synced, in this run of segments
	moved   chan struct{} // closed when synced, down or the status changes
	status  Status
}

// record is an update that was kept, on its way to the file.
type record struct {
	number uint64
	frame  *[]byte
}

// New puts a journal in the folder dir, which is made if it is absent, over an
// index, and takes the index over. Nobody else may have the folder. The error is
// ErrBehind if the index is older than the journal, which then is left as it is.
//
// If the journal does not reach up to the index, a snapshot is begun beside the
// work that goes on.
func New(inner storage.Index, dir string, o Options) (*Index, error) {
	below, ok := inner.(storage.Numbered)
	if !ok {
		return nil, errUnnumbered
	}
	x := &Index{
		inner: below, dir: dir, o: o.withDefaults(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}), moved: make(chan struct{}),
	}
	x.frames.New = func() any { b := make([]byte, 0, 1<<10); return &b }
	k := &keeper{x: x, early: map[uint64]record{}}
	if err := k.look(); err != nil {
		return nil, fmt.Errorf("open journal in %s: %w", dir, err)
	}
	if x.o.Sound != nil {
		go k.runWhenSound()
		return x, nil
	}
	if err := k.goOn(); err != nil {
		return nil, fmt.Errorf("open journal in %s: %w", dir, err)
	}
	go k.run()
	return x, nil
}

// View implements storage.Index.
func (x *Index) View(ctx context.Context, fn func(storage.Reader) error) error {
	return x.inner.View(ctx, fn)
}

// Unwrap is the index below: see storage.As.
func (x *Index) Unwrap() storage.Index { return x.inner }

// Last implements storage.Numbered.
func (x *Index) Last() uint64 { return x.inner.Last() }

// Update implements storage.Index.
func (x *Index) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if err := x.enter(); err != nil {
		return err
	}
	defer x.running.Done()
	frame := x.frames.Get().(*[]byte)
	r := &recorder{frame: *frame}
	err := x.inner.Update(ctx, func(tx storage.Tx) error {
		r.begin(tx)
		return fn(r)
	})
	*frame, r.frame = r.frame, nil
	if err != nil || len(*frame) <= frameHead+recordHead {
		x.free(frame)
		return err
	}
	x.submit(record{r.number, frame})
	return nil
}

func (x *Index) enter() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return errClosed
	}
	x.running.Add(1)
	return nil
}

// free keeps the memory of a record for another.
func (x *Index) free(frame *[]byte) {
	if cap(*frame) <= 1<<20 {
		x.frames.Put(frame)
	}
}

// submit hands a record to the keeper.
func (x *Index) submit(r record) {
	x.mu.Lock()
	switch {
	case x.down:
		x.free(r.frame)
	case x.waiting+int64(len(*r.frame)) > x.o.Memory || len(*r.frame) > maxFrame:
		x.dropArrived()
		x.down = true
	default:
		x.waiting += int64(len(*r.frame))
		x.arrived = append(x.arrived, r)
	}
	if x.oldest.IsZero() {
		x.oldest = x.o.Now()
	}
	x.mu.Unlock()
	x.rouse()
}

// dropArrived forgets what the keeper has not taken. The caller has the lock.
func (x *Index) dropArrived() {
	for _, r := range x.arrived {
		x.waiting -= int64(len(*r.frame))
	}
	x.arrived = nil
}

func (x *Index) rouse() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Close implements storage.Index. It has the journal safe up to the last update,
// or logs that it could not, and closes the index below.
func (x *Index) Close() error {
	x.mu.Lock()
	again := x.closed
	x.closed = true
	x.mu.Unlock()
	x.running.Wait()
	if !again {
		close(x.stop)
	}
	<-x.stopped
	return x.inner.Close()
}

// announce tells who waits that something has changed. The caller has the lock.
func (x *Index) announce() {
	close(x.moved)
	x.moved = make(chan struct{})
}

// Sync waits until the journal is safe up to the last update of now. It fails if
// the journal cannot be written at present.
func (x *Index) Sync(ctx context.Context) error {
	x.mu.Lock()
	want := x.inner.Last()
	x.mu.Unlock()
	for {
		x.mu.Lock()
		st, down, moved := x.status, x.down, x.moved
		x.urgent = true
		x.mu.Unlock()
		switch {
		case st.Safe >= want && !st.Broken:
			return nil
		case down && st.Failure != "":
			return fmt.Errorf("journal: it cannot be written: %s", st.Failure)
		}
		x.rouse()
		select {
		case <-moved:
		case <-x.stopped:
			return errClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// State opens the state of now, or one that is newer than the call.
func (x *Index) State(ctx context.Context) (*State, error) {
	if err := x.Sync(ctx); err != nil {
		return nil, err
	}
	x.files.RLock()
	defer x.files.RUnlock()
	x.mu.Lock()
	at := At{Number: x.synced}
	x.mu.Unlock()
	return Open(x.dir, at)
}

// Compare holds the index against its journal while both go on. A row that was
// changed meanwhile is not told of. See [State.Compare].
func (x *Index) Compare(ctx context.Context, most int) (Comparison, error) {
	x.files.RLock()
	defer x.files.RUnlock()
	if err := x.Sync(ctx); err != nil {
		return Comparison{}, err
	}
	x.mu.Lock()
	at := At{Number: x.synced}
	x.mu.Unlock()
	s, err := Open(x.dir, at)
	if err != nil {
		return Comparison{}, err
	}
	c, err := s.Compare(ctx, x.inner, most)
	if err := errors.Join(err, s.Close()); err != nil || c.Last == s.Number {
		return c, err
	}
	err = x.withoutChanged(ctx, &c, s.Number)
	return c, err
}

// withoutChanged takes out of a comparison what was changed after a number.
func (x *Index) withoutChanged(ctx context.Context, c *Comparison, after uint64) error {
	if err := x.Sync(ctx); err != nil {
		return err
	}
	s, err := Open(x.dir, At{Number: c.Last})
	if err != nil {
		return err
	}
	defer s.Close()
	changed := map[string]bool{}
	for _, d := range c.Differences {
		changed[d.Key] = false
	}
	for r, err := range s.Records(ctx, after) {
		if err != nil {
			return err
		}
		for change, err := range r.Changes() {
			if err != nil {
				return err
			}
			if _, ok := changed[change.Key]; ok {
				changed[change.Key] = true
			}
		}
	}
	left := c.Differences[:0]
	for _, d := range c.Differences {
		if !changed[d.Key] {
			left = append(left, d)
		}
	}
	c.Differences = left
	return nil
}
