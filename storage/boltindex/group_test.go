package boltindex_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
)

var (
	errTest = errors.New("on purpose")
	ctx     = context.Background()
)

// inOneGroup runs the updates so that one commit takes them all, in order.
func inOneGroup(x *boltindex.Index, updates ...func(storage.Tx) error) []error {
	running, release := make(chan struct{}), make(chan struct{})
	errs := make([]error, len(updates))
	var all sync.WaitGroup
	all.Go(func() {
		_ = x.Update(ctx, func(storage.Tx) error {
			close(running)
			<-release
			return nil
		})
	})
	<-running
	for i, update := range updates {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("panic: %v", p)
				}
			}()
			errs[i] = errors.New("ended its goroutine") // unless Update returns
			errs[i] = x.Update(ctx, update)
		})
		x.AwaitWaiting(i + 1)
	}
	close(release)
	all.Wait()
	return errs
}

// content reads all rows.
func content(t testing.TB, x *boltindex.Index) map[string]string {
	t.Helper()
	rows := map[string]string{}
	err := x.View(ctx, func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			rows[e.Key] = string(e.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func put(key, value string) func(storage.Tx) error {
	return func(tx storage.Tx) error { return tx.Put(key, []byte(value)) }
}

func openTemp(t testing.TB) *boltindex.Index {
	t.Helper()
	x, err := boltindex.Open(filepath.Join(t.TempDir(), "index.db"), boltindex.Options{}.CompactOver(-1)) // no baton but the test's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

func TestGroupSharesACommit(t *testing.T) {
	x := openTemp(t)
	var updates []func(storage.Tx) error
	want := map[string]string{}
	for i := range 20 {
		key := fmt.Sprint("row/", i)
		want[key] = fmt.Sprint(i, " before")
		updates = append(updates, func(tx storage.Tx) error {
			n := 0
			for range tx.Scan(storage.Range{Prefix: "row/"}) {
				n++
			}
			return tx.Put(key, []byte(fmt.Sprint(n, " before")))
		})
	}
	for i, err := range inOneGroup(x, updates...) {
		if err != nil {
			t.Errorf("update %d: %v", i, err)
		}
	}
	if diff := cmp.Diff(want, content(t, x)); diff != "" {
		t.Errorf("each must see those before it (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(boltindex.Stats{Updates: 20, Commits: 1}, x.Stats()); diff != "" {
		t.Errorf("Stats (-want +got):\n%s", diff)
	}
}

func TestGroupWithoutItsFailures(t *testing.T) {
	x := openTemp(t)
	if err := x.Update(ctx, put("shared", "before")); err != nil {
		t.Fatal(err)
	}
	spoil := func(end func() error) func(storage.Tx) error {
		return func(tx storage.Tx) error {
			return errors.Join(tx.Put("shared", []byte("spoilt")), tx.Delete("shared"),
				tx.Put("a", []byte("spoilt")), tx.Put("spoilt", nil), end())
		}
	}
	errs := inOneGroup(x,
		put("a", "1"),
		spoil(func() error { return errTest }),
		put("b", "2"),
		spoil(func() error { panic("on purpose") }),
		put("c", "3"),
		spoil(func() error { runtime.Goexit(); return nil }),
		func(tx storage.Tx) error {
			v, err := tx.Get("shared")
			return errors.Join(err, tx.Put("seen", v))
		},
		spoil(func() error { return errTest }),
	)
	wantErrs := []string{"", "on purpose", "", "panic: on purpose", "", "ended its goroutine", "", "on purpose"}
	for i, err := range errs {
		if got := fmt.Sprint(err); err != nil && got != wantErrs[i] || err == nil && wantErrs[i] != "" {
			t.Errorf("update %d: error %q, want %q", i, got, wantErrs[i])
		}
	}
	want := map[string]string{"shared": "before", "a": "1", "b": "2", "c": "3", "seen": "before"}
	if diff := cmp.Diff(want, content(t, x)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
}

func TestRefusalsCostNoCommit(t *testing.T) {
	x := openTemp(t)
	for range 3 {
		if err := x.Update(ctx, func(storage.Tx) error { return errTest }); !errors.Is(err, errTest) {
			t.Errorf("Update: %v, want %v", err, errTest)
		}
		if err := x.Update(ctx, func(storage.Tx) error { return nil }); err != nil {
			t.Errorf("Update: %v", err)
		}
	}
	if got := x.Stats(); got != (boltindex.Stats{}) {
		t.Errorf("Stats %+v after updates that wrote nothing", got)
	}
}

func TestTxEndsWithItsUpdate(t *testing.T) {
	x := openTemp(t)
	var kept storage.Tx
	if err := x.Update(ctx, func(tx storage.Tx) error { kept = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"Put": kept.Put("k", nil), "Delete": kept.Delete("k")} {
		if err == nil {
			t.Errorf("%s after the end succeeds", what)
		}
	}
	if _, err := kept.Get("k"); err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get after the end: %v", err)
	}
	for _, err := range kept.Scan(storage.Range{}) {
		if err == nil {
			t.Error("Scan after the end succeeds")
		}
	}
}

// TestFullDisk fills the file up to its limit; reads and later updates go on.
func TestFullDisk(t *testing.T) {
	x, err := boltindex.OpenWith(filepath.Join(t.TempDir(), "index.db"), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := x.Update(ctx, put("kept", "1")); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("v", storage.MaxValue)
	errs := inOneGroup(x, put("small", ""), put("a", large), put("b", large), put("c", large),
		func(storage.Tx) error { return errTest })
	for i, err := range errs {
		if !errors.Is(err, storage.ErrFull) {
			t.Errorf("update %d: %v, want ErrFull", i, err)
		}
	}
	if diff := cmp.Diff(map[string]string{"kept": "1"}, content(t, x)); diff != "" {
		t.Errorf("content of a full index (-want +got):\n%s", diff)
	}
	if err := x.Update(ctx, put("kept", "2")); err != nil {
		t.Errorf("a small Update after ErrFull: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"kept": "2"}, content(t, x)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
}

// TestFailedCommit takes the file away from under the index.
func TestFailedCommit(t *testing.T) {
	var file *os.File
	x, err := boltindex.OpenWith(filepath.Join(t.TempDir(), "index.db"), 0, func(f *os.File) { file = f })
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := x.Update(ctx, put("kept", "1")); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for i, err := range inOneGroup(x, put("a", ""), put("kept", "2"), put("b", "")) {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("update %d: %v, want the commit's error", i, err)
		}
	}
	if err := x.Update(ctx, put("kept", "3")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Update after a failed commit: %v, want its error", err)
	}
	if diff := cmp.Diff(map[string]string{"kept": "1"}, content(t, x)); diff != "" {
		t.Errorf("content after a failed commit (-want +got):\n%s", diff)
	}
}
