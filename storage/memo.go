package storage

import "sync"

// Memo remembers what Views told for as long as nothing at all has changed in the
// index. It is for what nearly every request asks, and spares it the transaction.
// Over an Index that is not [Numbered] it remembers nothing.
type Memo[Key comparable, Value any] struct {
	index Numbered
	limit int

	mu      sync.RWMutex
	entries map[Key]remembered[Value]
}

type remembered[Value any] struct {
	at    uint64 // Last of the index before the look
	value Value
}

// NewMemo makes a Memo of at most limit values; with more it begins anew.
func NewMemo[Key comparable, Value any](x Index, limit int) *Memo[Key, Value] {
	numbered, _ := x.(Numbered)
	return &Memo[Key, Value]{index: numbered, limit: limit, entries: map[Key]remembered[Value]{}}
}

// Get is what look says, or said since the index last changed. Values are shared, and
// not to be changed. An error is not remembered.
func (m *Memo[Key, Value]) Get(k Key, look func() (Value, error)) (Value, error) {
	if m.index == nil {
		return look()
	}
	at := m.index.Last()
	m.mu.RLock()
	r, ok := m.entries[k]
	m.mu.RUnlock()
	if ok && r.at == at {
		return r.value, nil
	}
	v, err := look()
	if err == nil {
		m.keep(k, remembered[Value]{at, v})
	}
	return v, err
}

func (m *Memo[Key, Value]) keep(k Key, r remembered[Value]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.entries) >= m.limit {
		clear(m.entries)
	}
	m.entries[k] = r
}
