package interop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// A certificate is changed by writing its two files one after the other. No
// handshake fails, and connections that are open go on.
func TestNamesCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	pair := filepath.Join(dir, "cert.pem")
	key := filepath.Join(dir, "key.pem")
	first, second := newPair(t, 1), newPair(t, 2)
	write(t, pair, first.cert)
	write(t, key, first.key)
	s := harness.StartTLS(t, "--tls-auto", "off", "--tls-cert", pair, "--tls-key", key)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(first.cert)
	roots.AppendCertsFromPEM(second.cert)
	open := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer open.CloseIdleConnections()
	if serial, _ := healthOf(t, open); serial != 1 {
		t.Fatalf("the server begins with certificate %d", serial)
	}

	write(t, pair, second.cert)
	awaitServer(t, "to see half of the change", func() bool {
		if serial := serves(t, roots); serial != 1 {
			t.Fatalf("certificate %d is served without its key", serial)
		}
		return strings.Contains(s.Log(), "changed TLS files are not taken")
	})
	write(t, key, second.key)
	awaitServer(t, "to take the new certificate", func() bool { return serves(t, roots) == 2 })
	if serial, reused := healthOf(t, open); serial != 1 || !reused {
		t.Errorf("the open connection did not go on: certificate %d, reused %v", serial, reused)
	}
}

// awaitServer asks again and again until the answer is yes.
func awaitServer(t *testing.T, what string, yes func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !yes() {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("waited in vain for the server %s", what)
		}
	}
}

// serves is the serial number of the certificate that a new connection gets.
func serves(t *testing.T, roots *x509.CertPool) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", harness.Example+":443", &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// healthOf asks for the server's health, and says which certificate the
// connection has and whether it was open already.
func healthOf(t *testing.T, client *http.Client) (serial int64, reused bool) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, exampleURL+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), reused
}

// A pemPair is a certificate that vouches for itself, and its key.
type pemPair struct{ cert, key []byte }

func newPair(t *testing.T, serial int64) pemPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{harness.Example},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemPair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// write replaces a file as most programs do, by another of the same name.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
