package boltindex

import (
	"bytes"
	"iter"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/storage"
)

// tx is a storage.Tx, or the storage.Reader of a view. Values come from the
// mapped file as they are.
type tx struct {
	rows  *bbolt.Bucket // nil once the transaction has ended
	get   *bbolt.Cursor // of Get; one for all spares the memory of its path
	key   []byte        // that Get looks for
	undo  []change
	bytes int // of keys and values written

	number  uint64
	touched map[string]struct{} // takes the keys of writes, if it is not nil
}

// change is what a write replaced.
type change struct {
	key string
	old []byte // nil if there was none
}

// Number implements storage.Numbering.
func (t *tx) Number() uint64 { return t.number }

func (t *tx) end() { t.rows = nil }

func (t *tx) Get(key string) (value []byte, err error) {
	defer catch(&err)
	if t.rows == nil {
		return nil, errEnded
	}
	if t.get == nil {
		t.get, t.key = t.rows.Cursor(), make([]byte, 0, 256)
	}
	t.key = append(t.key[:0], key...)
	found, value := t.get.Seek(t.key)
	if found == nil || string(found) != key {
		return nil, storage.ErrNotFound
	}
	return value, nil
}

func (t *tx) Put(key string, value []byte) (err error) {
	defer catch(&err)
	if t.rows == nil {
		return errEnded
	}
	if err := storage.CheckRow(key, value); err != nil {
		return err
	}
	k := []byte(key)
	t.note(key, t.rows.Get(k))
	t.bytes += len(key) + len(value)
	return t.rows.Put(k, append([]byte{}, value...)) // bbolt keeps what it is given
}

func (t *tx) Delete(key string) (err error) {
	defer catch(&err)
	if t.rows == nil {
		return errEnded
	}
	k := []byte(key)
	old := t.rows.Get(k)
	if old == nil {
		return nil
	}
	t.note(key, old)
	t.bytes += len(key)
	return t.rows.Delete(k)
}

func (t *tx) note(key string, old []byte) {
	t.undo = append(t.undo, change{key: key, old: old})
	if t.touched != nil {
		t.touched[key] = struct{}{}
	}
}

// revert takes back all writes.
func (t *tx) revert() (err error) {
	defer catch(&err)
	for _, c := range slices.Backward(t.undo) {
		if c.old == nil {
			err = t.rows.Delete([]byte(c.key))
		} else {
			err = t.rows.Put([]byte(c.key), c.old)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) Scan(r storage.Range) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		s := scan{t: t, start: []byte(r.Start())}
		prefix := []byte(r.Prefix)
		for n := 1; ; n++ {
			key, value, err := s.next()
			if err != nil {
				yield(storage.Entry{}, err)
				return
			}
			if key == nil || !bytes.HasPrefix(key, prefix) {
				return
			}
			// The key is copied, for a string that outlives its memory is
			// too great a trap; a value is known to be lent.
			if !yield(storage.Entry{Key: string(key), Value: value}, nil) || n == r.Limit {
				return
			}
		}
	}
}

// scan walks over the rows. A write makes bbolt's cursor void, so after one it
// looks for its place again.
type scan struct {
	t      *tx
	start  []byte // the least key to come
	cursor *bbolt.Cursor
	writes int // when the cursor was made
}

func (s *scan) next() (key, value []byte, err error) {
	defer catch(&err)
	if s.t.rows == nil {
		return nil, nil, errEnded
	}
	if s.cursor == nil || s.writes != len(s.t.undo) {
		s.cursor, s.writes = s.t.rows.Cursor(), len(s.t.undo)
		key, value = s.cursor.Seek(s.start)
	} else {
		key, value = s.cursor.Next()
	}
	s.start = append(append(s.start[:0], key...), 0)
	return key, value, nil
}
