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
// Memory is bounded: a sink holds a page of the log at a time, and a webhook one
// event for each of the few lanes that are worked at once. What waits, waits in rows.
//
// What cannot be delivered within [Webhook.MaxAge] becomes a dead letter, which is
// kept until it is replayed or dropped.
package events

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
)

// Options are what a Follower is made of.
type Options struct {
	Registry *registry.Service // required
	Index    storage.Index     // required; the one of the registry
	// Client sends to webhooks, and follows no redirects whatever it says of them. It
	// should look at addresses, as one of package remote does. Required with webhooks.
	Client   *http.Client
	File     string // path; "" for no file
	Webhooks []Webhook
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil means nowhere

	wrapFile func(io.Writer) io.Writer // for tests: a disk that is full
}

// Follower tells of events. It is safe for use by several goroutines.
type Follower struct {
	registry *registry.Service
	index    storage.Index
	client   *http.Client
	file     *fileSink // nil for none
	hooks    []*hook
	now      func() time.Time
	log      *slog.Logger
}

// New checks options and notes where the log ends: a sink that it has never heard of
// is told what happens from then on. Sinks that are known go on where they were, also
// those that were left out for some time. One that is left out for so long that it
// has missed what the log no longer holds is forgotten, with what it still had to get.
func New(ctx context.Context, o Options) (*Follower, error) {
	if o.Registry == nil || o.Index == nil || len(o.Webhooks) > 0 && o.Client == nil {
		return nil, errors.New("events: a registry, its index and a client are needed")
	}
	f := &Follower{registry: o.Registry, index: o.Index, now: o.Now, log: o.Log}
	if f.now == nil {
		f.now = time.Now
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if o.Client != nil {
		client := *o.Client
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		f.client = &client
	}
	if o.File != "" {
		f.file = &fileSink{path: o.File, wrap: o.wrapFile}
	}
	if err := f.addHooks(o.Webhooks); err != nil {
		return nil, err
	}
	return f, f.meetSinks(ctx)
}

func (f *Follower) addHooks(list []Webhook) error {
	names := map[string]bool{}
	for _, w := range list {
		h, err := newHook(f, w)
		if err != nil {
			return err
		}
		if names[h.Name] {
			return fmt.Errorf("events: two webhooks are called %q", h.Name)
		}
		names[h.Name] = true
		f.hooks = append(f.hooks, h)
	}
	return nil
}

// sinks are all that there are.
func (f *Follower) sinks() (list []sink) {
	if f.file != nil {
		list = append(list, f.file)
	}
	for _, h := range f.hooks {
		list = append(list, h)
	}
	return list
}

// Run tells of events until ctx ends, and returns nil then. What goes wrong is
// logged and tried again. It is called once.
func (f *Follower) Run(ctx context.Context) error {
	ctx = storage.UseReserve(ctx) // cursors are rows that are there, and what is sent goes
	var done sync.WaitGroup
	for _, s := range f.sinks() {
		done.Go(func() { f.follow(ctx, s) })
	}
	for _, h := range f.hooks {
		done.Go(func() { h.deliver(ctx) })
	}
	done.Wait()
	if f.file != nil {
		f.file.close()
	}
	return nil
}

// Told is an event as it is told, with its number in the log.
type Told struct {
	Sequence uint64 `json:"sequence"`
	Envelope
}

// Page has the events after the given sequence number, of at most limit in the log,
// and the number of the last of those: what to ask for next.
func (f *Follower) Page(ctx context.Context, after uint64, limit int) (list []Told, last uint64, err error) {
	page, err := f.registry.Events(ctx, after, limit)
	if err != nil || len(page) == 0 {
		return nil, after, err
	}
	return f.tell(page), page[len(page)-1].Sequence, nil
}

// tell puts events in their form. One that has none, since a later version wrote it
// or its detail is damaged, is logged and left out, lest it hold up all others.
func (f *Follower) tell(page []registry.Event) []Told {
	list := make([]Told, 0, len(page))
	for _, e := range page {
		env, err := Tell(e)
		if err != nil {
			f.log.Error("an event is left out", "sequence", e.Sequence, "error", err)
			continue
		}
		list = append(list, Told{e.Sequence, env})
	}
	return list
}
