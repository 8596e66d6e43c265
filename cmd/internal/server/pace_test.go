package server_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/cmd/internal/server"
)

// pipes is a listener of connections that live in this process alone, so that
// a test may decide what time it is.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.done); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// pace is how long a step of the tests may take.
const pace = time.Minute

// paced runs test, in a time of its own, on a connection to a server whose
// handler is h.
func paced(t *testing.T, h http.HandlerFunc, test func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		srv := &http.Server{Handler: server.Paced(pace, h), ReadHeaderTimeout: 10 * time.Second}
		ended := make(chan struct{})
		go func() { _ = srv.Serve(server.Framed(l)); close(ended) }()
		client, conn := net.Pipe()
		l.conns <- conn
		test(t, client)
		_ = client.Close()
		_ = srv.Close()
		<-ended
	})
}

// takeBody is a handler that says how much of the body came, and why no more.
func takeBody(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		w.Header().Set("Connection", "close")
		http.Error(w, strconv.FormatInt(n, 10)+" "+err.Error(), http.StatusRequestTimeout)
		return
	}
	_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
}

func write(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func readAnswer(t testing.TB, r io.Reader) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func TestSlowButSteadyBodyIsTaken(t *testing.T) {
	paced(t, takeBody, func(t *testing.T, conn net.Conn) {
		const steps = 200 // some three hours
		write(t, conn, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: "+strconv.Itoa(steps<<14)+"\r\n\r\n")
		for range steps {
			time.Sleep(pace - time.Second)
			write(t, conn, strings.Repeat("x", 1<<14))
		}
		if status, body := readAnswer(t, conn); status != http.StatusOK || body != strconv.Itoa(steps<<14) {
			t.Errorf("answer %d %q", status, body)
		}
	})
}

func TestDrippingBodyIsCutOff(t *testing.T) {
	paced(t, takeBody, func(t *testing.T, conn net.Conn) {
		began := time.Now()
		write(t, conn, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
		done := make(chan struct{})
		defer close(done)
		go drip(conn, done)
		status, body := readAnswer(t, conn)
		if status != http.StatusRequestTimeout || !strings.Contains(body, "too slowly") {
			t.Errorf("answer %d %q", status, body)
		}
		if took := time.Since(began); took != pace {
			t.Errorf("cut off after %v, want %v", took, pace)
		}
	})
}

// drip writes a byte every ten seconds until done.
func drip(w io.Writer, done <-chan struct{}) {
	for {
		if _, err := io.WriteString(w, "x"); err != nil {
			return
		}
		select {
		case <-time.After(10 * time.Second):
		case <-done:
			return
		}
	}
}

func TestTimeOfTheHandlerIsNotTheSenders(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		for b := make([]byte, 10); ; {
			if _, err := r.Body.Read(b); err != nil {
				break
			}
			time.Sleep(10 * pace)
		}
		takeBody(w, r)
	}
	paced(t, slow, func(t *testing.T, conn net.Conn) {
		write(t, conn, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"+strings.Repeat("x", 100))
		if status, body := readAnswer(t, conn); status != http.StatusOK {
			t.Errorf("answer %d %q", status, body)
		}
	})
}

func TestBodyThatNobodyReadsHoldsNothing(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }
	paced(t, refuse, func(t *testing.T, conn net.Conn) {
		began := time.Now()
		write(t, conn, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
		if status, _ := readAnswer(t, conn); status != http.StatusForbidden || time.Since(began) != pace {
			t.Errorf("answer %d after %v, want 403 after %v", status, time.Since(began), pace)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is kept")
		}
	})
}

func TestHeadThatDoesNotComeIsCutOff(t *testing.T) {
	paced(t, takeBody, func(t *testing.T, conn net.Conn) {
		began := time.Now()
		write(t, conn, "GET / HTTP/1.1\r\nHost:")
		if _, err := io.ReadAll(conn); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("closed after %v (%v), want 10s", time.Since(began), err)
		}
	})
}

func TestClientThatReadsNothingIsCutOff(t *testing.T) {
	var failed error
	var took time.Duration
	send := func(w http.ResponseWriter, _ *http.Request) {
		began := time.Now()
		_, failed = io.WriteString(w, strings.Repeat("x", 4*server.AnswerStep))
		took = time.Since(began)
	}
	paced(t, send, func(t *testing.T, conn net.Conn) {
		write(t, conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		time.Sleep(2 * pace)
		synctest.Wait()
		if !errors.Is(failed, os.ErrDeadlineExceeded) || took != pace {
			t.Errorf("after %v: %v; want a deadline after %v", took, failed, pace)
		}
	})
}

func TestClientThatReadsSlowlyIsServed(t *testing.T) {
	const steps = 50
	send := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(steps*server.AnswerStep))
		_, _ = io.Copy(w, strings.NewReader(strings.Repeat("x", steps*server.AnswerStep)))
	}
	paced(t, send, func(t *testing.T, conn net.Conn) {
		write(t, conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range steps {
			time.Sleep(pace - time.Second)
			if _, err := io.CopyN(io.Discard, resp.Body, server.AnswerStep); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestConnectionIsGoodForMore(t *testing.T) {
	paced(t, takeBody, func(t *testing.T, conn net.Conn) {
		for range 3 {
			write(t, conn, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
			if status, body := readAnswer(t, conn); status != http.StatusOK || body != "5" {
				t.Errorf("answer %d %q", status, body)
			}
			time.Sleep(10 * pace)
		}
	})
}

// kernel is a ResponseWriter that notes what is copied to it by which means.
type kernel struct {
	*httptest.ResponseRecorder
	got []string
}

func (k *kernel) ReadFrom(src io.Reader) (int64, error) {
	what := "other"
	if l, ok := src.(*io.LimitedReader); ok {
		if _, ok := l.R.(syscall.Conn); ok { // as package net asks
			what = "file " + strconv.FormatInt(l.N, 10)
		}
	}
	k.got = append(k.got, what)
	return io.Copy(k.ResponseRecorder, src)
}

func TestFilesGoByTheKernel(t *testing.T) {
	const size = 2*server.AnswerStep + 100
	name := filepath.Join(t.TempDir(), "layer")
	if err := os.WriteFile(name, []byte(strings.Repeat("x", size)), 0o600); err != nil {
		t.Fatal(err)
	}
	step := "file " + strconv.Itoa(server.AnswerStep)
	tests := []struct {
		name string
		copy func(w io.Writer, f *os.File) (int64, error)
		size int64
		want []string
	}{
		{"whole file", func(w io.Writer, f *os.File) (int64, error) { return io.Copy(w, f) }, size, []string{step, step, step}},
		{"part of it", func(w io.Writer, f *os.File) (int64, error) { return io.CopyN(w, f, server.AnswerStep+7) }, server.AnswerStep + 7, []string{step, "file 7"}},
		{"one step", func(w io.Writer, f *os.File) (int64, error) { return io.CopyN(w, f, server.AnswerStep) }, server.AnswerStep, []string{step}},
		{"nothing", func(w io.Writer, f *os.File) (int64, error) { return io.CopyN(w, f, 0) }, 0, nil},
	}
	for _, tt := range tests {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		k := &kernel{ResponseRecorder: httptest.NewRecorder()}
		n, err := tt.copy(server.NewAnswer(k), f)
		if err != nil || n != tt.size || int64(k.Body.Len()) != tt.size {
			t.Errorf("%s: %d bytes, %v; %d arrived", tt.name, n, err, k.Body.Len())
		}
		got := k.got
		if len(got) > 0 && got[len(got)-1] == "file 0" {
			got = got[:len(got)-1] // to see that nothing is left
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		_ = f.Close()
	}
}
