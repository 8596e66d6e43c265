package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// cursors say how far each sink is, in the registry's index.
var cursors = table.New[cursorRow]("eventcursor", 1) // sink

type cursorRow struct{ Sequence uint64 }

// sink is who takes events over, a page at a time.
type sink interface {
	key() string // of its rows
	// write is called before the page is noted, and again with the same events where
	// noting it fails. It ends soon when ctx does.
	write(ctx context.Context, page []Told) error
	// note writes rows, in the transaction that moves the cursor behind the page.
	note(tx storage.Tx, page []Told) error
	// noted is called when that transaction is there to stay.
	noted()
}

// How many events are read at once, and how long a sink rests that failed.
const (
	pageSize  = 200
	restAfter = time.Second
	mostRest  = time.Minute
)

// follow has a sink take over what happens.
func (f *Follower) follow(ctx context.Context, s sink) {
	rest := restAfter
	for ctx.Err() == nil {
		err := f.catchUp(ctx, s, func() { rest = restAfter })
		if ctx.Err() != nil {
			return
		}
		if !storage.Refuses(err) {
			f.log.Error("events wait", "sink", s.key(), "error", err)
		}
		pause(ctx, rest)
		rest = min(2*rest, mostRest)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// catchUp has a sink take over page after page from its cursor on, until something
// fails or ctx ends, and returns why. It calls went after each page.
func (f *Follower) catchUp(ctx context.Context, s sink, went func()) error {
	at, err := f.cursor(ctx, s)
	for err == nil {
		if at, err = f.step(ctx, s, at); err == nil {
			went()
		}
	}
	return err
}

// step has a sink take over what comes after a sequence number, and returns how far
// it is then.
func (f *Follower) step(ctx context.Context, s sink, at uint64) (uint64, error) {
	if err := f.registry.AwaitEvents(ctx, at); err != nil {
		return at, err
	}
	page, err := f.registry.Events(ctx, at, pageSize)
	if err != nil || len(page) == 0 {
		return at, err
	}
	if first := page[0].Sequence; first > at+1 {
		f.log.Error("events are gone that were not told in time", "sink", s.key(), "lost", first-at-1)
	}
	if err := storage.RefusalOf(ctx, f.index); err != nil {
		return at, err // how far the sink is could not be noted, and it would be told again and again
	}
	list, last := f.tell(page), page[len(page)-1].Sequence
	if err := s.write(ctx, list); err != nil {
		return at, err
	}
	// Not with ctx: what is written is noted, lest a stop have it written twice.
	err = f.index.Update(context.WithoutCancel(ctx), func(tx storage.Tx) error {
		if err := s.note(tx, list); err != nil {
			return err
		}
		return cursors.Put(tx, cursorRow{last}, s.key())
	})
	if err != nil {
		return at, fmt.Errorf("note events: %w", err)
	}
	s.noted()
	return last, nil
}

// cursor is how far a sink is.
func (f *Follower) cursor(ctx context.Context, s sink) (at uint64, err error) {
	err = f.index.View(ctx, func(r storage.Reader) error {
		row, err := cursors.Get(r, s.key())
		at = row.Sequence
		return err
	})
	return at, err
}

// meetSinks gives a cursor to sinks that have none, and forgets those that are not
// there any more.
func (f *Follower) meetSinks(ctx context.Context) error {
	last, err := f.registry.LastEvent(ctx)
	if err != nil {
		return err
	}
	known, met := map[string]bool{}, true
	err = f.index.View(ctx, func(r storage.Reader) error {
		for _, s := range f.sinks() {
			known[s.key()] = true
			has, err := cursors.Has(r, s.key())
			if err != nil {
				return err
			}
			met = met && has
		}
		return nil
	})
	if err == nil && !met { // or a start need not wait for others' updates
		err = f.index.Update(ctx, func(tx storage.Tx) error { return beginAt(tx, last, known) })
	}
	if err != nil {
		return err
	}
	return f.forgetSinks(ctx, known)
}

// beginAt gives a cursor to those sinks that have none.
func beginAt(tx storage.Tx, last uint64, sinks map[string]bool) error {
	for key := range sinks {
		has, err := cursors.Has(tx, key)
		if err == nil && !has {
			err = cursors.Put(tx, cursorRow{last}, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Follower) forgetSinks(ctx context.Context, known map[string]bool) error {
	oldest, err := f.oldest(ctx)
	if err != nil {
		return err
	}
	var gone []string
	err = f.index.View(ctx, func(r storage.Reader) error {
		gone = nil
		for found, err := range cursors.Scan(r, table.Select{}) {
			if err != nil {
				return err
			}
			if key := found.Key[0]; !known[key] && found.Row.Sequence+1 < oldest {
				gone = append(gone, key)
			}
		}
		return nil
	})
	for _, key := range gone {
		err = errors.Join(err, f.forget(ctx, key))
	}
	return err
}

// oldest is the sequence number of the first event that the log holds, 0 if it holds
// none.
func (f *Follower) oldest(ctx context.Context) (uint64, error) {
	page, err := f.registry.Events(ctx, 0, 1)
	if err != nil || len(page) == 0 {
		return 0, err
	}
	return page[0].Sequence, nil
}

// forget deletes what a sink still had to get, and then its cursor. Dead letters
// stay.
func (f *Follower) forget(ctx context.Context, sink string) error {
	f.log.Warn("a sink of events is not configured any more, and forgotten", "sink", sink)
	for {
		left := true
		err := f.index.Update(ctx, func(tx storage.Tx) (err error) {
			left, err = forgetSome(tx, sink)
			if err != nil || left {
				return err
			}
			return cursors.Delete(tx, sink)
		})
		if err != nil || !left {
			return err
		}
	}
}

// forgetSome deletes some of what a sink had to get, and says whether there may be
// more.
func forgetSome(tx storage.Tx, sink string) (left bool, err error) {
	for found, err := range deliveries.Scan(tx, table.Select{Prefix: []string{sink}, Limit: pageSize}) {
		if err != nil {
			return false, err
		}
		if err := deliveries.Delete(tx, found.Key...); err != nil {
			return false, err
		}
		left = true
	}
	return left, nil
}
