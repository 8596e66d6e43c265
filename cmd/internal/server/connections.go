package server

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// connections bound how many connections are open. When one comes in beyond
// the limit, the one that has waited longest without a request under way is
// closed: who only holds connections loses them first, and who works is not
// disturbed.
type connections struct {
	limit func() int

	mu      sync.Mutex
	open    int
	waiting list.List // of net.Conn, those that waited longest in front
	place   map[net.Conn]*list.Element
}

func newConnections(limit func() int) *connections {
	return &connections{limit: limit, place: map[net.Conn]*list.Element{}}
}

// state is the http.Server's ConnState. A connection that sends the head of a
// request still counts as waiting: see busy.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	var surplus net.Conn
	c.mu.Lock()
	switch state {
	case http.StateNew:
		c.open++
		c.wait(conn)
		if c.open > c.limit() {
			surplus = c.waiting.Front().Value.(net.Conn)
		}
	case http.StateIdle:
		c.wait(conn)
	case http.StateClosed, http.StateHijacked:
		c.open--
		c.unwait(conn)
	}
	c.mu.Unlock()
	if surplus != nil {
		_ = surplus.Close() // the server sees that it is closed, and says so above
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
