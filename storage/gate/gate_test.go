package gate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/gate"
	"github.com/seed-78150930/berth/storage/memory"
	"github.com/seed-78150930/berth/storage/storagetest"
)

// A gate that is open is not there.
func TestOpen(t *testing.T) {
	g := gate.New(slog.New(slog.DiscardHandler))
	storagetest.Index(t, func(testing.TB) storage.Index { return g.Index(memory.NewIndex()) })
	storagetest.Blobs(t, func(testing.TB) storage.Blobs { return g.Blobs(memory.NewBlobs()) })
}

// faulty is a store whose writes fail.
type faulty struct {
	storage.Index
	storage.Blobs
	err error
}

func (f *faulty) Close() error { return nil }

func (f *faulty) Unwrap() storage.Blobs { return f.Blobs }

func (f *faulty) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if f.err != nil {
		return f.err
	}
	return f.Index.Update(ctx, fn)
}

func (f *faulty) Append(ctx context.Context, id string, off int64, r io.Reader) (int64, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Blobs.Append(ctx, id, off, r)
}

// house is a store behind a gate.
type house struct {
	*gate.Gate
	faulty *faulty
	index  storage.Index
	blobs  storage.Blobs
	log    bytes.Buffer
	n      int
}

func open(t *testing.T) *house {
	h := &house{faulty: &faulty{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}}
	h.Gate = gate.New(slog.New(slog.NewTextHandler(&h.log, nil)))
	h.index, h.blobs = h.Gate.Index(indexOf{h.faulty}), h.Gate.Blobs(h.faulty)
	if _, err := h.blobs.Append(t.Context(), "01d", 0, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	return h
}

type indexOf struct{ *faulty }

func (h *house) update(ctx context.Context) error {
	h.n++
	return h.index.Update(ctx, func(tx storage.Tx) error { return tx.Put(fmt.Sprint(h.n), nil) })
}

func (h *house) add(ctx context.Context) error {
	h.n++
	_, err := h.blobs.Append(ctx, fmt.Sprint(h.n), 0, strings.NewReader("bytes"))
	return err
}

func (h *house) remove(ctx context.Context) error { return h.blobs.Delete(ctx, "ab5e") }

func (h *house) seal(ctx context.Context) error { return h.blobs.Seal(ctx, "01d") }

// What each reason lets through, and as what the rest is refused.
func TestReasons(t *testing.T) {
	reserved := storage.UseReserve(t.Context())
	for _, c := range []struct {
		reason gate.Reason
		as     error
		passes string // of: update, add, remove, update and add with the reserve, seal
	}{
		{gate.Failed, storage.ErrBroken, "seal"},
		{gate.BySetting, storage.ErrReadOnly, "seal"},
		{gate.ByOrder, storage.ErrReadOnly, "seal"},
		{gate.Unwritable, storage.ErrReadOnly, "seal"},
		{gate.Full, storage.ErrFull, "remove reserved-update reserved-add seal"},
	} {
		t.Run(string(c.reason), func(t *testing.T) {
			h := open(t)
			h.Shut(c.reason, "because")
			if err := storage.RefusalOf(t.Context(), h.index); !errors.Is(err, c.as) {
				t.Errorf("Refusal: %v", err)
			}
			var passed []string
			for _, w := range []struct {
				name string
				err  error
			}{
				{"update", h.update(t.Context())}, {"add", h.add(t.Context())}, {"remove", h.remove(t.Context())},
				{"reserved-update", h.update(reserved)}, {"reserved-add", h.add(reserved)}, {"seal", h.seal(t.Context())},
			} {
				switch {
				case w.err == nil:
					passed = append(passed, w.name)
				case !errors.Is(w.err, c.as) || !errors.Is(w.err, storage.ErrReadOnly) || !storage.Refuses(w.err) || !strings.Contains(w.err.Error(), "because"):
					t.Errorf("%s: %v, want %v with its reason", w.name, w.err, c.as)
				}
			}
			if got := strings.Join(passed, " "); got != c.passes {
				t.Errorf("passed: %q, want %q", got, c.passes)
			}
			if err := h.index.View(t.Context(), func(storage.Reader) error { return nil }); err != nil {
				t.Errorf("a read: %v", err)
			}
			h.Open(c.reason)
			if err := h.update(t.Context()); (err == nil) != (c.reason != gate.Failed) {
				t.Errorf("after Open: %v", err)
			}
		})
	}
}

// Several reasons hold until the last ends, and the weightiest is told.
func TestSeveral(t *testing.T) {
	h := open(t)
	h.Shut(gate.Full, "full")
	h.Shut(gate.BySetting, "set")
	if err := h.update(storage.UseReserve(t.Context())); !errors.Is(err, storage.ErrReadOnly) || errors.Is(err, storage.ErrFull) {
		t.Errorf("full and set: %v, want no word of the disk", err)
	}
	h.Open(gate.BySetting)
	if err := h.update(t.Context()); !errors.Is(err, storage.ErrFull) {
		t.Errorf("still full: %v", err)
	}
	h.Open(gate.Full)
	if err := h.update(t.Context()); err != nil || h.States() != nil || h.Err() != nil {
		t.Errorf("open again: %v, %v", err, h.States())
	}
	if n := strings.Count(h.log.String(), "\n"); n != 4 {
		t.Errorf("%d lines of log, want one for each change:\n%s", n, &h.log)
	}
}

// What the store behind fails with decides whether the gate shuts, and for how long.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want gate.Reason
	}{
		"sync":       {fmt.Errorf("append: %w: %w", storage.ErrSync, syscall.EIO), gate.Failed},
		"full sync":  {fmt.Errorf("append: %w: %w", storage.ErrSync, storage.ErrFull), gate.Failed},
		"given up":   {fmt.Errorf("update: %w", storage.ErrReadOnly), gate.Failed},
		"disk error": {&fs.PathError{Op: "write", Err: syscall.EIO}, gate.Failed},
		"read-only":  {&fs.PathError{Op: "open", Err: syscall.EROFS}, gate.Unwritable},
		"rights":     {&fs.PathError{Op: "open", Err: syscall.EACCES}, gate.Unwritable},
		"full":       {fmt.Errorf("write: %w: %w", storage.ErrFull, syscall.ENOSPC), ""},
		"absent":     {storage.ErrNotFound, ""},
	} {
		for what, do := range map[string]func(*house) error{
			"update": func(h *house) error { return h.update(t.Context()) },
			"append": func(h *house) error { return h.add(t.Context()) },
		} {
			t.Run(what+" "+name, func(t *testing.T) {
				h := open(t)
				h.faulty.err = c.err
				if err := do(h); !errors.Is(err, c.err) {
					t.Errorf("the first: %v", err)
				}
				h.faulty.err = nil
				var got gate.Reason
				for _, s := range h.States() {
					got = s.Reason
				}
				if got != c.want {
					t.Fatalf("shut for %q, want %q", got, c.want)
				}
				h.Open(gate.Unwritable)
				if err := do(h); (err != nil) != (c.want == gate.Failed) {
					t.Errorf("the next: %v", err)
				}
			})
		}
	}
}

// A write that goes well while another fails is not acknowledged, and what a caller's
// own function or source fails with says nothing of the store.
func TestWhoseFailure(t *testing.T) {
	h := open(t)
	boom := fmt.Errorf("the caller's own: %w", syscall.EIO)
	if err := h.index.Update(t.Context(), func(storage.Tx) error { return boom }); err != boom {
		t.Errorf("Update: %v", err)
	}
	if n, err := h.blobs.Append(t.Context(), "4a1f", 0, io.MultiReader(strings.NewReader("ab"), broken{boom})); n != 2 || !errors.Is(err, boom) {
		t.Errorf("Append: %d, %v", n, err)
	}
	if h.Err() != nil {
		t.Fatalf("shut: %v", h.Err())
	}
	err := h.index.Update(t.Context(), func(tx storage.Tx) error {
		h.Shut(gate.Failed, "elsewhere")
		return tx.Put("k", nil)
	})
	if !errors.Is(err, storage.ErrBroken) {
		t.Errorf("an update beside a failure: %v", err)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// What a store can do besides is found through the gate.
func TestSeenThrough(t *testing.T) {
	h := open(t)
	if f, ok := storage.As[*faulty](h.blobs); !ok || f != h.faulty {
		t.Error("As does not find what is behind the gate")
	}
	if _, ok := storage.As[storage.Linker](h.blobs); ok {
		t.Error("As finds what is not there")
	}
	x := gate.New(slog.New(slog.DiscardHandler)).Index(memory.NewIndex())
	if err := x.Update(t.Context(), func(tx storage.Tx) error { return tx.Put("a", nil) }); err != nil {
		t.Fatal(err)
	}
	if n, ok := x.(storage.Numbered); !ok || n.Last() != 1 {
		t.Error("the numbers are hidden")
	}
}
