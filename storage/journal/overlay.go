package journal

import (
	"context"
	"maps"
	"slices"

	"github.com/seed-78150930/berth/storage"
)

// overlay is what records say of the keys of a range: from the first one to
// before the end, which "" makes that of all keys.
type overlay struct {
	end  string
	rows map[string]*Change
	keys []string // of rows, in order
	used int      // bytes of memory, roughly
}

// What an entry of an overlay costs beside its key and value, roughly.
const overlayRow = 160

// readOverlay reads the records of a state for the keys from start on, for as
// many as fit in memory.
func (s *State) readOverlay(ctx context.Context, start string) (*overlay, error) {
	o := &overlay{rows: map[string]*Change{}}
	for r, err := range s.Records(ctx, s.begin) {
		if err != nil {
			return nil, err
		}
		for b := r.body; len(b) > 0; {
			var c rawChange
			if c, b, err = readRaw(b); err != nil {
				return nil, err
			}
			if string(c.key) < start || o.end != "" && string(c.key) >= o.end {
				continue
			}
			if o.set(c); o.used > s.memory && len(o.rows) > 1 {
				o.halve()
			}
		}
	}
	o.keys = slices.Sorted(maps.Keys(o.rows))
	return o, nil
}

// set notes a change, in the memory of an earlier one of the key if there was one.
func (o *overlay) set(c rawChange) {
	row := o.rows[string(c.key)]
	if row == nil {
		row = &Change{Key: string(c.key)}
		o.rows[row.Key] = row
		o.used += overlayRow + len(row.Key)
	}
	before := cap(row.Value)
	row.Value, row.Deleted = append(row.Value[:0], c.value...), c.deleted
	o.used += cap(row.Value) - before
}

// halve drops the upper half of the keys, which are left for another walk over
// the records.
func (o *overlay) halve() {
	keys := slices.Sorted(maps.Keys(o.rows))
	half := len(keys) / 2
	o.end = keys[half]
	for _, key := range keys[half:] {
		o.used -= overlayRow + len(key) + cap(o.rows[key].Value)
		delete(o.rows, key)
	}
}

// first is the change of the least key that is left.
func (o *overlay) first() (c Change, ok bool) {
	if len(o.keys) == 0 {
		return c, false
	}
	return *o.rows[o.keys[0]], true
}

// merge puts records over the rows of a snapshot.
type merge struct {
	ctx   context.Context
	state *State
	old   func() (storage.Entry, error, bool)

	row  storage.Entry // of the snapshot, if there are more
	more bool
	err  error
	over *overlay
}

func (m *merge) pull() { m.row, m.err, m.more = m.old() }

// rows yields what comes of it, overlay by overlay.
func (m *merge) rows(yield func(storage.Entry, error) bool) {
	m.pull()
	for start := ""; m.err == nil; start = m.over.end {
		if m.over, m.err = m.state.readOverlay(m.ctx, start); m.err != nil {
			break
		}
		if !m.part(yield) {
			return
		}
		if m.over.end == "" {
			break
		}
	}
	if m.err != nil {
		yield(storage.Entry{}, m.err)
	}
}

// part yields the rows of one overlay's range, and says whether to go on.
func (m *merge) part(yield func(storage.Entry, error) bool) bool {
	for m.err == nil {
		c, changed := m.over.first()
		old := m.more && (m.over.end == "" || m.row.Key < m.over.end)
		switch {
		case old && (!changed || m.row.Key < c.Key):
			if !yield(m.row, nil) {
				return false
			}
			m.pull()
		case changed:
			if old && m.row.Key == c.Key {
				m.pull()
			}
			m.over.keys = m.over.keys[1:]
			if !c.Deleted && m.err == nil && !yield(storage.Entry{Key: c.Key, Value: c.Value}, nil) {
				return false
			}
		default:
			return true
		}
	}
	return true
}
