package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// connections bound how many connections are open, by a setting and by the
// files that the process may open. One more is accepted only if there is a
// place; if there is none, the connection that has waited longest without a
// request under way is closed. So who only holds connections loses them first,
// who works is not disturbed, and the others wait with the kernel instead of
// failing in the middle of their work.
//
// The place for the next connection is taken before it comes, so that of the
// bound one is always free.
type connections struct {
	limit func() int
	freed chan struct{} // a connection was closed

	mu     sync.Mutex
	open   int     // and the one that is about to be accepted
	rest   resting // before the one that has waited longest, behind the one that came last
	client map[net.Conn]*resting
}

// resting is a connection's place among those without a request under way, in a ring.
type resting struct {
	conn           net.Conn
	since          time.Time
	before, behind *resting // nil while a request is under way
}

// leave takes a connection out of the ring, if it is there.
func (r *resting) leave() {
	if r.before == nil {
		return
	}
	r.before.behind, r.behind.before = r.behind, r.before
	r.before, r.behind = nil, nil
}

// join puts a connection behind all others.
func (r *resting) join(ring *resting) {
	r.leave()
	r.before, r.behind = ring.before, ring
	r.before.behind, r.behind.before = r, r
}

// courtesy is how long a connection may wait before it counts as idle: its
// request may have come and not been looked at.
const courtesy = 250 * time.Millisecond

// What a connection may need of the files that the process may open: its
// socket, a spooled body and a blob. Some are the server's own.
const filesEach, filesApart, fewest = 3, 64, 8

// newConnections bounds connections by a setting, and by the number of files
// that the process may open.
func newConnections(setting func() int, files uint64) *connections {
	places := max(fewest, int((max(files, filesApart)-filesApart)/filesEach))
	c := &connections{
		limit:  func() int { return min(max(setting(), 2), places) },
		freed:  make(chan struct{}, 1),
		client: map[net.Conn]*resting{},
	}
	c.rest.before, c.rest.behind = &c.rest, &c.rest
	return c
}

// openFiles is how many files the process may open.
func openFiles() uint64 {
	const many = 1 << 20 // where the system does not say, or says that there is no end
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return many
	}
	return min(limit.Cur, many)
}

// listener is l, of which a connection is accepted when there is a place for
// it. The connections must be those of a server whose ConnState is c.state.
func (c *connections) listener(l net.Listener) net.Listener {
	return &boundListener{Listener: l, bound: c, closed: make(chan struct{})}
}

type boundListener struct {
	net.Listener
	bound  *connections
	closed chan struct{}
	once   sync.Once
}

func (l *boundListener) Accept() (net.Conn, error) {
	if !l.bound.await(l.closed) {
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		l.bound.free()
	}
	return conn, err
}

func (l *boundListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// await takes a place, when there is one; false says that done came first.
func (c *connections) await(done <-chan struct{}) bool {
	for {
		again, ok := c.tryPlace()
		if ok {
			return true
		}
		select {
		case <-c.freed:
		case <-time.After(again):
		case <-done:
			return false
		}
	}
}

// tryPlace takes a place if there is one. Else it closes who has waited long
// enough, and says when to try again unless a place is freed before.
func (c *connections) tryPlace() (again time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open < c.limit() {
		c.open++
		return 0, true
	}
	longest := c.rest.behind
	if longest == &c.rest {
		return courtesy, false
	}
	if left := courtesy - time.Since(longest.since); left > 0 {
		return left, false
	}
	longest.leave()
	_ = longest.conn.Close() // the server sees that it is closed, and says so to state
	return courtesy, false
}

func (c *connections) free() {
	c.mu.Lock()
	c.open--
	c.mu.Unlock()
	select {
	case c.freed <- struct{}{}:
	default: // somebody was told and has not looked yet
	}
}

// state is the http.Server's ConnState. A connection that sends the head of a
// request still counts as waiting: see noteBusy.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew, http.StateIdle:
		c.mu.Lock()
		defer c.mu.Unlock()
		r := c.of(conn)
		r.since = time.Now()
		r.join(&c.rest)
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
		c.free()
	}
}

// forget says that a connection is none any more, or is known by another name from here on.
func (c *connections) forget(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(conn).leave()
	delete(c.client, conn)
}

// of is a connection's place. mu is held.
func (c *connections) of(conn net.Conn) *resting {
	r, ok := c.client[conn]
	if !ok {
		r = &resting{conn: conn}
		c.client[conn] = r
	}
	return r
}

// busy says that a connection does not wait any more.
func (c *connections) busy(r *resting) {
	c.mu.Lock()
	r.leave()
	c.mu.Unlock()
}

type busyKey struct{}

// context is the http.Server's ConnContext.
func (c *connections) context(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	r := c.of(conn)
	c.mu.Unlock()
	return context.WithValue(ctx, busyKey{}, func() { c.busy(r) })
}

// noteBusy says that a request of the context's connection is under way.
func noteBusy(ctx context.Context) {
	if note, ok := ctx.Value(busyKey{}).(func()); ok {
		note()
	}
}

// count is how many connections are open.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}
