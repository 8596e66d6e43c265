// Package replicate is the worker that brings images to other registries of the
// server. What is to be brought where is planned by package registry, in the
// transaction that pushes or restores an image, as rows that go only in the
// transaction that brings it there: so a server that is killed at any point
// forgets nothing and does nothing twice. This package decides what is next.
//
// Images go from one repository to one registry one by one, in a lane. Each round
// takes the first image of some lanes of every destination, in turns between the
// destinations, so that one with much to come does not keep the others waiting.
// A lane whose image met a fault rests for a while, longer each time; what is
// refused, by a policy or a quota, has failed at once.
package replicate

import (
	"context"
	"errors"
	"log/slog"
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
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log takes what fails; nil means nowhere.
	Log *slog.Logger
}

// Worker brings images to other registries. Run it once.
type Worker struct {
	registry Registry
	now      func() time.Time
	log      *slog.Logger
	places   map[registry.ID]registry.Lane // where the next round goes on, by destination; none: at the beginning
	rests    rests
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
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{
		registry: o.Registry, now: o.Now, log: o.Log,
		places: map[registry.ID]registry.Lane{}, rests: rests{of: map[registry.Lane]rest{}},
	}, nil
}

// Run works until ctx ends, and then returns nil. What fails is logged and tried
// again.
func (w *Worker) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		now := w.now()
		due, planned, err := w.round(ctx, now)
		switch {
		case err == nil && len(due) > 0:
			w.work(ctx, due)
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

// round lists what is to be brought next, in turns between destinations.
func (w *Worker) round(ctx context.Context, now time.Time) (due []registry.Replica, planned uint64, err error) {
	destinations, planned, err := w.registry.ReplicaDestinations(ctx)
	if err != nil {
		return nil, 0, err
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

// page takes the first image of the next lanes of a destination that do not
// rest, none of them twice.
func (w *Worker) page(ctx context.Context, to registry.ID, now time.Time) (due []registry.Replica, err error) {
	beginning := registry.Lane{}
	for place, began := w.places[to], w.places[to]; ; {
		page, more, err := w.registry.Replicas(ctx, to, place, share)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			place = r.Lane()
			if !w.rests.has(r, now) {
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

// work brings images to their destinations, several at a time. It begins none after
// the end of ctx.
func (w *Worker) work(ctx context.Context, due []registry.Replica) {
	next := make(chan registry.Replica)
	var done sync.WaitGroup
	for range min(workers, len(due)) {
		done.Go(func() {
			for r := range next {
				w.bring(ctx, r)
			}
		})
	}
	for _, r := range due {
		if ctx.Err() != nil {
			break
		}
		next <- r
	}
	close(next)
	done.Wait()
}

// bring brings one image to its destination, lets its lane rest, or gives it up.
func (w *Worker) bring(ctx context.Context, r registry.Replica) {
	err := w.registry.ReceiveReplica(ctx, r)
	if err == nil {
		w.rests.end(r)
		return
	}
	if ctx.Err() != nil {
		return
	}
	if storage.Refuses(err) { // which is none of the image's doing, and counts as no try
		pause(ctx, firstRest)
		return
	}
	tries := w.rests.begin(r, w.now())
	w.log.Error("replicate an image", "repository", r.Source.ARN(), "digest", r.Digest.String(),
		"account", r.To.Account, "region", r.To.Region, "try", tries, "error", err)
	if tries < maxTries {
		return
	}
	const reason = "The server failed to replicate the image, and its log says why"
	if err := w.registry.FailReplica(ctx, r, registry.FailedByFault, reason); err != nil {
		w.log.Error("give up an image that is not replicated", "error", err)
		return
	}
	w.rests.end(r)
}

// await returns when something has been planned since the round of now, or a lane
// has rested that rested then.
func (w *Worker) await(ctx context.Context, planned uint64, now time.Time) error {
	ctx, cancel := w.rests.until(ctx, now)
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
