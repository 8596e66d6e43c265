package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/storage/disk"
)

// buffer is a log that many may write.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// house is a server that runs until the test ends, or stop.
type house struct {
	*server.Server
	t        testing.TB
	flags    map[string]string // read again by Reload
	url      string
	client   *http.Client
	log, out *buffer
	stop     func() error // ends it, and says how Run did
}

func newHouse(t testing.TB, flags map[string]string) *house {
	t.Helper()
	return watchedHouse(t, flags, server.Watch{})
}

// newHouseOn is newHouse with the files of layers on a disk of the test's, if it is not
// nil.
func newHouseOn(t testing.TB, flags map[string]string, layers disk.FS) *house {
	t.Helper()
	return watchedHouse(t, flags, server.Watch{Layers: layers})
}

// watchedHouse is newHouse with a watch on what the server does.
func watchedHouse(t testing.TB, flags map[string]string, w server.Watch) *house {
	t.Helper()
	h := &house{t: t, flags: flags, log: &buffer{}, out: &buffer{}}
	if h.flags["listen"] == "" {
		h.flags["listen"] = "127.0.0.1:0"
	}
	load := func() (*config.Config, error) { return config.Load(config.Sources{Flags: h.flags}) }
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	h.Server, err = server.New(context.Background(), server.Watched(server.Options{
		Config: c, Reload: load, Version: "1.2.3", Program: "berth", Out: h.out, Log: h.log,
	}, w))
	if err != nil {
		t.Fatal(err)
	}
	h.url, h.client = "http://"+h.Address(), http.DefaultClient
	if c.Ports()[0].TLS {
		h.url, h.client = "https://"+h.Address(), h.trusting(true)
	}
	h.run()
	return h
}

// trusting is a client that trusts the server's own authority, and speaks
// HTTP/2 if asked, else HTTP/1.1.
func (h *house) trusting(http2 bool) *http.Client {
	conf := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	conf.RootCAs.AddCert(h.Authority())
	transport := &http.Transport{TLSClientConfig: conf, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (h *house) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	h.t.Cleanup(func() {
		if err := h.stop(); err != nil {
			h.t.Errorf("the server ended with %v", err)
		}
	})
}

// dev is a server in memory with the keys that everybody knows, plus settings
// in the form key, value, …
func dev(t testing.TB, settings ...string) *house {
	t.Helper()
	flags := map[string]string{"dev": "true", "data": config.Memory}
	for i := 0; i < len(settings); i += 2 {
		flags[settings[i]] = settings[i+1]
	}
	return newHouse(t, flags)
}

// inFolder is dev with a data folder.
func inFolder(t testing.TB, dir string, settings ...string) *house {
	t.Helper()
	return dev(t, append([]string{"data", filepath.Join(dir, "data")}, settings...)...)
}

// call calls an operation of the JSON API with the key test.
func (h *house) call(op, body string) (status int, answer string) {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.url+"/", strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	sigv4test.Key{ID: "test", Secret: "test", Region: "us-east-1", Service: "ecr"}.Sign(req, body, time.Now())
	resp := h.do(req)
	return resp.status, resp.body
}

// password is a registry password of the key test.
func (h *house) password() string {
	h.t.Helper()
	status, answer := h.call("GetAuthorizationToken", "{}")
	var got struct {
		AuthorizationData []struct{ AuthorizationToken string }
	}
	if err := json.Unmarshal([]byte(answer), &got); status != http.StatusOK || err != nil {
		h.t.Fatalf("GetAuthorizationToken: %d %s, %v", status, answer, err)
	}
	text, err := base64.StdEncoding.DecodeString(got.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		h.t.Fatal(err)
	}
	_, password, _ := strings.Cut(string(text), ":")
	return password
}

type response struct {
	status int
	header http.Header
	body   string
}

func (h *house) do(req *http.Request) response {
	h.t.Helper()
	resp, err := h.client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(body)}
}

// get asks for a path.
func (h *house) get(path string) response {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.do(req)
}

// wire is a connection on which a test writes what no client would.
type wire struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// patient is more than any step of a test takes.
const patient = time.Minute

func (h *house) dial() *wire {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.Address())
	if err != nil {
		h.t.Fatal(err)
	}
	return h.wire(conn)
}

// dialTLS is dial for a server that speaks TLS.
func (h *house) dialTLS() *wire {
	h.t.Helper()
	conn, err := tls.Dial("tcp", h.Address(), h.client.Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.wire(conn)
}

func (h *house) wire(conn net.Conn) *wire {
	h.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patient))
	return &wire{h.t, conn, bufio.NewReader(conn)}
}

func (w *wire) send(format string, args ...any) {
	w.t.Helper()
	if _, err := fmt.Fprintf(w.conn, format, args...); err != nil {
		w.t.Fatal(err)
	}
}

// status reads an answer and returns its status, 0 if there is none.
func (w *wire) status() int {
	w.t.Helper()
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// closed waits until the server closes the connection, and says whether it
// sent nothing more.
func (w *wire) closed() bool {
	n, err := w.in.Read(make([]byte, 1))
	return n == 0 && err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// await tries until it sees what it waits for.
func await(t testing.TB, what string, seen func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !seen(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}
