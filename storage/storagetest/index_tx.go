package storagetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
)

var transactionCases = []indexCase{
	{"ErrorUndoes", testErrorUndoes},
	{"PanicUndoes", testPanicUndoes},
	{"ViewPassesOn", testViewPassesOn},
	{"Snapshot", testSnapshot},
	{"Cancelled", testCancelled},
	{"CancelledWhileWaiting", testCancelledWhileWaiting},
	{"CloseWaits", testCloseWaits},
	{"Numbers", testNumbers},
}

func testErrorUndoes(t *testing.T, x storage.Index) {
	want := rows{"kept": "1", "changed": "1", "deleted": "1"}
	put(t, x, want)
	err := x.Update(context.Background(), func(tx storage.Tx) error {
		must(t, putAll(tx, rows{"changed": "2", "new": "2"}))
		must(t, tx.Put("changed", []byte("3")))
		must(t, tx.Delete("deleted"))
		must(t, tx.Delete("new"))
		must(t, tx.Put("new", nil))
		return errTest
	})
	wantError(t, "Update", err, errTest)
	wantContent(t, x, want)
	put(t, x, rows{"kept": "2"})
}

func testPanicUndoes(t *testing.T, x storage.Index) {
	put(t, x, rows{"a": "1"})
	got := recovered(func() {
		_ = x.Update(context.Background(), func(tx storage.Tx) error {
			must(t, putAll(tx, rows{"a": "2", "b": "2"}))
			panic(errTest)
		})
	})
	if got != any(errTest) {
		t.Errorf("Update panicked with %v, want %v", got, errTest)
	}
	wantContent(t, x, rows{"a": "1"})
	put(t, x, rows{"a": "3"})
	wantContent(t, x, rows{"a": "3"})
}

// recovered returns what f panics with.
func recovered(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

func testViewPassesOn(t *testing.T, x storage.Index) {
	ctx := context.Background()
	wantError(t, "View", x.View(ctx, func(storage.Reader) error { return errTest }), errTest)
	got := recovered(func() {
		_ = x.View(ctx, func(storage.Reader) error { panic(errTest) })
	})
	if got != any(errTest) {
		t.Errorf("View panicked with %v, want %v", got, errTest)
	}
	put(t, x, rows{"a": "1"})
	wantContent(t, x, rows{"a": "1"})
}

// testSnapshot commits updates while a view is open, which must not see them,
// nor keep them waiting.
func testSnapshot(t *testing.T, x storage.Index) {
	before := many(200)
	put(t, x, before)
	must(t, x.View(context.Background(), func(r storage.Reader) error {
		for i := range 5 {
			done := make(chan error)
			go func() { done <- replaceAll(x, i) }()
			must(t, <-done)
			if diff := cmp.Diff(before, content(t, r)); diff != "" {
				t.Errorf("the view changed (-want +got):\n%s", diff)
			}
		}
		return nil
	}))
	wantContent(t, x, rows{"new": "\x04"})
}

func replaceAll(x storage.Index, i int) error {
	return x.Update(context.Background(), func(tx storage.Tx) error {
		for e, err := range tx.Scan(storage.Range{}) {
			if err := errors.Join(err, tx.Delete(e.Key)); err != nil {
				return err
			}
		}
		return tx.Put("new", []byte{byte(i)})
	})
}

func testCancelled(t *testing.T, x storage.Index) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantError(t, "View", x.View(ctx, func(storage.Reader) error {
		t.Error("the view ran")
		return nil
	}), context.Canceled)
	wantError(t, "Update", x.Update(ctx, func(storage.Tx) error {
		t.Error("the update ran")
		return nil
	}), context.Canceled)
}

// testCancelledWhileWaiting gives up updates that may be waiting for another.
func testCancelledWhileWaiting(t *testing.T, x storage.Index) {
	running, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		var once sync.Once
		wantError(t, "first Update", x.Update(context.Background(), func(tx storage.Tx) error {
			once.Do(func() { close(running) })
			<-release
			return tx.Put("first", nil)
		}), nil)
	})
	<-running
	ctx, cancel := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() {
			err := x.Update(ctx, func(tx storage.Tx) error { return tx.Put("second", nil) })
			wantError(t, "cancelled Update", err, context.Canceled)
		})
	}
	cancel()
	waiting.Wait() // while the first still runs
	close(release)
	all.Wait()
	put(t, x, rows{"third": ""})
	wantContent(t, x, rows{"first": "", "third": ""})
}

func testCloseWaits(t *testing.T, x storage.Index) {
	ctx := context.Background()
	started := make(chan struct{})
	closing := make(chan struct{})
	var ended atomic.Bool
	var view sync.WaitGroup
	view.Go(func() {
		wantError(t, "View", x.View(ctx, func(r storage.Reader) error {
			close(started)
			<-closing
			_, err := r.Get("a")
			ended.Store(true)
			return err
		}), storage.ErrNotFound)
	})
	<-started
	close(closing)
	must(t, x.Close())
	if !ended.Load() {
		t.Error("Close returned before the view ended")
	}
	view.Wait()
	if x.View(ctx, func(storage.Reader) error { return nil }) == nil {
		t.Error("View of a closed index succeeds")
	}
	if x.Update(ctx, func(storage.Tx) error { return nil }) == nil {
		t.Error("Update of a closed index succeeds")
	}
	must(t, x.Close())
}

// testNumbers is for those that number updates; others pass.
func testNumbers(t *testing.T, x storage.Index) {
	n, ok := x.(storage.Numbered)
	if !ok {
		return
	}
	var seen []uint64
	number := func(r storage.Reader) { seen = append(seen, r.(storage.Numbering).Number()) }
	update := func(fn func(storage.Tx) error) {
		wantError(t, "Update", x.Update(context.Background(), func(tx storage.Tx) error { number(tx); return fn(tx) }), nil)
		must(t, x.View(context.Background(), func(r storage.Reader) error { number(r); return nil }))
		seen = append(seen, n.Last())
	}
	update(func(tx storage.Tx) error { return tx.Put("a", []byte("1")) })
	update(func(tx storage.Tx) error { return tx.Delete("b") }) // writes nothing
	wantError(t, "Update", x.Update(context.Background(), func(tx storage.Tx) error { return errors.Join(tx.Put("a", nil), errTest) }), errTest)
	update(func(tx storage.Tx) error { return tx.Delete("a") })
	if diff := cmp.Diff([]uint64{1, 1, 1, 2, 1, 1, 2, 2, 2}, seen); diff != "" {
		t.Errorf("numbers in an update, in a view after it, and the last (-want +got):\n%s", diff)
	}
}
