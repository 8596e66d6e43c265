package queue

import (
	"maps"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry/scan"
)

// Kind is what scans came to.
type Kind struct {
	Type   scan.Type
	Status scan.Status
}

// Figures are what has been done since the start.
type Figures struct {
	Done map[Kind]int64
	// Took is how long that took in all, from the beginning of the last attempt of each.
	Took time.Duration
}

type counts struct {
	mu   sync.Mutex
	done map[Kind]int64
	took time.Duration
}

func (c *counts) add(k Kind, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[k]++
	c.took += took
}

// Figures are what has been done. Scans of images that went meanwhile are not in them.
func (w *Worker) Figures() Figures {
	w.counts.mu.Lock()
	defer w.counts.mu.Unlock()
	return Figures{maps.Clone(w.counts.done), w.counts.took}
}
