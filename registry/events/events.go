// Package events follows the registry's event log and tells others of it: files,
// webhooks, and whoever tails it.
//
// Each sink has a cursor in the index, behind what it has taken over. A file takes
// over an event when its line is synced. For a webhook events are taken over as
// rows of its own, one lane for each repository; they are sent in order within a
// lane, and a lane that waits to be tried again holds up no other. What is sent and
// answered is deleted. So each event is told at least once, and once more where the
// process dies between the telling and the note of it; its id tells.
//
// What cannot be delivered after [Webhook.MaxAge] becomes a dead letter, which is
// kept until it is replayed or dropped.
package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Options are what a Follower is made of.
type Options struct {
	Registry *registry.Service // required
	Index    storage.Index     // required; the one of the registry
	// Client sends to webhooks. It should follow no redirects and look at
	// addresses, as one of package remote does. Required with webhooks.
	Client   *http.Client
	File     string // path; "" for no file
	Webhooks []Webhook
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil means nowhere
}

// Follower tells of events. It is safe for use by several goroutines.
type Follower struct {
	registry *registry.Service
	index    storage.Index
	client   *http.Client
	file     string
	hooks    []*hook
	now      func() time.Time
	log      *slog.Logger
}

// Rows of this package, in the registry's index.
var (
	cursors    = table.New[cursorRow]("eventcursor", 1)     // sink
	deliveries = table.New[deliveryRow]("eventdelivery", 3) // sink, lane, sequence
	dead       = table.New[DeadLetter]("eventdead", 2)      // sink, sequence
)

type cursorRow struct{ Sequence uint64 }

// New checks options.
func New(o Options) (*Follower, error) {
	if o.Registry == nil || o.Index == nil || len(o.Webhooks) > 0 && o.Client == nil {
		return nil, errors.New("events: a registry, its index and a client are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Follower{registry: o.Registry, index: o.Index, client: o.Client, file: o.File, now: o.Now, log: o.Log}
	for _, w := range o.Webhooks {
		h, err := newHook(f, w)
		if err != nil {
			return nil, err
		}
		for _, other := range f.hooks {
			if other.Name == h.Name {
				return nil, fmt.Errorf("events: two webhooks are called %q", h.Name)
			}
		}
		f.hooks = append(f.hooks, h)
	}
	return f, nil
}

// Run tells of events until ctx ends, and returns nil then. What goes wrong is
// logged and tried again.
func (f *Follower) Run(ctx context.Context) error {
	var done sync.WaitGroup
	if f.file != "" {
		w := &fileSink{path: f.file}
		done.Go(func() {
			f.follow(ctx, "file", w.take)
			w.close()
		})
	}
	for _, h := range f.hooks {
		done.Go(func() { f.follow(ctx, h.sink(), h.take) })
		done.Go(func() { h.deliver(ctx) })
	}
	done.Wait()
	return nil
}

// How many events are read at once, and how long a sink rests that failed.
const (
	pageSize  = 200
	restAfter = time.Second
	mostRest  = time.Minute
)

// take takes a page of events over and, in the transaction that it is given or
// before, sees to it that they are told.
type take func(ctx context.Context, page []registry.Event) (note func(storage.Tx) error, err error)

// follow has a sink take over what happens. A sink that is new begins with what
// happens from now on.
func (f *Follower) follow(ctx context.Context, sink string, take take) {
	rest := restAfter
	for ctx.Err() == nil {
		err := f.step(ctx, sink, take)
		if err == nil {
			rest = restAfter
			continue
		}
		if ctx.Err() == nil {
			f.log.Error("events wait", "sink", sink, "error", err)
		}
		pause(ctx, rest)
		rest = min(2*rest, mostRest)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (f *Follower) step(ctx context.Context, sink string, take take) error {
	at, err := f.cursor(ctx, sink)
	if err != nil {
		return err
	}
	if err := f.registry.AwaitEvents(ctx, at); err != nil {
		return err
	}
	page, err := f.registry.Events(ctx, at, pageSize)
	if err != nil || len(page) == 0 {
		return err
	}
	note, err := take(ctx, page)
	if err != nil {
		return err
	}
	return f.index.Update(ctx, func(tx storage.Tx) error {
		if note != nil {
			if err := note(tx); err != nil {
				return err
			}
		}
		return cursors.Put(tx, cursorRow{page[len(page)-1].Sequence}, sink)
	})
}

// cursor is how far a sink is.
func (f *Follower) cursor(ctx context.Context, sink string) (at uint64, err error) {
	last, err := f.registry.LastEvent(ctx)
	if err != nil {
		return 0, err
	}
	err = f.index.Update(ctx, func(tx storage.Tx) error {
		row, err := cursors.Get(tx, sink)
		if errors.Is(err, storage.ErrNotFound) {
			at = last
			return cursors.Put(tx, cursorRow{last}, sink)
		}
		at = row.Sequence
		return err
	})
	return at, err
}
