package journal_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/journal"
	"github.com/seed-78150930/berth/storage/memory"
)

// worn is a journal with a snapshot and segments after it, closed in order.
func worn(t *testing.T) (dir string, h *history) {
	t.Helper()
	dir = t.TempDir()
	o := quick
	o.Segment = 1 << 10
	inner := memory.NewIndex()
	h = newHistory(11)
	h.run(t, inner, 60)
	x := over(t, inner, dir, o)
	must(t, x.Sync(ctx))
	for range 4 {
		h.run(t, x, 15)
		must(t, x.Sync(ctx))
	}
	must(t, x.Close())
	if len(files(t, dir, ".log")) < 3 || len(files(t, dir, ".snap")) != 1 {
		t.Fatalf("%v, want some segments and a snapshot", files(t, dir, ""))
	}
	return dir, h
}

// TestTornTail cuts the last segment at each of its bytes.
func TestTornTail(t *testing.T) {
	dir, h := worn(t)
	logs := files(t, dir, ".log")
	last := logs[len(logs)-1]
	whole, err := os.ReadFile(last)
	must(t, err)
	before := uint64(0)
	for size := range whole {
		must(t, os.WriteFile(last, whole[:size], 0o600))
		x, r := replayed(t, dir, journal.At{})
		if diff := cmp.Diff(h.states[r.Number], content(t, x)); diff != "" {
			t.Fatalf("cut at %d: rows at update %d (-want +got):\n%s", size, r.Number, diff)
		}
		if r.Number < before {
			t.Fatalf("cut at %d: up to update %d, with less up to %d", size, r.Number, before)
		}
		before = r.Number
	}
	if before < uint64(len(h.states)-10) {
		t.Errorf("the cuts ended at update %d of %d", before, len(h.states)-1)
	}
}

// TestGoesOnAfterATornTail opens a journal whose tail is torn over an index that is
// as far as the rest, and over one that is further.
func TestGoesOnAfterATornTail(t *testing.T) {
	for _, lost := range []int{0, 3} {
		dir, h := worn(t)
		logs := files(t, dir, ".log")
		f, err := os.OpenFile(logs[len(logs)-1], os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = f.Write([]byte("half a record"))
		must(t, errors.Join(err, f.Close()))
		inner, _ := replayed(t, dir, journal.At{})
		h.run(t, inner, lost)
		x := over(t, inner, dir, quick)
		if st := x.Status(); !strings.Contains(st.Cut, "13 bytes after update") {
			t.Errorf("status %+v, want that a tail was cut", st)
		}
		h.run(t, x, 20)
		must(t, x.Sync(ctx))
		must(t, x.Close())
		wantReplay(t, dir, journal.At{}, h.last(), uint64(len(h.states)-1))
	}
}

// TestDamageIsNeverTakenForAState changes bytes anywhere in any file. What is told
// then is a state that was, or that there is none.
func TestDamageIsNeverTakenForAState(t *testing.T) {
	dir, h := worn(t)
	all := append(files(t, dir, ".log"), files(t, dir, ".snap")...)
	found := 0
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 12))
		name := all[r.IntN(len(all))]
		sound, err := os.ReadFile(name)
		must(t, err)
		b := bytes.Clone(sound)
		switch at := r.IntN(len(b)); r.IntN(4) {
		case 0:
			b[at] ^= byte(1 << r.IntN(8))
		case 1:
			clear(b[at:min(len(b), at+r.IntN(500))])
		case 2:
			b = b[:at]
		case 3:
			b = append(b[:at:at], sound[min(len(b), at+1+r.IntN(300)):]...)
		}
		must(t, os.WriteFile(name, b, 0o600))
		x := memory.NewIndex()
		report, err := journal.Replay(ctx, dir, journal.At{}, x)
		must(t, os.WriteFile(name, sound, 0o600))
		if err != nil {
			found++
			if !errors.Is(err, journal.ErrNothing) {
				t.Errorf("seed %d, %s: %v, want ErrNothing", seed, name, err)
			}
			continue
		}
		if len(report.Cut) > 0 {
			found++
		}
		if diff := cmp.Diff(h.states[report.Number], content(t, x)); diff != "" {
			t.Errorf("seed %d, %s: rows at update %d (-want +got):\n%s", seed, name, report.Number, diff)
		}
	}
	if found < 100 {
		t.Errorf("of 120 damages %d were told of", found)
	}
}

func TestCompareFindsEachDifference(t *testing.T) {
	dir, h := worn(t)
	inner, _ := replayed(t, dir, journal.At{})
	s, err := journal.Open(dir, journal.At{})
	must(t, err)
	defer s.Close()
	c, err := s.Compare(ctx, inner, 10)
	must(t, err)
	if len(c.Differences) > 0 || c.First != s.Number || c.Last != s.Number || c.Rows != int64(len(h.last())) {
		t.Errorf("compared with what it tells itself: %+v", c)
	}
	var gone, other string
	for key := range h.last() {
		gone, other = other, key
		if gone != "" {
			break
		}
	}
	update(t, inner, func(tx storage.Tx) error {
		return errors.Join(tx.Delete(gone), tx.Put(other, []byte("another")), tx.Put("a", nil), tx.Put("z", nil))
	})
	want := map[string]journal.Kind{"a": journal.NotInJournal, "z": journal.NotInJournal, gone: journal.NotInIndex, other: journal.Unlike}
	got := map[string]journal.Kind{}
	c, err = s.Compare(ctx, inner, 10)
	must(t, err)
	for _, d := range c.Differences {
		got[d.Key] = d.Kind
	}
	if diff := cmp.Diff(want, got); diff != "" || c.More {
		t.Errorf("differences (-want +got), more: %t:\n%s", c.More, diff)
	}
	c, err = s.Compare(ctx, inner, 2)
	must(t, err)
	if len(c.Differences) != 2 || !c.More {
		t.Errorf("the first two: %+v", c)
	}
}

func TestNothingThere(t *testing.T) {
	for what, dir := range map[string]string{"absent": t.TempDir() + "/absent", "empty": t.TempDir()} {
		if there, err := journal.Present(dir); there || err != nil {
			t.Errorf("%s: present %t, %v", what, there, err)
		}
		if _, err := journal.Open(dir, journal.At{}); !errors.Is(err, journal.ErrNothing) {
			t.Errorf("%s: %v, want ErrNothing", what, err)
		}
	}
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/00000001.log", []byte("text"), 0o600))
	if _, err := journal.Open(dir, journal.At{}); !errors.Is(err, journal.ErrNothing) {
		t.Errorf("text: %v, want ErrNothing", err)
	}
	x := over(t, memory.NewIndex(), dir, quick)
	update(t, x, put("a", "1"))
	must(t, x.Close())
	wantReplay(t, dir, journal.At{}, rows{"a": "1"}, 1)
}
