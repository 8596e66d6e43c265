package certs_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/certs"
)

// filesRig is a pair of files that a source reads.
type filesRig struct {
	*certs.Files
	clock     *clock
	log       *journal
	cert, key string
}

func newFilesRig(t *testing.T) *filesRig {
	t.Helper()
	dir := t.TempDir()
	r := &filesRig{clock: newClock(), log: &journal{}, cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	r.put(t, "one.example")
	files, err := certs.OpenFilesAt(r.cert, r.key, r.log.logger(), r.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	r.Files = files
	return r
}

// pair is valid for a day around the rig's time.
func (r *filesRig) pair(t *testing.T, host string) (cert, key []byte) {
	t.Helper()
	now := r.clock.Now()
	return newPair(t, host, now.Add(-12*time.Hour), now.Add(12*time.Hour))
}

func (r *filesRig) put(t *testing.T, host string) {
	t.Helper()
	cert, key := r.pair(t, host)
	write(t, r.cert, cert)
	write(t, r.key, key)
}

// shows checks which certificate is given some time later.
func (r *filesRig) shows(t *testing.T, want string) {
	t.Helper()
	r.clock.turn(time.Second)
	if got := shown(t, r.Files, "").Subject.CommonName; got != want {
		t.Errorf("the certificate is of %s, want %s", got, want)
	}
}

func TestChangedPairIsTaken(t *testing.T) {
	r := newFilesRig(t)
	r.shows(t, "one.example")
	r.put(t, "two.example")
	if got := shown(t, r.Files, "").Subject.CommonName; got != "one.example" {
		t.Errorf("within a second of the last look the certificate is of %s", got)
	}
	r.shows(t, "two.example")
	if r.Leaf().Subject.CommonName != "two.example" {
		t.Errorf("Leaf is of %s", r.Leaf().Subject.CommonName)
	}
	if log := r.log.take(); strings.Count(log, "took a new TLS certificate") != 1 {
		t.Errorf("logged:\n%s", log)
	}
}

func TestSameBytesAreNoNews(t *testing.T) {
	r := newFilesRig(t)
	write(t, r.cert, read(t, r.cert))
	if err := os.Chtimes(r.cert, time.Time{}, r.clock.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	r.shows(t, "one.example")
	if log := r.log.take(); log != "" {
		t.Errorf("logged:\n%s", log)
	}
}

// Kubernetes mounts a folder whose files are links through "..data", a link to
// the folder of a version, which is what changes.
func TestSwappedLinkIsSeen(t *testing.T) {
	r := newFilesRig(t)
	dir := t.TempDir()
	version := func(name, host string) {
		cert, key := r.pair(t, host)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "tls.crt"), cert)
		write(t, filepath.Join(dir, name, "tls.key"), key)
		if err := os.Symlink(name, filepath.Join(dir, "..next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "one.example")
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := certs.OpenFilesAt(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), r.log.logger(), r.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	r.Files = files
	version("..2", "two.example")
	r.shows(t, "two.example")
}

func TestHalfWrittenPairIsWaitedFor(t *testing.T) {
	tests := []struct {
		name string
		half func(r *filesRig, cert, key []byte)
		says string
	}{
		{"the certificate first", func(r *filesRig, cert, _ []byte) { write(t, r.cert, cert) }, "private key does not match"},
		{"the key first", func(r *filesRig, _, key []byte) { write(t, r.key, key) }, "private key does not match"},
		{"half a certificate", func(r *filesRig, cert, _ []byte) { write(t, r.cert, cert[:len(cert)/2]) }, "not written to its end"},
		{"an empty key", func(r *filesRig, cert, _ []byte) { write(t, r.cert, cert); write(t, r.key, nil) }, "holds no private key"},
		{"no key", func(r *filesRig, _, _ []byte) { _ = os.Remove(r.key) }, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newFilesRig(t)
			cert, key := r.pair(t, "two.example")
			tt.half(r, cert, key)
			for range 3 {
				r.shows(t, "one.example")
			}
			if log := r.log.take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, tt.says) || !strings.Contains(log, "level=WARN") {
				t.Errorf("logged, of which one line was to say %q:\n%s", tt.says, log)
			}
			write(t, r.cert, cert)
			write(t, r.key, key)
			r.shows(t, "two.example")
		})
	}
}

// A chain of which only the leaf is there yet is a valid pair to Go.
func TestHalfWrittenChainIsWaitedFor(t *testing.T) {
	r := newFilesRig(t)
	cert, key := r.pair(t, "two.example")
	issuer, _ := r.pair(t, "issuer.example")
	chain := bytes.Join([][]byte{cert, issuer}, nil)
	write(t, r.key, key)
	write(t, r.cert, chain[:len(chain)-40])
	r.shows(t, "one.example")
	write(t, r.cert, chain)
	r.shows(t, "two.example")
}

func TestPairOfAnotherTimeIsNotTaken(t *testing.T) {
	r := newFilesRig(t)
	now := r.clock.Now()
	put := func(from, to time.Duration) {
		cert, key := newPair(t, "two.example", now.Add(from), now.Add(to))
		write(t, r.cert, cert)
		write(t, r.key, key)
	}
	put(-2*time.Hour, -time.Hour)
	r.shows(t, "one.example")
	if log := r.log.take(); !strings.Contains(log, "expired at") {
		t.Errorf("logged:\n%s", log)
	}
	put(time.Hour, 2*time.Hour)
	r.shows(t, "one.example")
	if log := r.log.take(); !strings.Contains(log, "not valid before") {
		t.Errorf("logged:\n%s", log)
	}
	r.clock.turn(time.Hour) // its time has come, and the files are as they were
	r.shows(t, "two.example")
}

func TestExpiredPairIsTakenAtStartWithAWarning(t *testing.T) {
	r := newFilesRig(t)
	log := &journal{}
	files, err := certs.OpenFilesAt(r.cert, r.key, log.logger(), func() time.Time { return time.Now().AddDate(1, 0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	if text := log.take(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "expired at") {
		t.Errorf("logged:\n%s", text)
	}
	shown(t, files, "")
}

func TestOpenFilesSaysWhichFileIsWrong(t *testing.T) {
	now := time.Now()
	cert, key := newPair(t, "one.example", now.Add(-time.Hour), now.Add(time.Hour))
	_, other := newPair(t, "two.example", now.Add(-time.Hour), now.Add(time.Hour))
	locked := []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	old := []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n")
	broken := []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	both := bytes.Join([][]byte{key, cert}, nil)
	tests := []struct {
		name      string
		cert, key []byte // nil is a file that is absent
		want      string // "" for none
	}{
		{"a pair", cert, key, ""},
		{"both in each", both, both, ""},
		{"no certificate", nil, key, "TLS certificate: stat C: no such file"},
		{"no key", cert, nil, "TLS key: stat K: no such file"},
		{"text", []byte("hello"), key, "TLS certificate C: it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"},
		{"swapped", key, cert, "TLS certificate C: it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----), but a PRIVATE KEY"},
		{"two certificates", cert, cert, "TLS key K: it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----), but a CERTIFICATE"},
		{"broken certificate", broken, key, "TLS certificate C: certificate 1 in it cannot be read: x509"},
		{"half a key", cert, key[:len(key)/2], "TLS key K: a PEM block in it is damaged, or not written to its end"},
		{"another's key", cert, other, "TLS key K, for the first certificate in C: tls: private key does not match public key"},
		{"locked key", cert, locked, "TLS key K: the key in it is locked by a passphrase"},
		{"locked key of old", cert, old, "TLS key K: the key in it is locked by a passphrase"},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		c, k := filepath.Join(dir, "C"), filepath.Join(dir, "K")
		for name, data := range map[string][]byte{c: tt.cert, k: tt.key} {
			if data != nil {
				write(t, name, data)
			}
		}
		_, err := certs.OpenFiles(c, k, slog.New(slog.DiscardHandler))
		if tt.want == "" && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.want == "" {
			continue
		}
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""), tt.want) {
			t.Errorf("%s: error %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestPairIsSwappedBeneathHandshakes(t *testing.T) {
	r := newFilesRig(t)
	addr := serveTLS(t, r.Files)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 25 {
				if _, err := shake(t, addr, &tls.Config{InsecureSkipVerify: true}); err != nil { // whom it serves is not the matter here
					t.Errorf("handshake: %v", err)
				}
				r.clock.turn(time.Second)
			}
		})
	}
	for i := range 10 {
		r.put(t, []string{"one.example", "two.example"}[i%2])
	}
	clients.Wait()
	r.shows(t, "two.example")
}
