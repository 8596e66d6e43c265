// Package clock is a clock for what must not happen twice: it never goes back, also not
// over a restart, and it says when the machine's own clock is not to be trusted.
//
// The latest time that was told is kept in the index, at most once a minute. Where the
// machine's clock is behind that, time goes on from there at half its rate until the
// clock has caught up. So what has ended stays ended, whatever becomes of the clock.
//
// A clock that moves against the time that really passed has been set, or was wrong
// before. Then [Clock.Held] says so for an hour: whoever removes things by their age
// waits, for all of them may seem old at once.
package clock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// How far the clock may move against the time that passed between two looks, how far
// ahead of the time that was kept it may be at a start, and how long it is held to be
// doubtful after it moved further.
const (
	bound      = time.Minute
	startBound = time.Hour
	settle     = time.Hour
)

const (
	lookPause = 10 * time.Second
	keepPause = time.Minute
)

// markRow is the latest time that was told.
type markRow struct{ At time.Time }

var marks = table.New[markRow]("clock-mark", 1)

// markKey is the one row there is.
const markKey = "latest"

// Options are what a clock is made of.
type Options struct {
	Index storage.Index // required
	// Wall is the machine's clock; nil means time.Now.
	Wall func() time.Time
	// Elapsed is the time that passed since some moment, which nobody can set; nil means
	// that since Open. A machine that sleeps may stop it.
	Elapsed func() time.Duration
	// Log is told when the clock is found to have moved; nil means nobody is.
	Log *slog.Logger
}

// Clock tells the time. It is safe for use by several goroutines.
type Clock struct {
	index   storage.Index
	wall    func() time.Time
	elapsed func() time.Duration
	log     *slog.Logger

	mu        sync.Mutex
	last      time.Time     // the latest that was told
	lastAt    time.Duration // when that was
	kept      time.Time     // of last, in the index
	seen      time.Time     // of the wall, at the last look
	seenAt    time.Duration
	why       string        // the clock is doubtful
	heldUntil time.Duration // 0 if it is not
}

// Open reads the latest time that a process told before.
func Open(ctx context.Context, o Options) (*Clock, error) {
	if o.Index == nil {
		return nil, errors.New("clock: an index is needed")
	}
	c := &Clock{index: o.Index, wall: o.Wall, elapsed: o.Elapsed, log: o.Log}
	if c.wall == nil {
		c.wall = time.Now
	}
	if c.elapsed == nil {
		began := time.Now()
		c.elapsed = func() time.Duration { return time.Since(began) }
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	err := o.Index.View(ctx, func(r storage.Reader) error {
		row, err := marks.Get(r, markKey)
		c.kept = row.At
		return err
	})
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("read the latest time: %w", err)
	}
	c.begin()
	return c, nil
}

// begin compares the clock with the time that was kept.
func (c *Clock) begin() {
	now, at := c.read()
	c.seen, c.seenAt = now, at
	c.last, c.lastAt = now, at
	if c.kept.After(now) {
		c.last = c.kept
	}
	if ahead := now.Sub(c.kept); !c.kept.IsZero() && ahead > startBound {
		c.hold(at, fmt.Sprintf("the clock is %s ahead of when the server ran last", ahead.Round(time.Second)))
	}
	c.look(now, at)
}

// read is the wall's time, without what Go keeps beside it: two of them are compared
// as the wall says.
func (c *Clock) read() (time.Time, time.Duration) { return c.wall().Round(0), c.elapsed() }

// Now is the time, never one before that which any Now of this index has told and kept.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, at := c.read()
	return c.tell(now, at)
}

func (c *Clock) tell(now time.Time, at time.Duration) time.Time {
	if now.Before(c.last) {
		now = c.last.Add(max(0, at-c.lastAt) / 2)
	}
	c.last, c.lastAt = now, at
	return now
}

// Held says why nothing should be removed by its age for now: nil if the clock has been
// steady.
func (c *Clock) Held() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, at := c.read()
	c.look(now, at)
	if at >= c.heldUntil {
		return nil
	}
	return fmt.Errorf("%w for %s more: %s", ErrHeld, (c.heldUntil - at).Round(time.Second), c.why)
}

// ErrHeld says that the clock moved, so that ages are not believed yet.
var ErrHeld = errors.New("nothing is removed by its age")

// look compares how far the wall moved with the time that passed. The caller has the
// lock.
func (c *Clock) look(now time.Time, at time.Duration) {
	moved := now.Sub(c.seen) - (at - c.seenAt)
	c.seen, c.seenAt = now, at
	behind := c.last.Sub(now)
	switch {
	case moved > bound, moved < -bound:
		c.hold(at, fmt.Sprintf("the clock moved by %s against the time that passed", moved.Round(time.Second)))
	case behind > bound:
		c.hold(at, fmt.Sprintf("the clock is %s behind what it has shown", behind.Round(time.Second)))
	}
	c.tell(now, at)
}

// hold begins the time for which the clock is doubtful, or has it begin again.
func (c *Clock) hold(at time.Duration, why string) {
	if at >= c.heldUntil {
		c.log.Warn("the clock is not to be trusted: nothing is removed by its age until it was steady for a while", "why", why, "for", settle)
	}
	c.heldUntil, c.why = at+settle, why
}

// Run looks at the clock and keeps the time, until ctx ends and then once more. A store
// that takes no writes is no error.
func (c *Clock) Run(ctx context.Context) error {
	looks, keeps := time.NewTicker(lookPause), time.NewTicker(keepPause)
	defer looks.Stop()
	defer keeps.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.Keep(context.WithoutCancel(ctx))
		case <-looks.C:
			_ = c.Held() // which notes what it sees; sweeps ask for the answer
		case <-keeps.C:
			if err := c.Keep(ctx); err != nil && ctx.Err() == nil {
				c.log.Error("the latest time is not kept", "error", err)
			}
		}
	}
}

// Keep writes the latest time.
func (c *Clock) Keep(ctx context.Context) error {
	at := c.Now().UTC()
	c.mu.Lock()
	news := at.After(c.kept)
	c.mu.Unlock()
	if !news {
		return nil
	}
	err := c.index.Update(storage.UseReserve(ctx), func(tx storage.Tx) error { return marks.Put(tx, markRow{at}, markKey) })
	if storage.Refuses(err) {
		return nil
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = at
	return nil
}
