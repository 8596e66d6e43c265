package events

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// DeadLetter is an event that a webhook did not take in time.
type DeadLetter struct {
	Webhook   string          `json:"webhook"`
	Sequence  string          `json:"sequence"` // with the webhook, what it is known by
	Lane      string          `json:"lane"`
	Envelope  json.RawMessage `json:"event"`
	Attempts  int             `json:"attempts"`
	Error     string          `json:"error"` // of the last attempt
	TakenAt   time.Time       `json:"takenAt"`
	GivenUpAt time.Time       `json:"givenUpAt"`
}

// ErrNoLetter says that there is no such dead letter.
var ErrNoLetter = errors.New("events: there is no such dead letter")

// maxLetters is how many dead letters are listed at once.
const maxLetters = 1000

// DeadLetters lists what webhooks did not take, at most 1,000, those of one
// webhook in the order of the events.
func (f *Follower) DeadLetters(ctx context.Context) (list []DeadLetter, err error) {
	err = f.index.View(ctx, func(r storage.Reader) error {
		list = nil
		for found, err := range dead.Scan(r, table.Select{Limit: maxLetters}) {
			if err != nil {
				return err
			}
			list = append(list, found.Row)
		}
		return nil
	})
	return list, err
}

// Replay has a dead letter delivered again, by a webhook that is there. The error is
// ErrNoLetter if there is none.
func (f *Follower) Replay(ctx context.Context, webhook, sequence string) error {
	err := f.letter(ctx, webhook, sequence, func(tx storage.Tx, d DeadLetter, sink string) error {
		now := f.now().UTC()
		return deliveries.Put(tx, deliveryRow{Envelope: d.Envelope, At: now, Next: now}, sink, d.Lane, d.Sequence)
	})
	for _, h := range f.hooks {
		h.poke()
	}
	return err
}

// Drop removes a dead letter. The error is ErrNoLetter if there is none.
func (f *Follower) Drop(ctx context.Context, webhook, sequence string) error {
	return f.letter(ctx, webhook, sequence, func(storage.Tx, DeadLetter, string) error { return nil })
}

// letter removes a dead letter after fn has used it.
func (f *Follower) letter(ctx context.Context, webhook, sequence string, fn func(tx storage.Tx, d DeadLetter, sink string) error) error {
	sink := (&hook{Webhook: Webhook{Name: webhook}}).sink()
	return f.index.Update(ctx, func(tx storage.Tx) error {
		d, err := dead.Get(tx, sink, sequence)
		if errors.Is(err, storage.ErrNotFound) || errors.Is(err, table.ErrBadKey) {
			return ErrNoLetter
		}
		if err != nil {
			return err
		}
		if err := fn(tx, d, sink); err != nil {
			return err
		}
		return dead.Delete(tx, sink, sequence)
	})
}
