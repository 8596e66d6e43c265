package harness

import (
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Pebble is Let's Encrypt's small ACME server, whose certificates nobody trusts
// but who is told to. It proves hosts at port 443.
type Pebble struct {
	Directory string // URL

	t      testing.TB
	proc   *process
	client *http.Client
	trust  string // file of the certificate of its own address
}

// StartPebble starts one that ends with the test.
func StartPebble(t testing.TB) *Pebble {
	t.Helper()
	dir := t.TempDir()
	own := NewPair(t, 1, "localhost")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, cert, own.Cert)
	writeFile(t, key, own.Key)
	config := filepath.Join(dir, "config.json")
	writeFile(t, config, pebbleConfig(t, cert, key))
	sh := &Shell{t: t, env: bareEnviron()}
	cmd := exec.Command(sh.find("pebble"), "-config", config)
	cmd.Env = append(bareEnviron(), "PEBBLE_VA_NOSLEEP=1")
	proc, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p := &Pebble{Directory: "https://localhost:14000/dir", t: t, proc: proc, client: ClientOf(t, own.Cert), trust: cert}
	t.Cleanup(p.Stop)
	p.await()
	return p
}

func pebbleConfig(t testing.TB, cert, key string) []byte {
	t.Helper()
	return encode(t, map[string]any{"pebble": map[string]any{
		"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
		"certificate": cert, "privateKey": key, "httpPort": 80, "tlsPort": 443,
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "90 days", "validityPeriod": 90 * 24 * 3600}},
	}})
}

// Stop ends it, as often as it is called.
func (p *Pebble) Stop() {
	_ = p.proc.cmd.Process.Kill()
	<-p.proc.done
	if p.t.Failed() {
		p.t.Logf("pebble printed at last:\n%s", tail(p.proc.out.String(), 20))
	}
}

func (p *Pebble) await() {
	p.t.Helper()
	late := time.After(startTimeout)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if resp, err := p.client.Get(p.Directory); err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-again.C:
		case <-p.proc.done:
			p.t.Fatalf("pebble ended:\n%s", p.proc.out)
		case <-late:
			p.t.Fatalf("pebble does not answer:\n%s", p.proc.out)
		}
	}
}

// Root is the certificate, in PEM, that its certificates descend from.
func (p *Pebble) Root() []byte {
	p.t.Helper()
	resp, err := p.client.Get("https://localhost:15000/roots/0")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	pem, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return pem
}
