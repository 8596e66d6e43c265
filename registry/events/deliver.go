package events

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// How often a webhook's lanes are looked at without a reason, how many are worked at
// once and how many events of one at a time, and how long a lane waits after failures:
// doubled each time, with a random part.
const (
	lookPause    = time.Minute
	lanesAtOnce  = 8
	eventsAtOnce = 20
	firstBackoff = 2 * time.Second
	maxBackoff   = time.Hour
)

// deliver sends what waits until ctx ends.
func (h *hook) deliver(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	free := make(chan struct{}, lanesAtOnce)
	for ctx.Err() == nil {
		again, err := h.pass(ctx, func(lane string) bool {
			select {
			case <-ctx.Done():
				return false
			case free <- struct{}{}:
			}
			workers.Go(func() {
				defer func() { <-free }()
				h.visit(ctx, lane)
			})
			return true
		})
		if err != nil && ctx.Err() == nil && !storage.Refuses(err) {
			h.follower.log.Error("deliveries wait", "webhook", h.Name, "error", err)
		}
		h.rest(ctx, again.Sub(h.follower.now()))
	}
}

// rest waits for a while, or until there may be something to do.
func (h *hook) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-h.wake:
	case <-t.C:
	}
}

// pass has each lane worked that is due and that nobody works yet, as long as work
// says that there is somebody to do it, and returns when the next one is due. It goes
// through all lanes before it comes to one again, so that a lane that always has
// something to send leaves room for others.
func (h *hook) pass(ctx context.Context, work func(lane string) bool) (again time.Time, err error) {
	again = h.follower.now().Add(lookPause)
	for after := ""; ; {
		now := h.follower.now()
		if until := h.sleeps(); until.After(now) {
			return earlier(again, until), nil
		}
		lane, due, err := h.nextLane(ctx, after)
		if err != nil {
			return now.Add(restAfter), err
		}
		if lane == "" {
			return again, nil
		}
		after = lane
		if due.After(now) {
			again = earlier(again, due)
		} else if h.begin(lane) && !work(lane) {
			return again, nil
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// sleeps is until when the receiver wants nothing.
func (h *hook) sleeps() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asleep
}

// begin says whether nobody works a lane, and notes that somebody does now.
func (h *hook) begin(lane string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy[lane] {
		return false
	}
	h.busy[lane] = true
	return true
}

// nextLane is the first lane after the given one, "" if there is none, and when its
// first event is due.
func (h *hook) nextLane(ctx context.Context, after string) (lane string, due time.Time, err error) {
	sel := table.Select{Prefix: []string{h.key()}, Limit: 1}
	if after != "" {
		sel.After = []string{after, "\xff"} // behind all of the lane
	}
	key, d, err := h.find(ctx, sel)
	if err != nil || key == nil {
		return "", due, err
	}
	return key[1], d.Next, nil
}

// find returns the first row that is selected; its key is nil if there is none.
func (h *hook) find(ctx context.Context, sel table.Select) (key []string, d deliveryRow, err error) {
	err = h.follower.index.View(ctx, func(r storage.Reader) error {
		for f, err := range deliveries.Scan(r, sel) {
			if err != nil {
				return err
			}
			key, d = f.Key, f.Row
		}
		return nil
	})
	return key, d, err
}

// visit works a lane for a while, and then has the lanes looked at again: for what is
// left to send, or for when it is due.
func (h *hook) visit(ctx context.Context, lane string) {
	if err := h.work(ctx, lane); err != nil && ctx.Err() == nil {
		if !storage.Refuses(err) {
			h.follower.log.Error("deliveries wait", "webhook", h.Name, "error", err)
		}
		pause(ctx, restAfter)
	}
	h.mu.Lock()
	delete(h.busy, lane)
	h.mu.Unlock()
	h.poke()
}

// work sends events of a lane in their order until one fails, none is left, or it is
// the turn of others.
func (h *hook) work(ctx context.Context, lane string) error {
	for range eventsAtOnce {
		key, d, err := h.find(ctx, table.Select{Prefix: []string{h.key(), lane}, Limit: 1})
		now := h.follower.now()
		if err != nil || key == nil || d.Next.After(now) || h.sleeps().After(now) {
			return err
		}
		if err := storage.RefusalOf(ctx, h.follower.index); err != nil {
			return err // what was sent could not be noted, and would be sent again and again
		}
		failed := h.send(ctx, d)
		if failed != nil && ctx.Err() != nil {
			return nil // stopped: it counts as not tried
		}
		// Not with ctx: what was taken is noted, lest a stop have it sent twice.
		if err := h.settle(context.WithoutCancel(ctx), key, d, failed); err != nil || failed != nil {
			return err
		}
	}
	return nil
}

// settle notes the outcome of a delivery: it is done, is tried again, or is dead.
func (h *hook) settle(ctx context.Context, key []string, d deliveryRow, failed error) error {
	if failed == nil {
		return h.follower.index.Update(ctx, func(tx storage.Tx) error { return deliveries.Delete(tx, key...) })
	}
	now := h.follower.now().UTC()
	d.Attempts++
	d.Last, d.Next = short(failed.Error()), h.next(now, d, failed)
	if now.Sub(d.At) >= h.MaxAge {
		return h.bury(ctx, key, d, now)
	}
	h.follower.log.Warn("delivery failed", "webhook", h.Name, "sequence", key[2], "attempts", d.Attempts, "next", d.Next, "error", d.Last)
	return h.follower.index.Update(ctx, func(tx storage.Tx) error { return deliveries.Put(tx, d, key...) })
}

// short is an error that fits into a row whatever a receiver had a hand in.
func short(text string) string { return text[:min(len(text), 1000)] }

// next is when a delivery that has failed is tried again, for the last time when it
// is as old as it may be.
func (h *hook) next(now time.Time, d deliveryRow, failed error) time.Time {
	wait := backoff(d.Attempts)
	var r *rejection
	if errors.As(failed, &r) && r.after > 0 {
		wait = r.after
		h.leaveAlone(now, r)
	}
	at, last := now.Add(wait), d.At.Add(h.MaxAge)
	if at.After(last) && last.After(now) {
		return last
	}
	return at
}

// leaveAlone sends nothing for a while to a receiver that says by 429 that it is sent too much: that is not
// about one repository.
func (h *hook) leaveAlone(now time.Time, r *rejection) {
	if r.status != http.StatusTooManyRequests {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := now.Add(min(r.after, h.MaxAge)); until.After(h.asleep) {
		h.asleep = until
	}
}

// backoff is how long to wait after a number of attempts: twice as long each time,
// less a random part of up to half.
func backoff(attempts int) time.Duration {
	wait := maxBackoff
	if attempts < 12 {
		wait = min(firstBackoff<<(attempts-1), maxBackoff)
	}
	return wait - rand.N(wait/2)
}
