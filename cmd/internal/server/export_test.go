package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"hash"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/clock"
	"github.com/seed-78150930/berth/storage/disk"
)

// Watch is where a test counts, or has things fail. Zero members stand for the real thing.
type Watch struct {
	Layers, Facts disk.FS
	Index         func(storage.Numbered) storage.Numbered
	Hash          func(digest.Algorithm) hash.Hash
	Wall          func() time.Time     // the machine's clock
	Elapsed       func() time.Duration // time that passed, which nobody can set
	Kind          func(dir string) string
	Names         *net.Resolver // of upstreams
	Patience      time.Duration // with an index that was not closed in order
}

// Watched is o with a watch on what the server will do.
func Watched(o Options, w Watch) Options {
	o.seams = seams{layers: w.Layers, facts: w.Facts, index: w.Index, hash: w.Hash, clock: clock.Options{Wall: w.Wall, Elapsed: w.Elapsed}, kind: w.Kind, names: w.Names, patience: w.Patience}
	return o
}

// Registry is the domain.
func (s *Server) Registry() *registry.Service { return s.registry }

// Commits are those of the file that has the index, since it was opened.
func (s *Server) Commits() int64 { return s.keeper.store.kept.file.Stats().Commits }

// RunJobs runs the periodic work that is due.
func (s *Server) RunJobs(ctx context.Context) error { return s.jobs.Once(ctx) }

// OpenDoor has a handler answer in place of all doors.
func (s *Server) OpenDoor(h http.Handler) {
	d := *s.ports[0].doors.Load()
	d.oci, d.ecr = h, h
	s.ports[0].doors.Store(&d)
}

// Address is the host and port that the server listens on.
func (s *Server) Address() string { return s.ports[0].listener.Addr().String() }

// Authority is the one that a server of its own makes certificates by.
func (s *Server) Authority() *x509.Certificate { return s.local.Authority() }

// Abandon closes a server that was not run.
func (s *Server) Abandon() error { return s.abandon() }

// Metrics are the server's own metrics: name and help.
func (s *Server) Metrics() map[string]string {
	descs := make(chan *prometheus.Desc)
	go func() { defer close(descs); s.metrics.Describe(descs) }()
	told := regexp.MustCompile(`^Desc\{fqName: "(berth_[^"]*)", help: "([^"]*)"`)
	all := map[string]string{}
	for d := range descs {
		if m := told.FindStringSubmatch(d.String()); m != nil {
			all[m[1]] = m[2]
		}
	}
	return all
}

// Paced is a handler under the deadlines of the house.
func Paced(limit time.Duration, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, a := paceBody(w, r, limit), newAnswer(w, limit)
		if body != nil {
			a.renew()
		}
		h.ServeHTTP(a, r)
		a.end(body.end())
	})
}

// NewAnswer is what doors write to.
func NewAnswer(w http.ResponseWriter) interface {
	http.ResponseWriter
	io.ReaderFrom
	http.Flusher
} {
	return newAnswer(w, time.Minute)
}

// AnswerStep is how much goes by one copy.
const AnswerStep = answerStep

// ErrFraming is the complaint of Scan.
var ErrFraming = errFraming

// Scan has the framing look at what comes over one connection, piece by piece.
// It returns how many requests began, those that are not whole among them.
func Scan(pieces ...[]byte) (requests int, err error) {
	var f framing
	fresh := true
	for _, p := range pieces {
		for i := range p {
			if fresh {
				requests++
			}
			if err := f.scan(p[i : i+1]); err != nil {
				return requests, err
			}
			fresh = f.part == inHead && !f.first && len(f.line) == 0
		}
	}
	return requests, nil
}

// ScanAtOnce is Scan of one piece, and of two parted anywhere.
func ScanAtOnce(text []byte, parted int) error {
	var f framing
	if err := f.scan(text[:parted]); err != nil {
		return err
	}
	return f.scan(text[parted:])
}

// Connections is the bound on open connections.
type Connections struct{ *connections }

// NewConnections returns a bound.
func NewConnections(limit int) Connections {
	return Connections{newConnections(func() int { return limit }, 1<<20)}
}

// State tells what became of a connection.
func (c Connections) State(conn net.Conn, s http.ConnState) { c.state(conn, s) }

// Enter takes a place, if there is one.
func (c Connections) Enter() bool {
	_, ok := c.tryPlace()
	return ok
}

// Busy says that a request of a connection is under way.
func (c Connections) Busy(conn net.Conn) { noteBusy(c.context(context.Background(), conn)) }

// Courtesy is how long a connection may wait before it counts as idle.
const Courtesy = courtesy

// Framed is a listener whose connections are watched.
func Framed(l net.Listener) net.Listener { return newFramedListener(l) }

// Secured is a listener that does TLS handshakes.
func Secured(l net.Listener, conf *tls.Config) net.Listener {
	bound := newConnections(func() int { return 10 }, 1<<20)
	return newSecureListener(bound.listener(l), bound, conf, tlsLimits{time.Minute, slog.New(slog.DiscardHandler)})
}

// Faults are what is wrong with the rows and bytes of the store.
func (s *Server) Faults(ctx context.Context) (list []string, err error) {
	for f, err := range s.registry.Check(ctx, registry.Check{Hash: true}) {
		if err != nil {
			return list, err
		}
		list = append(list, f.String())
	}
	return list, nil
}

// AccessLine is what a line of the access log tells.
type AccessLine = accessLine

// NewAccessLine is a line of strangers' texts.
func NewAccessLine(method, path, target, agent string, status int, took time.Duration) AccessLine {
	return accessLine{id: "0-1", remote: "[::1]:80", method: method, path: path, status: status, received: 1, sent: 2, took: took, target: target, agent: agent}
}

// WriteAccess has the access log of a form write a line, and the log itself the same.
func WriteAccess(form string, level slog.Level, a AccessLine) (got, want string) {
	var text strings.Builder
	_, log := newLog(&text, form, slog.LevelDebug)
	log.write(context.Background(), level, a)
	got = text.String()
	text.Reset()
	log.log.LogAttrs(context.Background(), level, accessMessage, a.attrs()...)
	return got, text.String()
}
