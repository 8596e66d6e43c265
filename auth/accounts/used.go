package accounts

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// used are the keys that were used since it was last written down: to verify a
// request writes nothing.
type used struct {
	mu   sync.Mutex
	keys map[string]time.Time
}

// NoteUse notes that an access key was used. FlushUses writes it.
func (s *Store) NoteUse(id string) {
	if _, static := s.staticKey(id); static {
		return
	}
	s.used.mu.Lock()
	defer s.used.mu.Unlock()
	if s.used.keys == nil {
		s.used.keys = map[string]time.Time{}
	}
	s.used.keys[id] = s.now()
}

// FlushUses writes when keys were last used, to the second. What cannot be written
// is noted again.
func (s *Store) FlushUses(ctx context.Context) error {
	s.used.mu.Lock()
	keys := s.used.keys
	s.used.keys = nil
	s.used.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	err := s.index.Update(ctx, func(tx storage.Tx) error {
		for id, at := range keys {
			if err := noteUse(tx, id, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.used.mu.Lock()
		defer s.used.mu.Unlock()
		maps.Copy(keys, s.used.keys) // what came since is later
		s.used.keys = keys
	}
	return err
}

func noteUse(tx storage.Tx, id string, at time.Time) error {
	row, err := keyRows.Get(tx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // deleted since
	}
	if err != nil {
		return err
	}
	row.UsedAt = at.UTC().Truncate(time.Second)
	return keyRows.Put(tx, row, id)
}
