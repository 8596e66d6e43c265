package events_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// A sink that is new is told what happens once the follower is there, also what
// happens before it runs.
func TestNewSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, r := memory.NewIndex(), &receiver{}
		s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
		must(t, err)
		w := &world{t: t, registry: s}
		w.create("before")
		o := hookTo(r)
		o.Registry, o.Index = s, index
		f, err := events.New(t.Context(), o)
		must(t, err)
		w.create("meanwhile")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		synctest.Wait()
		cancel()
		must(t, <-done)
		if diff := cmp.Diff([]string{"meanwhile " + created}, r.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A sink that is left out goes on where it was, as long as the log goes back so far.
func TestSinksThatWereAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, r, log := memory.NewIndex(), &receiver{}, &journal{}
		r.answers(always(500))
		w := start(t, index, hookTo(r))
		w.create("one")
		synctest.Wait()
		w.stop()
		without := events.Options{Log: log.logger()}
		w = start(t, index, without)
		w.create("two")
		w.stop()
		r.answers(nil)
		w = start(t, index, hookTo(r))
		pass(5 * time.Second)
		if diff := cmp.Diff([]string{"one " + created, "two " + created}, sorted(r.take())); diff != "" {
			t.Errorf("after some time away (-want +got):\n%s", diff)
		}
		r.answers(always(500))
		w.create("three")
		pass(time.Second)
		w.stop()

		w = start(t, index, without)
		w.create("four")
		w.trim()
		w.create("five")
		w.stop()
		w = start(t, index, without)
		w.stop()
		if text := log.String(); strings.Count(text, "forgotten") != 1 || !strings.Contains(text, `"webhook hook"`) {
			t.Errorf("the log is:\n%s", text)
		}
		r.answers(nil)
		w = start(t, index, hookTo(r))
		defer w.stop()
		w.create("six")
		pass(time.Minute)
		if diff := cmp.Diff([]string{"six " + created}, r.take()); diff != "" {
			t.Errorf("after a long time away (-want +got):\n%s", diff)
		}
	})
}

// A sink that was stopped for longer than events are kept says how many it missed.
func TestMissedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, r, log := memory.NewIndex(), &receiver{}, &journal{}
		w := start(t, index, hookTo(r))
		w.stop()
		w.create("one", "two", "three")
		w.trim()
		w.create("four")
		o := hookTo(r)
		o.Log = log.logger()
		w = start(t, index, o)
		defer w.stop()
		synctest.Wait()
		if diff := cmp.Diff([]string{"four " + created}, r.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if text := log.String(); !strings.Contains(text, "events are gone") || !strings.Contains(text, "lost=3") {
			t.Errorf("the log is:\n%s", text)
		}
	})
}

// trim has the time pass for which events are kept, and the registry clear up.
func (w *world) trim() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.registry.Run(ctx) }()
	pass(retention + 2*time.Minute)
	cancel()
	must(w.t, <-done)
}

// An event without a form holds up nobody.
func TestEventsWithoutAForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, r, log := memory.NewIndex(), &receiver{}, &journal{}
		o := hookTo(r)
		o.Log = log.logger()
		w := start(t, index, o)
		w.stop()
		w.create("one", "two", "three")
		rename(t, index, `"repository-created"`, `"of-a-later-version"`, 2)
		w = start(t, index, o)
		defer w.stop()
		synctest.Wait()
		if diff := cmp.Diff([]string{"one " + created, "three " + created}, sorted(r.take())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if !strings.Contains(log.String(), "sequence=2") {
			t.Errorf("the log is:\n%s", log)
		}
		page, last, err := w.follower.Page(t.Context(), 1, 1)
		if err != nil || len(page) != 0 || last != 2 {
			t.Errorf("the page of that event is %+v up to %d, %v", page, last, err)
		}
		page, last, err = w.follower.Page(t.Context(), last, 10)
		if err != nil || len(page) != 1 || page[0].Sequence != 3 || last != 3 {
			t.Errorf("the page behind it is %+v up to %d, %v", page, last, err)
		}
		if page, last, err = w.follower.Page(t.Context(), 3, 10); err != nil || len(page) != 0 || last != 3 {
			t.Errorf("the page at the end is %+v up to %d, %v", page, last, err)
		}
	})
}

// rename changes a word in the row of the nth event.
func rename(t testing.TB, index storage.Index, from, to string, nth int) {
	t.Helper()
	must(t, index.Update(t.Context(), func(tx storage.Tx) error {
		for e, err := range tx.Scan(storage.Range{Prefix: "event\x00"}) {
			if err != nil {
				return err
			}
			if nth--; nth == 0 {
				text := strings.Replace(string(e.Value), from, to, 1)
				if text == string(e.Value) {
					return errors.New("the row of the event has another form")
				}
				return tx.Put(e.Key, []byte(text))
			}
		}
		return errors.New("there is no such event")
	}))
}

// failing is an index that cannot be written while it is told so.
type failing struct {
	storage.Index
	broken atomic.Bool
}

func (x *failing) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if x.broken.Load() {
		return storage.ErrFull
	}
	return x.Index.Update(ctx, fn)
}

// What is delivered and cannot be noted is delivered again, under its id; so is what a
// kill comes between.
func TestToldTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, r := &failing{Index: memory.NewIndex()}, &receiver{}
		r.answers(func(events.Envelope) int {
			index.broken.Store(true)
			return 200
		})
		w := start(t, index, hookTo(r))
		defer w.stop()
		w.create("one")
		synctest.Wait()
		r.answers(nil)
		index.broken.Store(false)
		pass(time.Minute)
		if diff := cmp.Diff([]string{"one " + created, "one " + created}, r.take()); diff != "" || r.ids[0] != r.ids[1] {
			t.Errorf("under %q (-want +got):\n%s", r.ids, diff)
		}
	})
}

// A stop amid a request has it made again later, and one after it is not.
func TestStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, r := memory.NewIndex(), &receiver{}
		hangs := slow{r, func(events.Envelope) time.Duration { return time.Hour }}
		w := start(t, index, hookTo(hangs))
		w.create("one")
		synctest.Wait()
		w.stop()
		for range 3 {
			w = start(t, index, hookTo(r))
			synctest.Wait()
			w.stop()
		}
		if diff := cmp.Diff([]string{"one " + created}, r.take()); diff != "" || r.tries() != 1 {
			t.Errorf("%d requests (-want +got):\n%s", r.tries(), diff)
		}
	})
}
