package mirror

import (
	"context"
	"io"
	"sync"
	"time"
)

// The worker makes way for clients. Everything that is fetched is hashed, stored and sent
// at the same time, which takes from what they wait for; but who asks for one layer after
// the other gets the next ones sooner if they are fetched meanwhile. So it begins a layer
// while fewer than busy clients' layers are on their way, and lets them ask first for what is
// in a manifest that they got. A client that is slow holds up no image for longer than
// mostCourtesy.
const (
	busy         = 2
	firstAsk     = 50 * time.Millisecond
	mostCourtesy = 10 * time.Second
)

// clients are those who are served at the moment what comes from upstream.
type clients struct {
	mu      sync.Mutex
	layers  int           // that they read
	brought time.Time     // when the last manifest was
	fewer   chan struct{} // closed when there are fewer layers; nil while nobody waits for that
}

// bring notes that somebody got a manifest.
func (c *clients) bring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.brought = time.Now()
}

// read notes a layer that is read, until left is called.
func (c *clients) read() (left func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.layers++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.layers--
		if c.fewer != nil {
			close(c.fewer)
			c.fewer = nil
		}
	})
}

// makeWay waits until a layer may be begun that nobody has asked for.
func (c *clients) makeWay(ctx context.Context) {
	late := time.After(mostCourtesy)
	for {
		wait, fewer := c.look()
		if wait == 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-fewer:
		case <-late:
			return
		case <-ctx.Done():
			return
		}
	}
}

// look says how long to wait if there is no change, and what tells of one.
func (c *clients) look() (time.Duration, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fewer == nil {
		c.fewer = make(chan struct{})
	}
	if c.layers >= busy {
		return mostCourtesy, c.fewer
	}
	return max(0, firstAsk-time.Since(c.brought)), c.fewer
}

// served is a layer that a client reads.
type served struct {
	io.ReadSeekCloser
	left func()
}

// Close implements io.Closer.
func (s *served) Close() error {
	s.left()
	return s.ReadSeekCloser.Close()
}
