package events

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// DeadLetter is an event that a webhook did not take in time.
type DeadLetter struct {
	LetterID
	Envelope  json.RawMessage `json:"event"`
	Attempts  int             `json:"attempts"`
	Error     string          `json:"error"` // of the last attempt
	TakenAt   time.Time       `json:"takenAt"`
	GivenUpAt time.Time       `json:"givenUpAt"`
}

// LetterID is what a dead letter is known by.
type LetterID struct {
	Webhook  string `json:"webhook"`  // its name
	Sequence uint64 `json:"sequence"` // of the event in the log
}

func (id LetterID) row() []string { return []string{hookKey(id.Webhook), sequenceKey(id.Sequence)} }

// Why a dead letter cannot be replayed or dropped.
var (
	ErrNoLetter  = errors.New("events: there is no such dead letter")
	ErrNoWebhook = errors.New("events: the webhook is not configured")
)

// dead are the dead letters. Keys are sink and sequence number.
var dead = table.New[letterRow]("eventdead", 2)

type letterRow struct {
	Lane      string
	Envelope  json.RawMessage
	Attempts  int
	Last      string
	At        time.Time
	GivenUpAt time.Time
}

// bury makes a dead letter of a delivery.
func (h *hook) bury(ctx context.Context, key []string, d deliveryRow, now time.Time) error {
	h.follower.log.Error("delivery given up, and kept as a dead letter", "webhook", h.Name, "sequence", key[2], "attempts", d.Attempts, "error", d.Last)
	row := letterRow{Lane: key[1], Envelope: d.Envelope, Attempts: d.Attempts, Last: d.Last, At: d.At, GivenUpAt: now}
	return h.follower.index.Update(ctx, func(tx storage.Tx) error {
		if err := deliveries.Delete(tx, key...); err != nil {
			return err
		}
		return dead.Put(tx, row, key[0], key[2])
	})
}

// DeadLetters lists what webhooks did not take, at most limit and those behind the
// given one, by webhook and then in the order of the events. The zero ID is before
// all.
func (f *Follower) DeadLetters(ctx context.Context, after LetterID, limit int) (list []DeadLetter, err error) {
	sel := table.Select{Limit: limit}
	if after != (LetterID{}) {
		sel.After = after.row()
	}
	err = f.index.View(ctx, func(r storage.Reader) error {
		list = nil
		for found, err := range dead.Scan(r, sel) {
			if err != nil {
				return err
			}
			d, err := found.Row.letter(found.Key)
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	if errors.Is(err, table.ErrBadKey) {
		return nil, ErrNoLetter
	}
	return list, err
}

func (row letterRow) letter(key []string) (DeadLetter, error) {
	n, err := strconv.ParseUint(key[1], 16, 64)
	return DeadLetter{
		LetterID: LetterID{key[0][len(hookKey("")):], n}, Envelope: row.Envelope, Attempts: row.Attempts, Error: row.Last,
		TakenAt: row.At, GivenUpAt: row.GivenUpAt,
	}, err
}

// Replay has a dead letter delivered again, as if it had just happened. The error is
// ErrNoLetter if there is none, and ErrNoWebhook if nobody would deliver it.
func (f *Follower) Replay(ctx context.Context, id LetterID) error {
	at := slices.IndexFunc(f.hooks, func(h *hook) bool { return h.Name == id.Webhook })
	err := f.take(ctx, id, func(tx storage.Tx, row letterRow) error {
		if at < 0 {
			return ErrNoWebhook
		}
		now := f.now().UTC()
		return deliveries.Put(tx, deliveryRow{Envelope: row.Envelope, At: now, Next: now}, hookKey(id.Webhook), row.Lane, sequenceKey(id.Sequence))
	})
	if err == nil {
		f.hooks[at].poke()
	}
	return err
}

// Drop removes a dead letter. The error is ErrNoLetter if there is none.
func (f *Follower) Drop(ctx context.Context, id LetterID) error {
	return f.take(ctx, id, func(storage.Tx, letterRow) error { return nil })
}

// take removes a dead letter after fn has used it.
func (f *Follower) take(ctx context.Context, id LetterID, fn func(storage.Tx, letterRow) error) error {
	return f.index.Update(ctx, func(tx storage.Tx) error {
		row, err := dead.Get(tx, id.row()...)
		if errors.Is(err, storage.ErrNotFound) || errors.Is(err, table.ErrBadKey) {
			return ErrNoLetter
		}
		if err != nil {
			return err
		}
		if err := fn(tx, row); err != nil {
			return err
		}
		return dead.Delete(tx, id.row()...)
	})
}
