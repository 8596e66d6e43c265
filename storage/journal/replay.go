package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// Target is an empty index that a state is written into. Those of boltindex and
// memory are.
type Target interface {
	Update(ctx context.Context, fn func(storage.Tx) error) error
	// Renumber has the next update get the number after last.
	Renumber(ctx context.Context, last uint64) error
}

// Report says what was made of a journal.
type Report struct {
	Number uint64    // the last update that is there again
	Time   time.Time // when that was; zero if it is as old as the journal
	Rows   int64
	Cut    []string // see State
}

// batchSize is how many bytes of rows go into one update of a target.
const batchSize = 4 << 20

// Replay writes the state that the journal in a folder had into an empty index,
// which goes on with its numbers. If it fails the index is of no use.
func Replay(ctx context.Context, dir string, at At, into Target) (Report, error) {
	s, err := Open(dir, at)
	if err != nil {
		return Report{}, err
	}
	rows, err := s.fill(ctx, into)
	err = errors.Join(err, s.Close())
	if err != nil {
		err = fmt.Errorf("replay journal: %w", err)
	}
	return Report{s.Number, s.Time, rows, s.Cut}, err
}

func (s *State) fill(ctx context.Context, into Target) (rows int64, err error) {
	var b batch
	for e, err := range s.Rows(ctx) {
		if err != nil {
			return rows, err
		}
		rows++
		if b.add(e); b.size < batchSize {
			continue
		}
		if err := b.write(ctx, into); err != nil {
			return rows, err
		}
	}
	if err := b.write(ctx, into); err != nil {
		return rows, err
	}
	return rows, into.Renumber(ctx, s.Number)
}

// batch is rows of one update.
type batch struct {
	rows []storage.Entry
	size int
}

func (b *batch) add(e storage.Entry) {
	e.Value = append([]byte{}, e.Value...)
	b.rows = append(b.rows, e)
	b.size += len(e.Key) + len(e.Value)
}

func (b *batch) write(ctx context.Context, into Target) error {
	err := into.Update(ctx, func(tx storage.Tx) error {
		for _, e := range b.rows {
			if err := tx.Put(e.Key, e.Value); err != nil {
				return err
			}
		}
		return nil
	})
	b.rows, b.size = b.rows[:0], 0
	return err
}
