// Package table keeps typed rows in a [storage.Index]: a table's name and the
// parts of a key become the index key, a row becomes JSON, or what its own
// MarshalBinary makes of it (which UnmarshalBinary, on the pointer, reads). Rows that
// are read or written all the time are Formed.
//
// Key parts are joined by a zero byte, which no part may hold, so that rows
// stand in the order of their parts, compared one after the other as bytes,
// and "a" never swallows the rows of "ab".
package table

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/seed-78150930/berth/storage"
)

const separator = "\x00"

// ErrBadKey says that a key part holds a zero byte or that there are too many
// or too few parts.
var ErrBadKey = errors.New("table: bad key")

// Table is a kind of row: its name and how many parts its keys have. It holds
// no state, so tables are package variables of whoever owns the rows.
type Table[Row any] struct {
	name  string
	parts int
}

// New describes a table. The name must not be used by another table of the
// same index, and keys have the given number of parts.
func New[Row any](name string, parts int) Table[Row] {
	return Table[Row]{name: name, parts: parts}
}

// Get returns the row under key, or storage.ErrNotFound.
func (t Table[Row]) Get(r storage.Reader, key ...string) (Row, error) {
	var row Row
	k, err := t.key(key)
	if err != nil {
		return row, err
	}
	value, err := r.Get(k)
	if err != nil {
		return row, err
	}
	return row, t.decode(value, &row)
}

// Has says whether there is a row under key.
func (t Table[Row]) Has(r storage.Reader, key ...string) (bool, error) {
	k, err := t.key(key)
	if err != nil {
		return false, err
	}
	_, err = r.Get(k)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Put writes row under key.
func (t Table[Row]) Put(tx storage.Tx, row Row, key ...string) error {
	k, err := t.key(key)
	if err != nil {
		return err
	}
	value, err := encode(row)
	if err != nil {
		return fmt.Errorf("table %s: %w", t.name, err)
	}
	return tx.Put(k, value)
}

// Delete removes the row under key; an absent one is no error.
func (t Table[Row]) Delete(tx storage.Tx, key ...string) error {
	k, err := t.key(key)
	if err != nil {
		return err
	}
	return tx.Delete(k)
}

// Select says which rows a scan yields: those whose first key parts are
// Prefix, after the key Prefix+After if After is set, at most Limit if it is
// not 0. After may have fewer parts than the key has left: rows that begin
// with it then count as before it only if it is their whole rest.
type Select struct {
	Prefix []string
	After  []string
	Limit  int
}

// Found is a row of a scan with the parts of its key.
type Found[Row any] struct {
	Key []string
	Row Row
}

// Scan yields rows in order of their keys. An error ends the scan.
func (t Table[Row]) Scan(r storage.Reader, s Select) iter.Seq2[Found[Row], error] {
	return func(yield func(Found[Row], error) bool) {
		rng, err := t.scanRange(s)
		if err != nil {
			yield(Found[Row]{}, err)
			return
		}
		for e, err := range r.Scan(rng) {
			if err == nil && len(s.Prefix) == t.parts && e.Key != rng.Prefix {
				return // a longer key; the whole one comes first
			}
			var f Found[Row]
			if err == nil {
				f.Key = strings.Split(strings.TrimPrefix(e.Key, t.name+separator), separator)
				err = t.decode(e.Value, &f.Row)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// Read reads a row that was come by without the table, and says whether it is one of the
// table's.
func (t Table[Row]) Read(e storage.Entry) (f Found[Row], ok bool, err error) {
	rest, ok := strings.CutPrefix(e.Key, t.name+separator)
	if !ok {
		return f, false, nil
	}
	f.Key = strings.Split(rest, separator)
	return f, true, t.decode(e.Value, &f.Row)
}

func (t Table[Row]) scanRange(s Select) (storage.Range, error) {
	if err := t.check(append(append([]string{}, s.Prefix...), s.After...), false); err != nil {
		return storage.Range{}, err
	}
	rng := storage.Range{Prefix: t.name + separator, Limit: s.Limit}
	for _, p := range s.Prefix {
		rng.Prefix += p + separator
	}
	if len(s.Prefix) == t.parts { // a whole key has no separator behind it
		rng.Prefix = strings.TrimSuffix(rng.Prefix, separator)
	}
	if len(s.After) > 0 {
		rng.After = rng.Prefix + strings.Join(s.After, separator)
	}
	return rng, nil
}

func (t Table[Row]) key(parts []string) (string, error) {
	if err := t.check(parts, true); err != nil {
		return "", err
	}
	size := len(t.name)
	for _, p := range parts {
		size += len(separator) + len(p)
	}
	var key strings.Builder
	key.Grow(size)
	key.WriteString(t.name)
	for _, p := range parts {
		key.WriteString(separator)
		key.WriteString(p)
	}
	return key.String(), nil
}

func (t Table[Row]) check(parts []string, whole bool) error {
	if len(parts) > t.parts || whole && len(parts) != t.parts {
		return fmt.Errorf("%w: %d parts for table %s, which has %d", ErrBadKey, len(parts), t.name, t.parts)
	}
	for _, p := range parts {
		if strings.IndexByte(p, separator[0]) >= 0 {
			return fmt.Errorf("%w: zero byte in %q", ErrBadKey, p)
		}
	}
	return nil
}

func (t Table[Row]) decode(value []byte, row *Row) error {
	if err := read(value, row); err != nil {
		return fmt.Errorf("table %s: %w", t.name, err)
	}
	return nil
}
