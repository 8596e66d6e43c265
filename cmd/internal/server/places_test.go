package server

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// serveWithFiles answers "ok" with a process that may open so many files.
func serveWithFiles(t *testing.T, files uint64) *httptest.Server {
	t.Helper()
	open := newConnections(func() int { return 10_000 }, files)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noteBusy(r.Context())
		_, _ = io.WriteString(w, "ok")
	}))
	s.Listener = open.listener(s.Listener)
	s.Config.ConnState, s.Config.ConnContext = open.state, open.context
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// More connections than there are files for, most of them idle, are no reason
// to refuse a request.
func TestFewFilesKeepNobodyOut(t *testing.T) {
	s := serveWithFiles(t, 100)
	for range 60 {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
			resp, err := client.Get(s.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "ok" {
				t.Errorf("answer %q, %v", body, err)
			}
		})
	}
	all.Wait()
}

func TestPlacesFollowTheFiles(t *testing.T) {
	for files, want := range map[uint64]int{0: 8, 64: 8, 100: 12, 256: 64, 1 << 20: 10_000} {
		if got := newConnections(func() int { return 10_000 }, files).limit(); got != want {
			t.Errorf("with %d files: %d connections, want %d", files, got, want)
		}
	}
	if got := newConnections(func() int { return 5 }, 1<<20).limit(); got != 5 {
		t.Errorf("the setting's 5 are %d", got)
	}
}

// A listener that waits for a place ends when it is closed.
func TestAcceptEndsWithItsListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := newConnections(func() int { return 1 }, 0)
	for open.open < open.limit() {
		open.tryPlace()
	}
	full := open.listener(l)
	ended := make(chan error)
	go func() {
		_, err := full.Accept()
		ended <- err
	}()
	if err := full.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != net.ErrClosed {
		t.Errorf("accept: %v, want net.ErrClosed", err)
	}
}
