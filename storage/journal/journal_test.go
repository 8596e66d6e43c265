package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/journal"
	"github.com/seed-78150930/berth/storage/memory"
	"github.com/seed-78150930/berth/storage/storagetest"
)

func openBolt(t testing.TB, dir string) *boltindex.Index {
	t.Helper()
	x, err := boltindex.Open(filepath.Join(dir, "index.db"), boltindex.Options{})
	must(t, err)
	return x
}

func TestIndexOverMemory(t *testing.T) {
	storagetest.Index(t, func(t testing.TB) storage.Index {
		x := over(t, memory.NewIndex(), t.TempDir(), journal.Options{})
		t.Cleanup(func() { _ = x.Close() })
		return x
	})
}

func TestIndexOverBolt(t *testing.T) {
	open := func(t testing.TB, dir string) storage.Index {
		return over(t, openBolt(t, dir), filepath.Join(dir, "journal"), journal.Options{})
	}
	storagetest.Index(t, func(t testing.TB) storage.Index {
		x := open(t, t.TempDir())
		t.Cleanup(func() { _ = x.Close() })
		return x
	})
	storagetest.DurableIndex(t, open)
}

// bare is an index without numbers.
type bare struct{ storage.Index }

func TestOnlyNumberedIndexes(t *testing.T) {
	if _, err := journal.New(bare{memory.NewIndex()}, t.TempDir(), journal.Options{}); err == nil {
		t.Error("a journal over an index without numbers; want an error")
	}
}

func TestReplayGivesEachState(t *testing.T) {
	dir := t.TempDir()
	h := newHistory(1)
	inner := memory.NewIndex()
	x := over(t, inner, dir, quick)
	h.run(t, x, 300)
	must(t, x.Close())
	last := uint64(len(h.states) - 1)
	wantReplay(t, dir, journal.At{}, h.last(), last)
	wantReplay(t, dir, journal.At{Number: last + 10}, h.last(), last)
	for _, n := range []uint64{1, 2, 100, last - 1, last} {
		r := wantReplay(t, dir, journal.At{Number: n}, h.states[n], n)
		if r.Time.IsZero() || len(r.Cut) > 0 {
			t.Errorf("report %+v, want a time and nothing cut", r)
		}
	}
}

func TestRecordsHaveTheOrderOfUpdates(t *testing.T) {
	dir := t.TempDir()
	x := over(t, openBolt(t, dir), filepath.Join(dir, "journal"), quick)
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for n := range 40 {
				key, value := fmt.Sprint("shared", n%3), fmt.Sprint(worker, n)
				if err := x.Update(ctx, put(key, value)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	want := content(t, x)
	must(t, x.Sync(ctx))
	if st := x.Status(); st.Safe != 640 || st.Index != 640 || !st.Since.IsZero() || st.Broken {
		t.Errorf("status %+v, want all 640 safe", st)
	}
	must(t, x.Close())
	wantReplay(t, filepath.Join(dir, "journal"), journal.At{}, want, 640)
}

func TestUpdatesThatWriteNothing(t *testing.T) {
	dir := t.TempDir()
	x := over(t, memory.NewIndex(), dir, quick)
	update(t, x, put("a", "1"))
	update(t, x, func(tx storage.Tx) error { return tx.Delete("never there") })
	update(t, x, func(storage.Tx) error { return nil })
	update(t, x, func(tx storage.Tx) error {
		return errors.Join(tx.Delete("never there"), tx.Put("b", nil), tx.Delete("c"))
	})
	update(t, x, func(tx storage.Tx) error { return tx.Delete("a") })
	must(t, x.Close())
	wantReplay(t, dir, journal.At{}, rows{"b": ""}, 3)
}

func TestGoesOnAfterAClose(t *testing.T) {
	dir := t.TempDir()
	inner := memory.NewIndex()
	h := newHistory(2)
	for range 4 {
		x := over(t, keepOpen{inner}, dir, quick)
		h.run(t, x, 20)
		must(t, x.Close())
	}
	wantReplay(t, dir, journal.At{}, h.last(), uint64(len(h.states)-1))
	if n := len(files(t, dir, ".log")); n != 1 {
		t.Errorf("%d segments after orderly ends, want the one", n)
	}
}

// keepOpen is an index that outlives its journal.
type keepOpen struct{ storage.Numbered }

func (keepOpen) Close() error { return nil }

func TestIndexThatIsOlderIsRefused(t *testing.T) {
	dir := t.TempDir()
	x := over(t, memory.NewIndex(), dir, quick)
	update(t, x, put("a", "1"))
	must(t, x.Close())
	if _, err := journal.New(memory.NewIndex(), dir, quick); !errors.Is(err, journal.ErrBehind) {
		t.Errorf("error %v, want ErrBehind", err)
	}
	wantReplay(t, dir, journal.At{}, rows{"a": "1"}, 1)
}

// TestIndexThatIsAhead begins a journal beside an index that has rows, and goes on
// with one that has missed some.
func TestIndexThatIsAhead(t *testing.T) {
	dir := t.TempDir()
	inner := memory.NewIndex()
	h := newHistory(3)
	for range 3 {
		h.run(t, inner, 50) // not by the journal
		x := over(t, keepOpen{inner}, dir, quick)
		h.run(t, x, 50)
		must(t, x.Sync(ctx))
		if st := x.Status(); st.Broken || st.Snapshot.Rows == 0 {
			t.Errorf("status %+v, want a snapshot", st)
		}
		must(t, x.Close())
		wantReplay(t, dir, journal.At{}, h.last(), uint64(len(h.states)-1))
		if logs, snaps := files(t, dir, ".log"), files(t, dir, ".snap"); len(logs) != 1 || len(snaps) != 1 {
			t.Errorf("the folder holds %v and %v, want one of each", logs, snaps)
		}
	}
}

func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	o := quick
	o.Compact, o.Segment = 20<<10, 4<<10
	x := over(t, memory.NewIndex(), dir, o)
	h := newHistory(4)
	for range 40 {
		h.run(t, x, 20)
		must(t, x.Sync(ctx))
	}
	must(t, x.Close())
	number := x.Status().Snapshot.Number
	if number == 0 {
		t.Error("no snapshot was made")
	}
	last := uint64(len(h.states) - 1)
	for _, n := range []uint64{number, (number + last) / 2, last} {
		wantReplay(t, dir, journal.At{Number: n}, h.states[n], n)
	}
	var size int64
	for _, name := range append(files(t, dir, ".log"), files(t, dir, ".snap")...) {
		info, err := os.Stat(name)
		must(t, err)
		size += info.Size()
	}
	if size > 200<<10 {
		t.Errorf("the journal has %d bytes after compaction", size)
	}
}

func TestSnapshotBesideUpdates(t *testing.T) {
	dir := t.TempDir()
	o := quick
	o.Compact, o.Segment = 30<<10, 10<<10
	x := over(t, openBolt(t, dir), filepath.Join(dir, "journal"), o)
	update(t, x, func(tx storage.Tx) error {
		for n := range 3000 {
			if err := tx.Put(fmt.Sprintf("row/%05d", n), []byte(strings.Repeat("v", 100))); err != nil {
				return err
			}
		}
		return nil
	})
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range 100 {
				key := fmt.Sprintf("row/%05d", (n*37+worker*371)%3000)
				err := x.Update(ctx, func(tx storage.Tx) error {
					if n%3 == 0 {
						return tx.Delete(key)
					}
					return tx.Put(key, []byte(fmt.Sprint(worker, n)))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	want := content(t, x)
	must(t, x.Sync(ctx))
	c, err := x.Compare(ctx, 10)
	must(t, err)
	if len(c.Differences) > 0 || c.Rows != int64(len(want)) {
		t.Errorf("compared: %+v, want %d rows alike", c, len(want))
	}
	must(t, x.Close())
	got, _ := replayed(t, filepath.Join(dir, "journal"), journal.At{})
	if diff := cmp.Diff(want, content(t, got)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestStateWithLittleMemory(t *testing.T) {
	dir := t.TempDir()
	inner := memory.NewIndex()
	h := newHistory(5)
	h.run(t, inner, 100)
	x := over(t, inner, dir, quick)
	must(t, x.Sync(ctx))
	h.run(t, x, 400)
	must(t, x.Close())
	s, err := journal.Open(dir, journal.At{})
	must(t, err)
	defer s.Close()
	for _, bytes := range []int{1, 1000, 10000} {
		journal.LimitMemory(s, bytes)
		got := rows{}
		for e, err := range s.Rows(ctx) {
			must(t, err)
			got[e.Key] = string(e.Value)
		}
		if diff := cmp.Diff(h.last(), got); diff != "" {
			t.Errorf("with %d bytes: rows (-want +got):\n%s", bytes, diff)
		}
	}
}
