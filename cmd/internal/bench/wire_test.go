package bench_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/bench"
)

// says is a server that answers each connection's first request with some bytes,
// and ends the connection.
func says(t testing.TB, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, answer)
			}
			_ = conn.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// direct goes by no proxy.
func direct() *http.Transport {
	return &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }, DialContext: new(net.Dialer).DialContext}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name, answer string
		status       int // 0: an error
		body         string
	}{
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		{"chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", 200, "hello"},
		{"until the end", "HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"},
		{"an interim answer", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 201, ""},
		{"bare line feeds", "HTTP/1.1 404 Not Found\nContent-Length: 2\n\nno", 404, "no"},
		{"cut short", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", 0, ""},
		{"cut short in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 0, ""},
		{"cut short in the head", "HTTP/1.1 200 OK\r\nContent-Le", 0, ""},
		{"no answer", "", 0, ""},
		{"not HTTP", "SSH-2.0-OpenSSH_9.9\r\n", 0, ""},
		{"no status", "HTTP/1.1 two hundred\r\n\r\n", 0, ""},
		{"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, ""},
		{"a chunk that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", 0, ""},
		{"in circles", "HTTP/1.1 307 Temporary Redirect\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n", 0, ""},
		{"to nowhere", "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://\r\nContent-Length: 0\r\n\r\n", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body, err := bench.Ask(t.Context(), direct(), http.MethodGet, says(t, tt.answer), "/v2/")
			if (err != nil) != (tt.status == 0) || err == nil && (status != tt.status || body != tt.body) {
				t.Errorf("%d %q, %v; want %d %q", status, body, err, tt.status, tt.body)
			}
		})
	}
	if status, _, err := bench.Ask(t.Context(), direct(), http.MethodHead, says(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), "/"); status != 200 || err != nil {
		t.Errorf("HEAD: %d, %v", status, err)
	}
}

// TestProxy reaches a registry through one, which asks who goes there.
func TestProxy(t *testing.T) {
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "from "+r.Host) }))
	defer to.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "registry.example:80" || r.Header.Get("Proxy-Authorization") != basic("me", "mine") || r.Header.Get("Authorization") != "" {
			http.Error(w, "no", http.StatusProxyAuthRequired)
			return
		}
		there, err := net.Dial("tcp", to.Listener.Addr().String())
		if err != nil {
			http.Error(w, "no", http.StatusBadGateway)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		go func() { _, _ = io.Copy(there, here) }()
		_, _ = io.Copy(here, there)
	}))
	defer proxy.Close()
	for user, want := range map[string]string{"me:mine@": "from registry.example", "": "answers 407"} {
		transport := direct()
		transport.Proxy = func(*http.Request) (*url.URL, error) {
			return url.Parse(strings.Replace(proxy.URL, "http://", "http://"+user, 1))
		}
		_, body, err := bench.Ask(t.Context(), transport, http.MethodGet, "http://registry.example", "/v2/")
		if err != nil {
			body = err.Error()
		}
		if !strings.HasSuffix(body, want) {
			t.Errorf("as %q: %q", user, body)
		}
	}
}
