package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/certs"
)

// clock is a time that tests turn.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// take is what was logged since it was last asked.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.text.Reset()
	return j.text.String()
}

// newPair makes a certificate that signs itself, and its key, in PEM form.
func newPair(t testing.TB, host string, from, to time.Time) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// shown is the certificate that a source gives to who asks for a host.
func shown(t testing.TB, src certs.Source, host string) *x509.Certificate {
	t.Helper()
	c, err := src.Certificate(&tls.ClientHelloInfo{ServerName: host})
	if err != nil {
		t.Fatalf("certificate for %q: %v", host, err)
	}
	return c.Leaf
}

// serveTLS answers "ok" on a loopback address, which it returns, with the
// certificates of a source.
func serveTLS(t testing.TB, src certs.Source) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }),
		TLSConfig: certs.Config(src),
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // some handshakes are to fail
	}
	ended := make(chan error, 1)
	go func() { ended <- s.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server ended: %v", err)
		}
	})
	return l.Addr().String()
}

// shake makes a connection to a server as if it were a host.
func shake(t testing.TB, addr string, c *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer raw.Close()
	conn := tls.Client(raw, c)
	err = conn.HandshakeContext(t.Context())
	return conn.ConnectionState(), err
}

func TestConfigSpeaksTLS12AndUpWithHTTP2(t *testing.T) {
	local, err := certs.NewLocal(certs.LocalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	addr := serveTLS(t, local)
	tests := []struct {
		max    uint16
		protos []string
		ok     bool
		proto  string
	}{
		{tls.VersionTLS13, []string{"h2", "http/1.1"}, true, "h2"},
		{tls.VersionTLS12, []string{"h2", "http/1.1"}, true, "h2"},
		{tls.VersionTLS13, []string{"http/1.1"}, true, "http/1.1"},
		{tls.VersionTLS13, nil, true, ""},
		{tls.VersionTLS11, nil, false, ""},
	}
	for _, tt := range tests {
		got, err := shake(t, addr, &tls.Config{
			MinVersion: tls.VersionTLS10, MaxVersion: tt.max, NextProtos: tt.protos, RootCAs: pool(local), ServerName: "localhost",
		})
		if (err == nil) != tt.ok || err == nil && (got.NegotiatedProtocol != tt.proto || got.Version != tt.max) {
			t.Errorf("%s with %v: %s, %q, %v; want %v, %q", tls.VersionName(tt.max), tt.protos,
				tls.VersionName(got.Version), got.NegotiatedProtocol, err, tt.ok, tt.proto)
		}
	}
}

func TestOnlyACMEOffersItsProtocol(t *testing.T) {
	local, err := certs.NewLocal(certs.LocalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	acme, err := certs.NewACME(certs.ACMEOptions{Hosts: []string{"berth.example"}})
	if err != nil {
		t.Fatal(err)
	}
	if p := certs.Config(local).NextProtos; slices.Contains(p, "acme-tls/1") {
		t.Errorf("a local authority offers %v", p)
	}
	if p := certs.Config(acme).NextProtos; !slices.Contains(p, "acme-tls/1") {
		t.Errorf("ACME offers %v", p)
	}
}
