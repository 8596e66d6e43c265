package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// checkEvery is how old what is known of the files may be.
const checkEvery = time.Second

// Files is a certificate chain and its key, kept in two files (or both in one)
// that are read again when they change. They are looked at by handshakes, at
// most once a second, and not by a watcher: Kubernetes changes such files by
// swapping a link above them, which a watcher of the files does not see.
//
// What is changed counts when both parts are a pair that is valid now. Until
// then the old pair stays in force, so the parts may be written one by one.
type Files struct {
	cert, key string
	log       *slog.Logger
	now       func() time.Time
	pair      atomic.Pointer[tls.Certificate]

	checking atomic.Bool // held by the one handshake that looks at the files
	checked  time.Time
	seen     [2]os.FileInfo // cert and key as they were when pair was read
	refused  string         // what was last logged, "" when all is well
}

// OpenFiles reads a PEM chain, leaf first, and its PEM key. The error says
// which file is wrong and how. A pair that has expired is taken with a warning:
// clients refuse it, and say so better than a server that does not start.
func OpenFiles(cert, key string, log *slog.Logger) (*Files, error) {
	return openFiles(cert, key, log, time.Now)
}

func openFiles(cert, key string, log *slog.Logger, now func() time.Time) (*Files, error) {
	f := &Files{cert: cert, key: key, log: log, now: now, checked: now()}
	seen, err := f.look()
	if err != nil {
		return nil, err
	}
	pair, err := readPair(cert, key)
	if err != nil {
		return nil, err
	}
	if err := validAt(pair.Leaf, now()); err != nil {
		log.Warn("the TLS certificate is not valid", "file", cert, "error", err)
	}
	f.seen = seen
	f.pair.Store(pair)
	return f, nil
}

// Certificate implements Source. It never fails: there is a pair in force.
func (f *Files) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if f.checking.CompareAndSwap(false, true) {
		f.check()
		f.checking.Store(false)
	}
	return f.pair.Load(), nil
}

// Leaf is the certificate in force, for those who tell when it ends.
func (f *Files) Leaf() *x509.Certificate { return f.pair.Load().Leaf }

// check takes the pair that the files hold, if it is another one. One that is
// refused is read anew each time, since it may only have to be waited for.
func (f *Files) check() {
	now := f.now()
	if age := now.Sub(f.checked); 0 <= age && age < checkEvery {
		return
	}
	f.checked = now
	seen, err := f.look()
	if err == nil && sameFiles(f.seen, seen) {
		f.refused = ""
		return
	}
	var pair *tls.Certificate
	if err == nil {
		pair, err = readPair(f.cert, f.key)
	}
	if err == nil {
		err = validAt(pair.Leaf, now)
	}
	if err != nil {
		f.keep(err)
		return
	}
	f.take(pair, seen)
}

// keep leaves the old pair in force, and says so once for each reason.
func (f *Files) keep(why error) {
	if text := why.Error(); text != f.refused {
		f.refused = text
		f.log.Warn("changed TLS files are not taken; the old certificate stays in force", "error", why, "file", f.cert)
	}
}

func (f *Files) take(pair *tls.Certificate, seen [2]os.FileInfo) {
	old := f.pair.Swap(pair)
	f.seen, f.refused = seen, ""
	if !slices.EqualFunc(old.Certificate, pair.Certificate, slices.Equal[[]byte]) {
		f.log.Info("took a new TLS certificate", "file", f.cert, "ends", pair.Leaf.NotAfter)
	}
}

// look says how the files are. Links are followed.
func (f *Files) look() ([2]os.FileInfo, error) {
	cert, err := os.Stat(f.cert)
	if err != nil {
		return [2]os.FileInfo{}, fmt.Errorf("TLS certificate: %w", err)
	}
	key, err := os.Stat(f.key)
	if err != nil {
		return [2]os.FileInfo{}, fmt.Errorf("TLS key: %w", err)
	}
	return [2]os.FileInfo{cert, key}, nil
}

func sameFiles(a, b [2]os.FileInfo) bool {
	for i := range a {
		if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}

// validAt says in what way a certificate is not valid at a time.
func validAt(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate expired at %s", c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
