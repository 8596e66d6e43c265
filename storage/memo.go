package storage

import "sync"

// Memo remembers what Views told for as long as nothing has changed that they could
// have told of. It is for what nearly every request asks, and spares it the transaction.
type Memo[Key comparable, Value any] struct {
	changes Changes
	limit   int

	mu      sync.RWMutex
	entries map[Key]remembered[Value]
}

type remembered[Value any] struct {
	at    uint64 // Last before the look
	value Value
}

// Changes counts changes. Once a change has been acknowledged to whoever made it, Last
// is another number than before the change began, and never one that it was before.
type Changes interface{ Last() uint64 }

// ChangesOf counts all changes of an index; nil if it does not number them.
func ChangesOf(x Index) Changes {
	if numbered, ok := x.(Numbered); ok {
		return numbered
	}
	return nil
}

// NewMemo makes a Memo of at most limit values; with more it begins anew. With nil it
// remembers nothing.
func NewMemo[Key comparable, Value any](c Changes, limit int) *Memo[Key, Value] {
	return &Memo[Key, Value]{changes: c, limit: limit, entries: map[Key]remembered[Value]{}}
}

// Get is what look says, or said since the last change. Values are shared, and not to
// be changed. An error is not remembered.
func (m *Memo[Key, Value]) Get(k Key, look func() (Value, error)) (Value, error) {
	if v, ok := m.Known(k); ok {
		return v, nil
	}
	if m.changes == nil {
		return look()
	}
	at := m.changes.Last()
	v, err := look()
	if err == nil {
		m.keep(k, remembered[Value]{at, v})
	}
	return v, err
}

// Known is what Get would give without a look.
func (m *Memo[Key, Value]) Known(k Key) (v Value, ok bool) {
	if m.changes == nil {
		return v, false
	}
	at := m.changes.Last()
	m.mu.RLock()
	r, ok := m.entries[k]
	m.mu.RUnlock()
	if !ok || r.at != at {
		return v, false
	}
	return r.value, true
}

func (m *Memo[Key, Value]) keep(k Key, r remembered[Value]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.entries) >= m.limit {
		clear(m.entries)
	}
	m.entries[k] = r
}
