package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// MaxHold is the longest that a hold lasts without being renewed. Whoever dies with
// one keeps bytes from being deleted for that long and no longer.
const MaxHold = 5 * time.Minute

// ErrHoldOver says that a hold has ended, so that bytes may be gone that were there
// when it began.
var ErrHoldOver = errors.New("the hold on deleted layers is over")

// Hold keeps the bytes of condemned blobs from being deleted. Whoever took it, looked
// at the index after that and copies what that look named, finds all of it.
type Hold struct {
	ID           string
	By           string // who has it, for people to read
	Since, Until time.Time
	// Lineage is the store's: see Settle.
	Lineage string
}

// HoldBytes begins a hold that lasts for a time, [MaxHold] at most, unless it is
// renewed. Any number of them may be held at once.
func (s *Service) HoldBytes(ctx context.Context, by string, lasts time.Duration) (Hold, error) {
	now := s.now()
	h := Hold{ID: newID(), By: by, Since: now, Until: now.Add(min(lasts, MaxHold))}
	err := s.update(ctx, func(tx storage.Tx) (err error) {
		if h.Lineage, err = lineage(tx); err != nil {
			return err
		}
		return putHold(tx, h)
	})
	return h, err
}

// RenewHold has a hold last for a time from now on. The error is ErrHoldOver if it has
// ended, however briefly.
func (s *Service) RenewHold(ctx context.Context, id string, lasts time.Duration) (Hold, error) {
	var h Hold
	err := s.update(ctx, func(tx storage.Tx) error {
		row, err := holds.Get(tx, id)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("%w: %s", ErrHoldOver, id)
		}
		if err != nil {
			return err
		}
		h = Hold{ID: id, By: row.By, Since: row.Since, Until: s.now().Add(min(lasts, MaxHold))}
		return putHold(tx, h)
	})
	return h, err
}

// ReleaseHold ends a hold. The error is ErrHoldOver if it had ended before.
func (s *Service) ReleaseHold(ctx context.Context, id string) error {
	err := s.update(ctx, func(tx storage.Tx) error {
		there, err := holds.Has(tx, id)
		if err == nil && !there {
			err = fmt.Errorf("%w: %s", ErrHoldOver, id)
		}
		if err != nil {
			return err
		}
		return holds.Delete(tx, id)
	})
	s.wakeJanitor()
	return err
}

func putHold(tx storage.Tx, h Hold) error {
	return holds.Put(tx, holdRow{By: h.By, Since: h.Since, Until: h.Until}, h.ID)
}

// onHold says whether there is a hold. One that is out of time counts until endHolds
// has removed it, so that whoever renews it learns that it did end. Who deletes bytes
// asks in the same look at the index that tells what may go: what it names then is
// named by nobody who takes a hold later.
func onHold(r storage.Reader) (bool, error) {
	n, err := countRows(holds.Scan(r, table.Select{Limit: 1}))
	return n > 0, err
}

// endHolds removes the holds that are out of time.
func (s *Service) endHolds(ctx context.Context) error {
	var some bool
	err := s.view(ctx, func(r storage.Reader) (err error) {
		some, err = onHold(r)
		return err
	})
	if err != nil || !some {
		return err
	}
	return s.update(ctx, func(tx storage.Tx) error {
		for f, err := range holds.Scan(tx, table.Select{}) {
			if err != nil {
				return err
			}
			if !f.Row.over(s.now()) {
				continue
			}
			if err := holds.Delete(tx, f.Key...); err != nil {
				return err
			}
		}
		return nil
	})
}

// over says whether a hold is out of time. One that ends later than any may is of a
// clock that has since been set back.
func (row holdRow) over(now time.Time) bool {
	return !row.Until.After(now) || row.Until.After(now.Add(MaxHold))
}
