// Package mirror has pull-through rules obeyed: it asks their upstreams for what is
// pulled and is not here, and keeps it.
//
// A manifest that upstream gave is a row of package registry until all that it needs is
// here, and is pulled from there meanwhile. A layer on its way is fetched once, however
// many ask for it: it goes into the store as it comes, and to whoever reads it from
// there. What nobody asks for is fetched by a worker, which goes on after a restart. When
// nothing is lacking the image becomes one like those that were pushed.
//
// An upstream is not trusted: what it gives is held against its digest before the last
// byte of it goes to anyone, and of anything else nothing is kept. When it cannot be
// asked, what is here is served.
package mirror

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// Upstream is a registry to pull from. A *peer.Registry is one, whose methods say what
// they do.
type Upstream interface {
	Manifest(ctx context.Context, repo, ref string) (peer.Manifest, error)
	Head(ctx context.Context, repo, ref string) (peer.Descriptor, error)
	OpenBlob(ctx context.Context, repo string, d digest.Digest, from int64) (io.ReadCloser, int64, error)
	Referrers(ctx context.Context, repo string, d digest.Digest) ([]peer.Descriptor, error)
	Ping(ctx context.Context) error
}

// Options are what New needs.
type Options struct {
	Registry   *registry.Service // required
	Authorizer auth.Authorizer   // required; says who may have images brought
	// Open makes the upstream of a rule, with its credentials. It is asked anew when
	// the rule is changed. It is required.
	Open func(registry.PullThroughRule) (Upstream, error)
	// Revalidate is as in registry.Options: an upstream that could not be asked is left
	// alone for a while, but no longer than that. Nil means a day.
	Revalidate func() time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log takes what fails in the background; nil means nowhere.
	Log *slog.Logger
}

// Mirror is a registry.Mirror. It is safe for use by several goroutines.
type Mirror struct {
	Options
	base   context.Context // of what goes on when whoever asked has gone
	stop   context.CancelFunc
	work   sync.WaitGroup
	wanted chan struct{} // has a value when there may be something to do for Run
	ends   atomic.Uint64 // pending images that became whole, or were given up

	clients clients

	mu        sync.Mutex
	stopped   bool
	flights   map[layerKey]*registry.Incoming
	failed    map[layerKey]bool // that did not come
	givenUp   map[imageKey]bool // images of lists, that never came
	questions map[question]*answer
	upstreams map[registry.PullThroughRule]Upstream
	rests     map[string]rest // by host
	listed    map[imageKey]time.Time
	figures   map[Rule]Figures
}

// New makes a mirror. Fetches go on until Close, or the end of Run.
func New(o Options) (*Mirror, error) {
	if o.Registry == nil || o.Authorizer == nil || o.Open == nil {
		return nil, errors.New("mirror: a registry, an authorizer and a way to open upstreams are needed")
	}
	if o.Revalidate == nil {
		o.Revalidate = func() time.Duration { return 24 * time.Hour }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Mirror{
		Options: o, wanted: make(chan struct{}, 1), flights: map[layerKey]*registry.Incoming{},
		failed: map[layerKey]bool{}, givenUp: map[imageKey]bool{}, questions: map[question]*answer{},
		upstreams: map[registry.PullThroughRule]Upstream{}, rests: map[string]rest{}, listed: map[imageKey]time.Time{}, figures: map[Rule]Figures{},
	}
	m.base, m.stop = context.WithCancel(context.Background())
	return m, nil
}

// Close ends what is under way and waits for that. What was pending goes on with the
// next mirror over the same registry.
func (m *Mirror) Close() {
	m.mu.Lock()
	m.stopped = true
	m.mu.Unlock()
	m.stop()
	m.work.Wait()
}

// goOn runs fn until Close.
func (m *Mirror) goOn(fn func()) (ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return false
	}
	m.work.Go(fn)
	return true
}

// stopping is the refusal of what would go on when the server ends.
func stopping(name registry.Name) error {
	return &registry.Error{Code: registry.UpstreamUnavailable, Msg: "the server stops", Name: name}
}

// The IAM actions that a first pull needs beside those of a pull.
const (
	importImage      = "ecr:BatchImportUpstreamImage"
	createRepository = "ecr:CreateRepository"
)

// may says whether the caller may have images of a repository brought, and the
// repository made if it is missing. He has not asked for it, so no denial is noted.
func (m *Mirror) may(ctx context.Context, name registry.Name, missing bool) error {
	of, err := m.Registry.Resource(ctx, name.ARN())
	if err != nil {
		return err
	}
	actions := []string{importImage}
	if missing {
		actions = append(actions, createRepository)
	}
	for _, action := range actions {
		c := auth.Check{Principal: auth.PrincipalOf(ctx), Action: action, Resource: name.ARN(), Account: name.ID().Account}
		look, err := auth.LookFor(ctx, m.Authorizer, c)
		if err != nil {
			return err
		}
		err = look(ctx, c.Resource, of)
		if denied := new(auth.Denied); errors.As(err, &denied) {
			return registry.ErrMayNotImport
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxKept bounds what is remembered of each kind.
const maxKept = 1000

// upstream is that of a rule.
func (m *Mirror) upstream(rule registry.PullThroughRule) (Upstream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if up, ok := m.upstreams[rule]; ok {
		return up, nil
	}
	up, err := m.Open(rule)
	if err != nil {
		return nil, &registry.Error{Code: registry.UpstreamDenied, Msg: err.Error(), Field: rule.UpstreamHost}
	}
	if len(m.upstreams) >= maxKept {
		clear(m.upstreams)
	}
	m.upstreams[rule] = up
	return up, nil
}

// Validate implements registry.Mirror.
func (m *Mirror) Validate(ctx context.Context, _ registry.ID, rule registry.PullThroughRule) error {
	up, err := m.upstream(rule)
	if err == nil {
		err = refusal(rule, registry.Ref{}, up.Ping(ctx))
	}
	return err
}
