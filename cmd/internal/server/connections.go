package server

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// connections bound how many connections are open. When one comes in beyond
// the limit, the one that has waited longest without a request under way is
// closed: who only holds connections loses them first, and who works is not
// disturbed.
//
// Where the process may open few files, a connection is accepted only if there
// are enough left for the request that it may bring: the others wait with the
// kernel for a place, instead of failing in the middle of their work.
type connections struct {
	limit  func() int
	places chan struct{} // one is taken for each open connection

	mu      sync.Mutex
	open    int
	waiting list.List // of net.Conn, those that waited longest in front
	place   map[net.Conn]*list.Element
}

// What a connection may need of the files that the process may open: its
// socket, a spooled body and a blob. Some are the server's own.
const filesEach, filesApart = 3, 64

// newConnections bounds connections by a setting, and by the number of files
// that the process may open.
func newConnections(setting func() int, files uint64) *connections {
	places := int(max(8, (max(files, filesApart)-filesApart)/filesEach))
	return &connections{
		// Under the places, so that one is free again before the next comes.
		limit:  func() int { return min(setting(), places-places/8) },
		places: make(chan struct{}, places),
		place:  map[net.Conn]*list.Element{},
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

// listener is l, with a place taken for each connection that it accepts. The
// connections must be those of a server whose ConnState is c.state.
func (c *connections) listener(l net.Listener) net.Listener {
	return &placedListener{Listener: l, places: c.places, closed: make(chan struct{})}
}

type placedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *placedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
	}
	return conn, err
}

func (l *placedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// state is the http.Server's ConnState. A connection that sends the head of a
// request still counts as waiting: see busy.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	var surplus net.Conn
	c.mu.Lock()
	switch state {
	case http.StateNew:
		c.open++
		if first := c.waiting.Front(); first != nil && c.open > c.limit() {
			surplus = first.Value.(net.Conn)
		}
		c.wait(conn)
	case http.StateIdle:
		c.wait(conn)
	case http.StateClosed, http.StateHijacked:
		c.open--
		c.unwait(conn)
		c.freePlace()
	}
	c.mu.Unlock()
	if surplus != nil {
		_ = surplus.Close() // the server sees that it is closed, and says so above
	}
}

// freePlace gives back the place of a connection that came by the listener.
func (c *connections) freePlace() {
	select {
	case <-c.places:
	default:
	}
}

func (c *connections) wait(conn net.Conn) {
	c.unwait(conn)
	c.place[conn] = c.waiting.PushBack(conn)
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
	return context.WithValue(ctx, busyKey{}, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unwait(conn)
	})
}

// noteBusy says that a request of the context's connection is under way.
func noteBusy(ctx context.Context) {
	if note, ok := ctx.Value(busyKey{}).(func()); ok {
		note()
	}
}
