package journal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/journal"
	"github.com/seed-78150930/berth/storage/memory"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// over puts a journal over an index; who closes it closes the index.
func over(t testing.TB, inner storage.Index, dir string, o journal.Options) *journal.Index {
	t.Helper()
	x, err := journal.New(inner, dir, o)
	must(t, err)
	return x
}

// quick has a journal sync, and try again, without delay.
var quick = journal.Options{SyncEvery: time.Millisecond, Retry: time.Millisecond, Rate: 1 << 40}

type rows map[string]string

// content reads all rows of an index.
func content(t testing.TB, x storage.Index) rows {
	t.Helper()
	all := rows{}
	must(t, x.View(ctx, func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			all[e.Key] = string(e.Value)
		}
		return nil
	}))
	return all
}

// put is an update that sets one row.
func put(key, value string) func(storage.Tx) error {
	return func(tx storage.Tx) error { return tx.Put(key, []byte(value)) }
}

func update(t testing.TB, x storage.Index, fn func(storage.Tx) error) {
	t.Helper()
	must(t, x.Update(ctx, fn))
}

// replayed is the index that comes of a journal.
func replayed(t testing.TB, dir string, at journal.At) (*memory.Index, journal.Report) {
	t.Helper()
	x := memory.NewIndex()
	r, err := journal.Replay(ctx, dir, at, x)
	must(t, err)
	if x.Last() != r.Number {
		t.Errorf("the index goes on after %d, and the report says %d", x.Last(), r.Number)
	}
	return x, r
}

// wantReplay checks what comes of a journal.
func wantReplay(t testing.TB, dir string, at journal.At, want rows, number uint64) journal.Report {
	t.Helper()
	x, r := replayed(t, dir, at)
	if diff := cmp.Diff(want, content(t, x)); diff != "" {
		t.Errorf("at %v: rows (-want +got):\n%s", at, diff)
	}
	if r.Number != number || r.Rows != int64(len(want)) {
		t.Errorf("at %v: report %+v, want update %d and %d rows", at, r, number, len(want))
	}
	return r
}

// history makes random updates and knows the rows after each.
type history struct {
	rand   *rand.Rand
	states []rows // by number; the first is the empty one
}

func newHistory(seed uint64) *history {
	return &history{rand.New(rand.NewPCG(seed, 1)), []rows{{}}}
}

func (h *history) last() rows { return h.states[len(h.states)-1] }

// run makes n updates, some of which are refused and leave nothing.
func (h *history) run(t testing.TB, x storage.Index, n int) {
	t.Helper()
	for range n {
		next := rows{}
		for k, v := range h.last() {
			next[k] = v
		}
		refuse := h.rand.IntN(8) == 0
		err := x.Update(ctx, func(tx storage.Tx) error { return h.change(tx, next, refuse) })
		if refuse {
			if err != errRefused {
				t.Fatalf("update: %v, want it refused", err)
			}
			continue
		}
		must(t, err)
		h.states = append(h.states, next)
	}
}

var errRefused = fmt.Errorf("refused")

func (h *history) change(tx storage.Tx, next rows, refuse bool) error {
	key := func() string { return fmt.Sprintf("row/%03d", h.rand.IntN(200)) }
	for range h.rand.IntN(4) {
		k := key()
		if err := tx.Delete(k); err != nil {
			return err
		}
		delete(next, k)
	}
	for range 1 + h.rand.IntN(4) {
		k, v := key(), strings.Repeat(fmt.Sprint(h.rand.IntN(1000)), h.rand.IntN(60))
		if err := tx.Put(k, []byte(v)); err != nil {
			return err
		}
		next[k] = v
	}
	if refuse {
		return errRefused
	}
	return nil
}

// files are the names in a folder that have a suffix.
func files(t testing.TB, dir, suffix string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	must(t, err)
	return found
}

func copyFolder(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}
