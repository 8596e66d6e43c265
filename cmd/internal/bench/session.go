package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
)

// session is what a run of scenarios shares: how the registry is spoken to, what
// was put there for several of them, and what is to be removed in the end.
type session struct {
	target    Target
	options   Options
	transport *http.Transport
	login     *login // nil if there is no registry
	payload   *generator
	folder    string // that all repositories are in
	names     atomic.Int64
	ledger    ledger

	images []image // that are in the registry, for scenarios that read
	large  []stored
}

// stored is a blob and where it is.
type stored struct {
	repo string
	blob blob
}

// ErrNoLogin says that a registry wants a password and none was given.
var ErrNoLogin = errors.New("the registry asks for a password, and none is known")

// open speaks to the registry for the first time.
func open(ctx context.Context, t Target, o Options) (*session, error) {
	transport, err := ecrlogin.Transport(t.CA)
	if err != nil {
		return nil, err
	}
	s := &session{
		target: t, options: o, transport: transport, payload: newGenerator(),
		folder: o.Prefix + "/" + strings.ToLower(rand.Text()[:8]),
	}
	if t.Registry == "" {
		return s, nil
	}
	w := newWire(transport)
	defer w.close()
	first, err := w.do(ctx, request{method: http.MethodGet, base: t.Registry, path: "/v2/"})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Registry, err)
	}
	s.login, err = newLogin(t, &http.Client{Transport: transport, Timeout: patience}, first)
	if err != nil {
		return nil, err
	}
	return s, s.tryLogin(ctx, w)
}

// tryLogin finds a password that opens nothing before it is tried for long.
func (s *session) tryLogin(ctx context.Context, w *wire) error {
	auth, err := s.login.header(ctx)
	if err != nil || s.login.realm != "" { // which gives tokens to whom it knows alone
		return err
	}
	got, err := w.do(ctx, request{method: http.MethodGet, base: s.target.Registry, path: "/v2/", auth: auth})
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return &statusError{http.MethodGet, "/v2/", got.status, string(got.body)}
	}
	return nil
}

// name is that of a repository that was not there before. The prefix says what
// it is for.
func (s *session) name(purpose string) string {
	return fmt.Sprintf("%s/%s-%d", s.folder, purpose, s.names.Add(1))
}

// repository makes a repository. Where there is no API it comes with the first
// push.
func (s *session) repository(ctx context.Context, w *worker, purpose string) (string, error) {
	name := s.name(purpose)
	if s.target.API != "" {
		if _, err := w.call(ctx, "CreateRepository", members{"repositoryName": name}); err != nil {
			return "", fmt.Errorf("make a repository: %w", err)
		}
	}
	s.ledger.repository(name)
	return name, nil
}

// repositories makes several.
func (s *session) repositories(ctx context.Context, w *worker, purpose string, n int) ([]string, error) {
	names := make([]string, n)
	for i := range names {
		var err error
		if names[i], err = s.repository(ctx, w, purpose); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// worker sends one request after the other.
type worker struct {
	*session
	wire *wire

	pace // what it took, while it is measured
}

func (s *session) worker() *worker { return &worker{session: s, wire: newWire(s.transport)} }

// each does something for every number below n, many at once, and returns the
// first error. It is for what is put in place before the clock starts.
func (s *session) each(ctx context.Context, n int, do func(ctx context.Context, w *worker, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, placing) {
		workers.Go(func() {
			w := s.worker()
			defer w.wire.close()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, w, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return nil
}

// placing is how many requests at once put data in place or remove it.
const placing = 16
