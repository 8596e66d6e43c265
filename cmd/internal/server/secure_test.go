package server_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/server"
)

// request asks a server by one of its clients, with a registry password.
func (h *house) request(client *http.Client, password, method, path string, body io.Reader) (*http.Response, []byte) {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	resp, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, got
}

// Both versions of HTTP carry a layer in and out, and are told https.
func TestLayersByTLS(t *testing.T) {
	h := dev(t, "tls.auto", "local")
	layer := make([]byte, 3<<20)
	for i := range layer {
		layer[i] = byte(rand.Uint32())
	}
	sum := sha256.Sum256(layer)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	password := h.password()
	for version, client := range map[string]*http.Client{"HTTP/2.0": h.client, "HTTP/1.1": h.trusting(false)} {
		path := "/v2/app/" + strings.ToLower(strings.NewReplacer("/", "-", ".", "-").Replace(version))
		resp, _ := h.request(client, password, http.MethodPost, path+"/blobs/uploads/?digest="+digest, bytes.NewReader(layer))
		if resp.StatusCode != http.StatusCreated || resp.Proto != version {
			t.Fatalf("push: %s by %s, want 201 by %s", resp.Status, resp.Proto, version)
		}
		if at := resp.Header.Get("Location"); !strings.HasPrefix(at, "https://") {
			t.Errorf("%s: the layer is said to be at %q", version, at)
		}
		resp, got := h.request(client, password, http.MethodGet, path+"/blobs/"+digest, nil)
		if resp.StatusCode != http.StatusOK || !bytes.Equal(got, layer) {
			t.Errorf("%s: pull: %s with %d bytes", version, resp.Status, len(got))
		}
	}
}

// counted is a body of zeros that says how much of it was read.
type counted struct{ n atomic.Int64 }

func (c *counted) Read(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// TestUploadWindow has a client send before anything is read, as over a long line: several
// megabytes, and no more.
func TestUploadWindow(t *testing.T) {
	h := dev(t, "tls.auto", "local")
	body, enough := &counted{}, make(chan struct{})
	h.OpenDoor(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-enough }))
	const window, slack = 4 << 20, 1 << 20
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := h.client.Post(h.url+"/v2/", "text/plain", io.LimitReader(body, 64<<20)); err == nil {
			resp.Body.Close()
		}
	}()
	for body.n.Load() < window {
		runtime.Gosched()
	}
	// What it sends once the handler has ended says nothing: it is being told to stop.
	sent := body.n.Load()
	for still := 0; still < 5; still++ {
		time.Sleep(100 * time.Millisecond)
		if now := body.n.Load(); now != sent {
			sent, still = now, 0
		}
		if sent > window+slack {
			t.Errorf("a client sent %d bytes that nobody read", sent)
			break
		}
	}
	close(enough)
	<-done
}

func TestAmbiguousRequestsAreRefusedByTLS(t *testing.T) {
	h := dev(t, "tls.auto", "local")
	for name, text := range ambiguous {
		w := h.dialTLS()
		w.send("%s", text+"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := w.status(); got/100 != 4 {
			t.Errorf("%s: answered %d, want a refusal", name, got)
		}
		if got := w.status(); got != 0 {
			t.Errorf("%s: what followed was answered with %d", name, got)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	h := dev(t, "tls.auto", "local")
	conn, err := tls.Dial("tcp", h.Address(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		_ = conn.Close()
		t.Error("a client of TLS 1.1 is let in")
	}
}

func TestPlainHTTPIsToldOfTLS(t *testing.T) {
	h := dev(t, "tls.auto", "local")
	w := h.dial()
	w.send("GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, _ := io.ReadAll(w.in) // until the server hangs up
	if !strings.HasPrefix(string(answer), "HTTP/1.0 400 ") || !strings.Contains(string(answer), "https") {
		t.Errorf("answered %q", answer)
	}
}

// Connections that never end their handshake lose their place to others.
func TestStalledHandshakesDoNotKeepOthersOut(t *testing.T) {
	h := dev(t, "tls.auto", "local", "limits.connections", "20")
	for range 100 {
		h.dial()
	}
	if got := h.get("/healthz").status; got != http.StatusOK {
		t.Errorf("others are answered %d", got)
	}
}

// wanting is a listener that has no files left at first.
type wanting struct {
	net.Listener
	failures int
}

func (l *wanting) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestTLSOutlivesAWantOfFiles(t *testing.T) {
	origin := httptest.NewTLSServer(nil) // for its certificate
	defer origin.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secured := server.Secured(&wanting{Listener: l, failures: 1}, &tls.Config{Certificates: origin.TLS.Certificates})
	defer secured.Close()
	go func() {
		if c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true}); err == nil {
			c.Close()
		}
	}()
	c, err := secured.Accept()
	if err != nil {
		t.Fatalf("Accept after there were no files: %v", err)
	}
	c.Close()
	secured.Close()
	if _, err := secured.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed listener: %v", err)
	}
}
