// Package replicate is the worker that brings images to other registries, of the
// server or of others. What is to be brought where is planned by package registry, in
// the transaction that pushes or restores an image, as rows that go only in the
// transaction that notes that it came there: so a server that is killed at any point
// forgets nothing; and within the server it does nothing twice. This package decides
// what is next, and speaks to other servers.
//
// Images go from one repository to one registry one by one, in a lane. Each round
// takes the first image of some lanes of every destination, in turns between the
// destinations, so that one with much to come does not keep the others waiting.
// A lane whose image met a fault rests for a while, longer each time; what is
// refused, by a policy or a quota, has failed at once. A destination on another server
// has a Worker of its own, so that one which is slow or dead holds up no other.
package replicate

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
)

// Registry is what a Worker needs of registry.Service, whose methods say what
// they do.
type Registry interface {
	ReplicaDestinations(ctx context.Context) (list []registry.ID, planned uint64, err error)
	Replicas(ctx context.Context, to registry.ID, after registry.Lane, limit int) (page []registry.Replica, more bool, err error)
	AwaitReplicas(ctx context.Context, planned uint64) error
	ReceiveReplica(ctx context.Context, r registry.Replica) error
	FailReplica(ctx context.Context, r registry.Replica, code, reason string) error
}

// Options are what New needs.
type Options struct {
	Registry Registry // required
	// Takes says which destinations are the worker's; nil means all.
	Takes func(registry.ID) bool
	// Remote is the registry of another server that they are; nil for those of this one.
	Remote *Remote
	// Windows are when images are brought; none means always.
	Windows []Window
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log takes what fails; nil means nowhere.
	Log *slog.Logger
}

// Worker brings images to other registries. Run it once.
type Worker struct {
	registry Registry
	takes    func(registry.ID) bool
	remote   *Remote
	windows  []Window
	now      func() time.Time
	log      *slog.Logger
	places   map[registry.ID]registry.Lane // where the next round goes on, by destination; none: at the beginning
	rests    rests
	counts   counts

	mu   sync.Mutex
	busy map[registry.Lane]bool // of which an image is on its way
	// urgent is what was planned when it was said that it is wanted now.
	urgent uint64
	news   chan struct{} // has a value when a lane is free or something is wanted now
}

const (
	workers = 4  // images that are brought at the same time
	share   = 16 // lanes of a destination in one round
)

// New makes a worker.
func New(o Options) (*Worker, error) {
	if o.Registry == nil {
		return nil, errors.New("replicate: a registry is needed")
	}
	if o.Takes == nil {
		o.Takes = func(registry.ID) bool { return true }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := &Worker{
		registry: o.Registry, takes: o.Takes, remote: o.Remote, windows: o.Windows, now: o.Now, log: o.Log,
		places: map[registry.ID]registry.Lane{}, rests: rests{of: map[registry.Lane]rest{}},
		counts: counts{of: map[registry.ID]Figures{}}, busy: map[registry.Lane]bool{}, news: make(chan struct{}, 1),
	}
	if o.Remote != nil {
		// Half of a rest is by chance, so that a server that was away is not asked by
		// everyone at once.
		w.rests.jitter = func(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }
	}
	return w, nil
}

// Run works until ctx ends, and then returns nil. What fails is logged and tried
// again.
func (w *Worker) Run(ctx context.Context) error {
	var under sync.WaitGroup
	defer under.Wait()
	free := make(chan struct{}, workers)
	for ctx.Err() == nil {
		now := w.now()
		due, planned, err := w.round(ctx, now)
		switch {
		case err == nil && len(due) > 0:
			w.work(ctx, due, free, &under)
			if w.remote == nil { // each is one transaction, and the rounds are what keeps turns
				under.Wait()
			}
			continue
		case err == nil:
			err = w.await(ctx, planned, now)
		}
		if err != nil && ctx.Err() == nil {
			if !storage.Refuses(err) {
				w.log.Error("look for images to replicate", "error", err)
			}
			pause(ctx, firstRest)
		}
	}
	return nil
}

// Now has what waits brought at once, outside of windows too and before lanes have
// rested.
func (w *Worker) Now(ctx context.Context) error {
	_, planned, err := w.registry.ReplicaDestinations(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.urgent = max(w.urgent, planned)
	w.mu.Unlock()
	w.rests.clear()
	w.tell()
	return nil
}

func (w *Worker) tell() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// round lists what is to be brought next, in turns between destinations.
func (w *Worker) round(ctx context.Context, now time.Time) (due []registry.Replica, planned uint64, err error) {
	all, planned, err := w.registry.ReplicaDestinations(ctx)
	if err != nil {
		return nil, 0, err
	}
	var destinations []registry.ID
	for _, to := range all {
		if w.takes(to) {
			destinations = append(destinations, to)
		}
	}
	if len(destinations) == 0 {
		w.rests.clear()
	}
	pages := make([][]registry.Replica, len(destinations))
	for i, to := range destinations {
		if pages[i], err = w.page(ctx, to, now); err != nil {
			return nil, 0, err
		}
	}
	for i := range share {
		for _, page := range pages {
			if i < len(page) {
				due = append(due, page[i])
			}
		}
	}
	return due, planned, nil
}

// page takes the first image of the next lanes of a destination that are to be worked
// on, none of them twice.
func (w *Worker) page(ctx context.Context, to registry.ID, now time.Time) (due []registry.Replica, err error) {
	beginning := registry.Lane{}
	for place, began := w.places[to], w.places[to]; ; {
		before := w.lanesBusy()
		page, more, err := w.registry.Replicas(ctx, to, place, share)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			place = r.Lane()
			if !before[r.Lane()] && w.may(r, now) { // or what has just been brought would be, again
				due = append(due, r)
			}
			if len(due) == share {
				w.places[to] = place
				return due, nil
			}
		}
		if more {
			continue
		}
		delete(w.places, to)
		if len(due) > 0 || began == beginning {
			return due, nil
		}
		place, began = beginning, beginning
	}
}

// may says whether an image may be begun: its lane is free and does not rest, and it is
// the time for it or it is wanted now.
func (w *Worker) may(r registry.Replica, now time.Time) bool {
	w.mu.Lock()
	free, urgent := !w.busy[r.Lane()], r.PlannedBy(w.urgent)
	w.mu.Unlock()
	return free && !w.rests.has(r, now) && (urgent || !opening(w.windows, now).After(now))
}

// work begins to bring images to their destinations, several at a time. It begins none
// after the end of ctx, and does not wait for the last ones: while one takes long, the
// other lanes go on.
func (w *Worker) work(ctx context.Context, due []registry.Replica, free chan struct{}, under *sync.WaitGroup) {
	for _, r := range due {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil || !w.may(r, w.now()) { // an outage was found since
			<-free
			continue
		}
		w.take(r.Lane(), true)
		under.Go(func() {
			w.bring(ctx, r)
			w.take(r.Lane(), false)
			<-free
			w.tell()
		})
	}
}

// lanesBusy are the lanes of which an image is on its way.
func (w *Worker) lanesBusy() map[registry.Lane]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.busy)
}

func (w *Worker) take(lane registry.Lane, busy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if busy {
		w.busy[lane] = true
	} else {
		delete(w.busy, lane)
	}
}

// await returns when something has been planned since the round of now, or a lane is
// free or has rested that was not or rested then, or a window opens.
func (w *Worker) await(ctx context.Context, planned uint64, now time.Time) error {
	var other time.Time
	if opens := opening(w.windows, now); opens.After(now) {
		other = opens
	}
	ctx, cancel := w.rests.until(ctx, now, other)
	defer cancel()
	var told sync.WaitGroup
	defer told.Wait()
	told.Go(func() {
		select {
		case <-w.news:
			cancel()
		case <-ctx.Done():
		}
	})
	defer cancel()
	err := w.registry.AwaitReplicas(ctx, planned)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
