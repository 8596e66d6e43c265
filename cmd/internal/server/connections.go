package server

import (
	"container/list"
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

	mu      sync.Mutex
	open    int       // and the one that is about to be accepted
	waiting list.List // of idler, those that waited longest in front
	place   map[net.Conn]*list.Element
}

// idler is a connection without a request under way.
type idler struct {
	conn  net.Conn
	since time.Time
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
	return &connections{
		limit: func() int { return min(max(setting(), 2), places) },
		freed: make(chan struct{}, 1),
		place: map[net.Conn]*list.Element{},
	}
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
	first := c.waiting.Front()
	if first == nil {
		return courtesy, false
	}
	longest := first.Value.(idler)
	if left := courtesy - time.Since(longest.since); left > 0 {
		return left, false
	}
	c.unwait(longest.conn)
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
		c.unwait(conn)
		c.place[conn] = c.waiting.PushBack(idler{conn, time.Now()})
	case http.StateClosed, http.StateHijacked:
		c.busy(conn)
		c.free()
	}
}

// busy says that a connection does not wait any more.
func (c *connections) busy(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unwait(conn)
}

func (c *connections) unwait(conn net.Conn) {
	if e, ok := c.place[conn]; ok {
		c.waiting.Remove(e)
		delete(c.place, conn)
	}
}

type busyKey struct{}

// context is the http.Server's ConnContext.
func (c *connections) context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, busyKey{}, func() { c.busy(conn) })
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
