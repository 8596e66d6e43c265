package mirror

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
)

// imageKey is an image of a repository.
type imageKey = layerKey

// Bounds of the worker.
const (
	atOnce   = 4 // images that are seen to at the same time
	layers   = 3 // layers of one of them
	page     = 100
	maxTries = 5 // for what upstream does not have, or has wrong
	// lifetime is how long an image is tried to be had.
	lifetime = 7 * 24 * time.Hour
	// firstPause follows a first failure, and doubles with each until lastPause.
	firstPause, lastPause = time.Second, 10 * time.Minute
)

// attempt is what is known of a pending image that could not be completed.
type attempt struct {
	tries   int
	due     time.Time
	running bool
	waits   bool   // for an image that it lists
	at      uint64 // Mirror.ends when it was found to
}

// poke has Run look for what is to be done.
func (m *Mirror) poke() {
	select {
	case m.wanted <- struct{}{}:
	default:
	}
}

// Run fetches what pending images lack, until ctx ends; then it ends all fetches and
// returns nil. What fails is logged and tried again.
func (m *Mirror) Run(ctx context.Context) error {
	defer m.Close()
	w := &worker{m: m, attempts: map[imageKey]*attempt{}, slots: make(chan struct{}, atOnce)}
	for {
		next, err := w.round(ctx)
		if err != nil && ctx.Err() == nil && !storage.Refuses(err) {
			m.Log.Error("look for images on their way", "error", err)
			next = firstPause
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-m.wanted:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// worker sees to pending images.
type worker struct {
	m     *Mirror
	slots chan struct{}

	mu       sync.Mutex
	attempts map[imageKey]*attempt
}

// round begins what is due, and says when to look again at the latest.
func (w *worker) round(ctx context.Context) (time.Duration, error) {
	next, seen := lastPause, map[imageKey]bool{}
	var after *registry.Pending
	for {
		list, err := w.m.Registry.Pendings(ctx, after, page)
		if err != nil {
			return next, err
		}
		for _, p := range list {
			seen[keyOf(p)] = true
			next = min(next, w.begin(p))
		}
		if len(list) < page {
			break
		}
		after = &list[len(list)-1]
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, a := range w.attempts {
		if !seen[key] && !a.running {
			delete(w.attempts, key)
		}
	}
	return next, nil
}

func keyOf(p registry.Pending) imageKey { return imageKey{p.RepositoryID, p.Digest} }

// begin begins with an image if it is due and there is room, and says when to look again.
func (w *worker) begin(p registry.Pending) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.attempts[keyOf(p)]
	if a == nil {
		a = &attempt{}
		w.attempts[keyOf(p)] = a
	}
	if wait := a.due.Sub(w.m.Now()); wait > 0 {
		return wait
	}
	if a.running || a.waits && a.at == w.m.ends.Load() {
		return lastPause
	}
	select {
	case w.slots <- struct{}{}:
	default:
		return lastPause // the end of another one pokes
	}
	a.running = true
	if !w.m.goOn(func() {
		at := w.m.ends.Load()
		err := w.m.advance(w.m.base, p, w.m.clients.makeWay)
		w.end(p, a, at, err)
		<-w.slots
		w.m.poke()
	}) {
		<-w.slots
	}
	return lastPause
}

// end notes how it went.
func (w *worker) end(p registry.Pending, a *attempt, at uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.running, a.waits, a.at = false, errors.Is(err, errWaiting), at
	if err == nil || errors.Is(err, errWaiting) || w.m.base.Err() != nil {
		a.tries = 0
		return
	}
	a.tries++
	a.due = w.m.Now().Add(min(firstPause<<min(a.tries-1, 20), lastPause))
	if !hopeless(err, a.tries) && w.m.Now().Sub(p.Since) < lifetime {
		return
	}
	w.m.Log.Warn("an image is given up that upstream was to give", "repository", p.Name, "image", p.Digest, "error", err)
	if err := w.m.Registry.DropPending(w.m.base, p, err.Error()); err != nil {
		w.m.Log.Error("an image that is given up stays", "repository", p.Name, "image", p.Digest, "error", err)
	}
	w.m.note(w.m.givenUp, keyOf(p), true)
	w.m.ends.Add(1)
}

// hopeless says that more tries will not help.
func hopeless(err error, tries int) bool {
	if tries < maxTries {
		return false
	}
	switch registry.CodeOf(err) {
	case "", registry.UpstreamUnavailable, registry.UpstreamTooMany, registry.StoreFull, registry.StoreReadOnly, registry.StoreFailed:
		return isWrong(err)
	}
	return true
}

// errWaiting says that an image waits for those that it lists.
var errWaiting = errors.New("mirror: waits for the images that it lists")

// advance fetches what an image lacks and makes it whole. It calls before ahead of each
// layer.
func (m *Mirror) advance(ctx context.Context, p registry.Pending, before func(context.Context)) error {
	for {
		lacking, err := m.Registry.CompletePending(ctx, p)
		if err == nil && lacking.IsNone() {
			m.ends.Add(1)
		}
		if err != nil || lacking.IsNone() {
			return err
		}
		if err := m.fetchAll(ctx, lacking.Layers, before); err != nil {
			return err
		}
		if len(lacking.Children) > 0 {
			if err := m.children(ctx, p, lacking); err != nil {
				return err
			}
			continue
		}
		if lacking.Waiting {
			return errWaiting
		}
	}
}

// children has the images brought that a list lacks.
func (m *Mirror) children(ctx context.Context, p registry.Pending, lacking registry.Lacking) error {
	from, _, err := m.source(registry.PendingLayer{Name: p.Name, Prefix: p.Prefix, Upstream: p.Upstream})
	if err != nil {
		return err
	}
	for _, d := range lacking.Children {
		absent := m.wasGivenUp(imageKey{p.RepositoryID, d})
		if !absent {
			err = m.child(ctx, p, from, d)
			absent = registry.CodeOf(err) == registry.ImageNotFound
		}
		if absent {
			err = m.Registry.NoteAbsent(ctx, p, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wasGivenUp says that an image was given up since this was asked last. A list is kept
// without it then, or it would be fetched for ever.
func (m *Mirror) wasGivenUp(key imageKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.givenUp[key]
	delete(m.givenUp, key)
	return was
}

// fetchAll fetches layers, some at a time.
func (m *Mirror) fetchAll(ctx context.Context, list []registry.PendingLayer, before func(context.Context)) error {
	room := make(chan struct{}, layers)
	failed := make([]error, len(list))
	var all sync.WaitGroup
	for i, l := range list {
		room <- struct{}{}
		before(ctx)
		all.Go(func() {
			failed[i] = m.fetch(l).Wait(ctx)
			<-room
		})
	}
	all.Wait()
	return errors.Join(failed...)
}
