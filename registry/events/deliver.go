package events

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// How often a webhook's lanes are looked at, how many are worked at once, and how
// long a lane waits after failures: doubled each time, with a random part.
const (
	lookPause    = time.Second
	lanesAtOnce  = 4
	firstBackoff = 2 * time.Second
	maxBackoff   = time.Hour
)

// deliver sends what waits until ctx ends.
func (h *hook) deliver(ctx context.Context) {
	look := time.NewTicker(lookPause)
	defer look.Stop()
	for {
		if err := h.pass(ctx); err != nil && ctx.Err() == nil {
			h.follower.log.Error("deliveries wait", "webhook", h.Name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-look.C:
		}
	}
}

// pass works each lane that is due once, a few at a time.
func (h *hook) pass(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	free := make(chan struct{}, lanesAtOnce)
	for after := ""; ctx.Err() == nil; {
		lane, due, err := h.nextLane(ctx, after)
		if err != nil || lane == "" {
			return err
		}
		after = lane
		if !due {
			continue
		}
		free <- struct{}{}
		workers.Go(func() {
			defer func() { <-free }()
			h.work(ctx, lane)
		})
	}
	return nil
}

// nextLane is the first lane after the given one, "" if there is none, and whether
// its first event is due.
func (h *hook) nextLane(ctx context.Context, after string) (lane string, due bool, err error) {
	sel := table.Select{Prefix: []string{h.sink()}, Limit: 1}
	if after != "" {
		sel.After = []string{after, "\xff"} // behind all of the lane
	}
	err = h.follower.index.View(ctx, func(r storage.Reader) error {
		for f, err := range deliveries.Scan(r, sel) {
			if err != nil {
				return err
			}
			lane, due = f.Key[1], !f.Row.Next.After(h.follower.now())
		}
		return nil
	})
	return lane, due, err
}

// work sends the events of a lane in their order until one fails or none is left.
func (h *hook) work(ctx context.Context, lane string) {
	for ctx.Err() == nil {
		key, d, err := h.first(ctx, lane)
		if err != nil || key == nil || d.Next.After(h.follower.now()) {
			if err != nil && ctx.Err() == nil {
				h.follower.log.Error("deliveries wait", "webhook", h.Name, "error", err)
			}
			return
		}
		failed := h.send(ctx, d)
		if ctx.Err() != nil {
			return // stopped: it counts as not tried
		}
		if err := h.settle(ctx, key, d, failed); err != nil {
			h.follower.log.Error("delivery is not noted, and will be made again", "webhook", h.Name, "error", err)
			return
		}
		if failed != nil {
			return
		}
	}
}

func (h *hook) first(ctx context.Context, lane string) (key []string, d deliveryRow, err error) {
	err = h.follower.index.View(ctx, func(r storage.Reader) error {
		for f, err := range deliveries.Scan(r, table.Select{Prefix: []string{h.sink(), lane}, Limit: 1}) {
			if err != nil {
				return err
			}
			key, d = f.Key, f.Row
		}
		return nil
	})
	return key, d, err
}

// settle notes the outcome of a delivery: it is done, is tried again, or is dead.
func (h *hook) settle(ctx context.Context, key []string, d deliveryRow, failed error) error {
	now := h.follower.now().UTC()
	d.Attempts++
	tooOld := now.Sub(d.At) >= h.MaxAge
	if failed != nil {
		d.Last, d.Next = failed.Error(), now.Add(h.backoff(d.Attempts, failed))
		h.follower.log.Warn("delivery failed", "webhook", h.Name, "attempts", d.Attempts, "given up", tooOld, "error", failed)
	}
	return h.follower.index.Update(ctx, func(tx storage.Tx) error {
		if failed != nil && !tooOld {
			return deliveries.Put(tx, d, key...)
		}
		if err := deliveries.Delete(tx, key...); err != nil || failed == nil {
			return err
		}
		return dead.Put(tx, DeadLetter{
			Webhook: h.Name, Lane: key[1], Sequence: key[2], Envelope: d.Envelope, Attempts: d.Attempts, Error: d.Last, TakenAt: d.At, GivenUpAt: now,
		}, key[0], key[2])
	})
}

// backoff is how long to wait after a number of attempts: what the receiver asks
// for, else twice as long each time, less a random part of up to half.
func (h *hook) backoff(attempts int, failed error) time.Duration {
	var r *rejection
	if errors.As(failed, &r) && r.after > 0 {
		return r.after
	}
	wait := maxBackoff
	if attempts < 12 {
		wait = min(firstBackoff<<(attempts-1), maxBackoff)
	}
	return wait - rand.N(wait/2)
}
