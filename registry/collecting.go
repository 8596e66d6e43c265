package registry

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// collecting is what is known of collections in this process.
type collecting struct {
	turn chan struct{} // has a value while a pass is under way

	mu      sync.Mutex
	figures CollectionFigures
	counted Collected // of the pass under way, what the totals have already
}

func newCollecting() collecting { return collecting{turn: make(chan struct{}, 1)} }

// CollectionFigures say how the collection does. The totals are those since the
// service was opened.
type CollectionFigures struct {
	Runs, Failures int64     // passes that ended well, and that were broken off by a fault
	Total          Collected // of all passes; its times are zero
	// Running is the pass under way, nil if there is none.
	Running *Collected
	// Last is the last pass that ended, also one before the service was opened; nil if none is known.
	Last *Collected
	// Waiting is how many blobs wait for the deletion of their bytes; a scan of
	// [MostWaiting] rows is as far as it is counted.
	Waiting int64
}

// MostWaiting is how far the blobs are counted that wait for deletion.
const MostWaiting = 10_000

func (c *collecting) begin(done Collected) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counted = done // by the process that began the pass
	c.figures.Running = &done
}

func (c *collecting) progress(done Collected) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(done)
	c.figures.Running = &done
}

func (c *collecting) count(done Collected) {
	for _, n := range []struct {
		total     *int64
		now, then int64
	}{
		{&c.figures.Total.Looked, done.Looked, c.counted.Looked},
		{&c.figures.Total.Layers, done.Layers, c.counted.Layers},
		{&c.figures.Total.Blobs, done.Blobs, c.counted.Blobs},
		{&c.figures.Total.Contents, done.Contents, c.counted.Contents},
		{&c.figures.Total.Uploads, done.Uploads, c.counted.Uploads},
		{&c.figures.Total.Orphans, done.Orphans, c.counted.Orphans},
		{&c.figures.Total.Bytes, done.Bytes, c.counted.Bytes},
	} {
		*n.total += n.now - n.then
	}
	c.counted = done
}

func (c *collecting) end(done Collected, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(done)
	c.figures.Running = nil
	if err != nil {
		c.figures.Failures++
		return
	}
	c.figures.Runs++
	c.figures.Last = &done
}

// CollectionFigures reads how the collection does.
func (s *Service) CollectionFigures(ctx context.Context) (f CollectionFigures, err error) {
	s.collection.mu.Lock()
	f = s.collection.figures
	s.collection.mu.Unlock()
	err = s.view(ctx, func(r storage.Reader) error {
		n, err := countRows(condemned.Scan(r, table.Select{Limit: MostWaiting}))
		if f.Waiting = int64(n); err != nil || f.Last != nil {
			return err
		}
		row, err := collections.Get(r, lastPass)
		if err == nil {
			f.Last = &row.Done
		}
		return ignoreNotFound(err)
	})
	return f, err
}

// pace spreads work over time.
type pace struct {
	rate func() int // how much a second; 0 means without pauses
	owed time.Duration
}

// leastPause is not worth a timer's while.
const leastPause = 10 * time.Millisecond

// wait waits as long as n more of the work ought to take.
func (p *pace) wait(ctx context.Context, n int64) error {
	rate := p.rate()
	if rate <= 0 {
		return ctx.Err()
	}
	if p.owed += time.Duration(n) * time.Second / time.Duration(rate); p.owed < leastPause {
		return ctx.Err()
	}
	pause := time.NewTimer(p.owed)
	defer pause.Stop()
	p.owed = 0
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asked notes which layers clients were lately told are there, so that they have a
// grace to name them in an image. It is a courtesy, bounded and forgotten by a restart:
// a client whose layer is gone is told so when it pushes the image, and sends the layer.
type asked struct {
	seed maphash.Seed

	mu          sync.Mutex
	young, aged map[uint64]time.Time // by the hash of a held row's key; the aged ones are forgotten next
}

// mostAsked bounds each of the two generations: some megabytes.
const mostAsked = 1 << 16

func newAsked() asked { return asked{seed: maphash.MakeSeed(), young: map[uint64]time.Time{}} }

func (a *asked) hash(key []string) uint64 {
	var h maphash.Hash
	h.SetSeed(a.seed)
	for _, part := range key {
		_, _ = h.WriteString(part) // it does not fail
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

func (a *asked) note(key []string, now time.Time) {
	h := a.hash(key)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.young) >= mostAsked {
		a.aged, a.young = a.young, make(map[uint64]time.Time, mostAsked)
	}
	a.young[h] = now
}

// within says whether a layer was asked for in the time before now.
func (a *asked) within(key []string, now time.Time, grace time.Duration) bool {
	h := a.hash(key)
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.young[h]
	if !ok {
		at, ok = a.aged[h]
	}
	return ok && now.Sub(at) < grace
}
