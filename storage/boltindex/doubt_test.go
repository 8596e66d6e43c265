package boltindex_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
)

// crashed is a folder as a crash leaves it, with two rows.
func crashed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	x := open(t, dir)
	if err := errors.Join(x.Update(ctx, put("a", "1")), x.Update(ctx, put("b", "2"))); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := errors.Join(os.CopyFS(copied, os.DirFS(dir)), x.Close()); err != nil {
		t.Fatal(err)
	}
	return copied
}

// held is a Verify that ends with what it is sent.
type held chan error

func (h held) verify(ctx context.Context, _ storage.Numbered) error {
	select {
	case err := <-h:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openHeld opens an index that is not known to be sound before h says so.
func openHeld(t *testing.T, dir string, h held) *boltindex.Index {
	t.Helper()
	x := openAs(t, dir, boltindex.Options{Verify: h.verify, Patience: time.Nanosecond}.CompactOver(-1))
	if x.Found() != boltindex.Unclosed || x.Settled() {
		t.Fatalf("found %q, settled: %t", x.Found(), x.Settled())
	}
	return x
}

func TestViewsBeforeItIsKnownToBeSound(t *testing.T) {
	dir, h := crashed(t), make(held, 1)
	x := openHeld(t, dir, h)
	want := map[string]string{"a": "1", "b": "2"}
	if diff := cmp.Diff(want, content(t, x)); diff != "" {
		t.Errorf("rows before (-want +got):\n%s", diff)
	}
	if x.Last() != 2 {
		t.Errorf("last update %d", x.Last())
	}
	if _, err := boltindex.Open(filepath.Join(dir, "index.db"), boltindex.Options{}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened once more: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- x.Update(ended, put("never", "x")) }()
	x.AwaitWaiting(1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("an update that waits: %v", err)
	}
	go func() { done <- x.Update(ctx, put("c", "3")) }()
	x.AwaitWaiting(1)
	h <- nil
	if err := errors.Join(<-done, x.Sound(ctx)); err != nil {
		t.Fatal(err)
	}
	want["c"] = "3"
	if diff := cmp.Diff(want, content(t, x)); diff != "" || !x.Settled() {
		t.Errorf("rows after, settled %t (-want +got):\n%s", x.Settled(), diff)
	}
}

// TestUpdatesWaitForOlderViews since a view from before the file is opened for updates
// is not known to who makes room in it.
func TestUpdatesWaitForOlderViews(t *testing.T) {
	h := make(held, 1)
	x := openHeld(t, crashed(t), h)
	done := make(chan error, 1)
	err := x.View(ctx, func(r storage.Reader) error {
		go func() { done <- x.Update(ctx, put("a", "new")) }()
		x.AwaitWaiting(1)
		h <- nil
		x.AwaitUpdatable()
		select {
		case err := <-done:
			t.Errorf("an update ran beside the view: %v", err)
		default:
		}
		if v, err := r.Get("a"); err != nil || string(v) != "1" {
			t.Errorf("a is %q, %v", v, err)
		}
		return nil
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if got := content(t, x)["a"]; got != "new" {
		t.Errorf("a is %q", got)
	}
}

func TestFoundBadWhileInUse(t *testing.T) {
	dir, h := crashed(t), make(held, 1)
	x := openHeld(t, dir, h)
	bad := errors.New("other rows")
	done := make(chan error, 1)
	go func() { done <- x.Update(ctx, put("c", "3")) }()
	x.AwaitWaiting(1)
	h <- bad
	if err := <-done; !errors.Is(err, storage.ErrReadOnly) || !errors.Is(err, bad) {
		t.Errorf("an update: %v", err)
	}
	if err := x.Sound(ctx); !errors.Is(err, bad) {
		t.Errorf("Sound: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	// Whoever opens it now does not use it before all is seen.
	path := filepath.Join(dir, "index.db")
	h <- bad
	if _, err := boltindex.Open(path, boltindex.Options{Verify: h.verify, Patience: time.Nanosecond}); !errors.Is(err, bad) {
		t.Errorf("opened again: %v", err)
	}
	h <- nil
	x = openAs(t, dir, boltindex.Options{Verify: h.verify, Patience: time.Nanosecond})
	if x.Found() != boltindex.Doubtful || !x.Settled() {
		t.Errorf("found %q, settled %t", x.Found(), x.Settled())
	}
	if err := x.Update(ctx, put("c", "3")); err != nil {
		t.Error(err)
	}
}

func TestCloseBeforeItIsKnownToBeSound(t *testing.T) {
	dir := crashed(t)
	x := openHeld(t, dir, make(held))
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x := open(t, dir); x.Found() != boltindex.Unclosed {
		t.Errorf("found %q", x.Found())
	}
}
