package journal

import (
	"bytes"
	"context"
	"iter"

	"github.com/seed-78150930/berth/storage"
)

// Kind says how a row of the index and the journal's differ.
type Kind string

// What a Difference may be.
const (
	NotInIndex   Kind = "not in the index"
	NotInJournal Kind = "not in the journal"
	Unlike       Kind = "another value"
)

// Difference is a row that the index and the journal do not have alike.
type Difference struct {
	Key  string
	Kind Kind
}

// Comparison is what came of comparing.
type Comparison struct {
	Rows  int64  // of the journal's state
	First uint64 // last update of which the index showed its first rows
	Last  uint64 // and its last ones: the same if it was quiet
	// Differences are not all where there are More.
	Differences []Difference
	More        bool
}

// Compare holds an index against a state of its journal. If the index has gone
// on since, it differs in what the updates since did; [Index.Compare] knows
// better. It keeps the first differences, as many as most says.
func (s *State) Compare(ctx context.Context, x storage.Numbered, most int) (Comparison, error) {
	c := Comparison{First: x.Last(), Last: x.Last()}
	next, stop := iter.Pull2(walk(ctx, x, &c.Last))
	defer stop()
	row, err, more := next()
	for e, err2 := range s.Rows(ctx) {
		if err2 != nil {
			return c, err2
		}
		c.Rows++
		for err == nil && more && row.Key < e.Key {
			c.add(most, row.Key, NotInJournal)
			row, err, more = next()
		}
		if err != nil {
			return c, err
		}
		if !more || row.Key > e.Key {
			c.add(most, e.Key, NotInIndex)
			continue
		}
		if !bytes.Equal(row.Value, e.Value) {
			c.add(most, e.Key, Unlike)
		}
		row, err, more = next()
	}
	for err == nil && more {
		c.add(most, row.Key, NotInJournal)
		row, err, more = next()
	}
	return c, err
}

func (c *Comparison) add(most int, key string, kind Kind) {
	if len(c.Differences) >= most {
		c.More = true
		return
	}
	c.Differences = append(c.Differences, Difference{key, kind})
}

// pageSize is how many bytes of rows are read in one view.
const pageSize = 128 << 10

// walk yields all rows of an index, a page by a view of its own, and keeps the
// number of the last one. The rows are the receiver's.
func walk(ctx context.Context, x storage.Index, number *uint64) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for after, more := "", true; more; {
			var page []storage.Entry
			var err error
			if page, *number, err = readPage(ctx, x, after); err != nil {
				yield(storage.Entry{}, err)
				return
			}
			for _, e := range page {
				after = e.Key
				if !yield(e, nil) {
					return
				}
			}
			more = len(page) > 0
		}
	}
}

// readPage reads the rows after a key in one view, and its number.
func readPage(ctx context.Context, x storage.Index, after string) (page []storage.Entry, number uint64, err error) {
	err = x.View(ctx, func(r storage.Reader) error {
		number = r.(storage.Numbering).Number()
		size := 0
		for e, err := range r.Scan(storage.Range{After: after}) {
			if err != nil {
				return err
			}
			page = append(page, storage.Entry{Key: e.Key, Value: bytes.Clone(e.Value)})
			if size += len(e.Key) + len(e.Value); size >= pageSize {
				return nil
			}
		}
		return nil
	})
	return page, number, err
}
