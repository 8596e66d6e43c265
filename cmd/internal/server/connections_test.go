package server_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/server"
)

// fakeConn is a connection that notes that it was closed.
type fakeConn struct {
	net.Conn
	name   string
	closed *[]string
}

func (c *fakeConn) Close() error {
	*c.closed = append(*c.closed, c.name)
	return nil
}

func TestTheLongestIdleConnectionIsClosed(t *testing.T) {
	var closed []string
	conns := map[string]net.Conn{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		conns[name] = &fakeConn{name: name, closed: &closed}
	}
	bound := server.NewConnections(3)
	steps := []struct {
		conn  string
		state http.ConnState
		want  []string // closed so far
	}{
		{"a", http.StateNew, nil},
		{"b", http.StateNew, nil},
		{"c", http.StateNew, nil},
		{"a", http.StateActive, nil}, // its head is not there yet
		{"b", http.StateIdle, nil},   // has waited less than c now
		{"d", http.StateNew, []string{"a"}},
		{"a", http.StateClosed, []string{"a"}},
		{"e", http.StateNew, []string{"a", "c"}},
		{"c", http.StateClosed, []string{"a", "c"}},
		{"b", http.StateClosed, []string{"a", "c"}},
		{"f", http.StateNew, []string{"a", "c"}},
	}
	for _, s := range steps {
		bound.State(conns[s.conn], s.state)
		if diff := cmp.Diff(s.want, closed); diff != "" {
			t.Errorf("after %s is %v (-want +got):\n%s", s.conn, s.state, diff)
		}
	}
}

func TestIdleCrowdDoesNotKeepOthersOut(t *testing.T) {
	h := dev(t, "limits.connections", "20")
	_, busy := startUpload(t, h)
	var crowd []*wire
	for range 100 {
		w := h.dial()
		w.send("GET /healthz HTTP/1.1\r\nHost: ") // no more comes
		crowd = append(crowd, w)
	}
	if got := h.get("/healthz").status; got != http.StatusOK {
		t.Errorf("others are answered %d", got)
	}
	busy.send("%s", strings.Repeat("x", 600))
	if got := busy.status(); got != http.StatusAccepted {
		t.Errorf("a request under way is answered %d", got)
	}
	for i, w := range crowd[:70] {
		if !w.closed() {
			t.Errorf("connection %d of the crowd is still open", i)
		}
	}
}
