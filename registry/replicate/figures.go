package replicate

import (
	"maps"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// Figures are what has been done for a destination since the start.
type Figures struct {
	Done, Failed int64
	Bytes        int64 // of layers that were sent to another server, also in vain
}

type counts struct {
	mu sync.Mutex
	of map[registry.ID]Figures
}

func (c *counts) done(to registry.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.of[to]
	f.Done++
	c.of[to] = f
}

func (c *counts) failed(to registry.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.of[to]
	f.Failed++
	c.of[to] = f
}

// Figures are what has been done, by destination. What package registry refuses for
// good within this server counts as done with.
func (w *Worker) Figures() map[registry.ID]Figures {
	w.counts.mu.Lock()
	defer w.counts.mu.Unlock()
	all := maps.Clone(w.counts.of)
	if w.remote != nil {
		f := all[w.remote.to]
		f.Bytes = w.remote.bytes.Load()
		all[w.remote.to] = f
	}
	return all
}

// Trouble is the last fault of a worker that is not over: why, "" for none, and when it
// is tried again. Reopens is when the next window opens, zero if one is open.
type Trouble struct {
	Why     string
	Next    time.Time
	Reopens time.Time
}

// Trouble says what keeps images from being brought.
func (w *Worker) Trouble() (t Trouble) {
	t.Why, t.Next = w.rests.last()
	now := w.now()
	if opens := opening(w.windows, now); opens.After(now) {
		t.Reopens = opens
	}
	return t
}
