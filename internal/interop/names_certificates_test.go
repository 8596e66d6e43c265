package interop_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
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
	first, second := harness.NewPair(t, 1, harness.Example), harness.NewPair(t, 2, harness.Example)
	write(t, pair, first.Cert)
	write(t, key, first.Key)
	s := harness.StartTLS(t, "--tls-auto", "off", "--tls-cert", pair, "--tls-key", key)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(first.Cert)
	roots.AppendCertsFromPEM(second.Cert)
	open := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer open.CloseIdleConnections()
	if serial, _ := healthOf(t, open); serial != "1" {
		t.Fatalf("the server begins with certificate %s", serial)
	}

	write(t, pair, second.Cert)
	awaitServer(t, "to see half of the change", func() bool {
		if serial := serves(t, roots); serial != "1" {
			t.Fatalf("certificate %s is served without its key", serial)
		}
		return strings.Contains(s.Log(), "changed TLS files are not taken")
	})
	write(t, key, second.Key)
	awaitServer(t, "to take the new certificate", func() bool { return serves(t, roots) == "2" })
	if serial, reused := healthOf(t, open); serial != "1" || !reused {
		t.Errorf("the open connection did not go on: certificate %s, reused %v", serial, reused)
	}
}

// An authority makes the certificate when the first client comes, after it has
// asked the server itself at port 443; a server that starts again has it still.
func TestNamesACMEPebbleCrane(t *testing.T) {
	pebble := harness.StartPebble(t)
	s := harness.StartACME(t, pebble, harness.Example)
	key := s.CreateKey(t, harness.Account)
	createRepository(t, s.Client(key), "team/app")
	sh := s.Shell(t)
	root := filepath.Join(t.TempDir(), "root.pem")
	write(t, root, pebble.Root())
	sh.Set("SSL_CERT_FILE", root)
	sh.ReachNames()
	sh.RunInput(strings.NewReader(s.PasswordOf(t, key)), "crane", "auth", "login", "-u", "AWS", "--password-stdin", harness.Example)
	image := ociImage(t, 240)
	layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
	sh.Run("crane", "push", layout, harness.Example+"/team/app:1.0")
	sh.Run("crane", "validate", "--remote", harness.Example+"/team/app:1.0")

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pebble.Root())
	first := serves(t, roots)
	if c, err := tls.Dial("tcp", awsName+":443", &tls.Config{InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Errorf("there is a certificate for %s, which is not among the hosts", awsName)
	}
	pebble.Stop()
	s.Stop()
	s.Launch()
	if again := serves(t, roots); again != first {
		t.Errorf("certificate %s after a new start, want %s", again, first)
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
func serves(t *testing.T, roots *x509.CertPool) string {
	t.Helper()
	c, err := tls.Dial("tcp", harness.Example+":443", &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// healthOf asks for the server's health, and says which certificate the
// connection has and whether it was open already.
func healthOf(t *testing.T, client *http.Client) (serial string, reused bool) {
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
	return resp.TLS.PeerCertificates[0].SerialNumber.String(), reused
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
