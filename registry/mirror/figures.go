package mirror

import (
	"maps"

	"github.com/seed-78150930/berth/registry"
)

// Rule names a pull-through rule.
type Rule struct {
	Registry registry.ID
	Prefix   string
}

// Figures are what a rule has done since the start.
type Figures struct {
	Hits, Misses, Stale int64 // pulls of manifests, by how they were answered
	Bytes               int64 // that came from upstream
}

// Figures are those of all rules that were in use.
func (m *Mirror) Figures() map[Rule]Figures {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.figures)
}

// count adds to the figures of a rule.
func (m *Mirror) count(id registry.ID, prefix string, more Figures) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := Rule{id, prefix}
	f := m.figures[key]
	f.Hits += more.Hits
	f.Misses += more.Misses
	f.Stale += more.Stale
	f.Bytes += more.Bytes
	m.figures[key] = f
}

// Served implements registry.Mirror.
func (m *Mirror) Served(id registry.ID, rule registry.PullThroughRule, as registry.Serving) {
	more := Figures{Hits: 1}
	switch as {
	case registry.ServedMiss:
		more = Figures{Misses: 1}
	case registry.ServedStale:
		more = Figures{Stale: 1}
	}
	m.count(id, rule.Prefix, more)
}
