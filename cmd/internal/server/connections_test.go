package server_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

func TestTheLongestIdleConnectionMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed []string
		conns := map[string]net.Conn{}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			conns[name] = &fakeConn{name: name, closed: &closed}
		}
		bound := server.NewConnections(3)
		is := func(state http.ConnState) func(string) {
			return func(name string) { bound.State(conns[name], state) }
		}
		comes, idles, goes := is(http.StateNew), is(http.StateIdle), is(http.StateClosed)
		works := func(name string) { bound.Busy(conns[name]) }
		enter := func(want bool) func(string) {
			return func(name string) {
				if got := bound.Enter(); got != want {
					t.Errorf("there is room for %s: %v, want %v", name, got, want)
				}
				if want {
					comes(name)
				}
			}
		}
		passes := func(string) { time.Sleep(server.Courtesy) }
		steps := []struct {
			do   func(string)
			conn string
			want []string // closed so far
		}{
			{enter(true), "a", nil}, {enter(true), "b", nil}, {enter(true), "c", nil},
			{enter(false), "d", nil}, // the others have just come
			{works, "b", nil},
			{passes, "", nil},
			{enter(false), "d", []string{"a"}},
			{enter(false), "d", []string{"a", "c"}}, // a takes its time to go
			{goes, "a", []string{"a", "c"}},
			{enter(true), "d", []string{"a", "c"}},
			{goes, "c", []string{"a", "c"}},
			{enter(true), "e", []string{"a", "c"}},
			{passes, "", []string{"a", "c"}},
			{idles, "d", []string{"a", "c"}}, // it was asked in between
			{enter(false), "a", []string{"a", "c", "e"}},
			{goes, "e", []string{"a", "c", "e"}},
			{enter(true), "a", []string{"a", "c", "e"}},
		}
		for i, s := range steps {
			s.do(s.conn)
			if diff := cmp.Diff(s.want, closed); diff != "" {
				t.Errorf("closed after step %d (-want +got):\n%s", i+1, diff)
			}
		}
	})
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
	for i, w := range crowd[:80] {
		if !w.closed() {
			t.Errorf("connection %d of the crowd is still open", i)
		}
	}
}
