package journal_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage/journal"
	"github.com/seed-78150930/berth/storage/memory"
)

// FuzzRecords reads anything as records: it ends, without a panic, and what it reads
// can be written and read again.
func FuzzRecords(f *testing.F) {
	dir, _ := wornFiles(f)
	for _, b := range dir {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := journal.NewRecordReader(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, journal.ErrDamaged) {
				t.Fatalf("error %v, want ErrDamaged", err)
			}
			return
		}
		var copied bytes.Buffer
		w, err := journal.NewRecordWriter(&copied, r.Last())
		must(t, err)
		var changes []journal.Change
		for {
			rec, err := r.Next()
			if err != nil {
				if err != io.EOF && !errors.Is(err, journal.ErrDamaged) {
					t.Fatalf("error %v, want ErrDamaged", err)
				}
				break
			}
			must(t, w.Write(rec))
			changes = append(changes, changesOf(t, rec)...)
		}
		if int(r.Good()) > len(b) {
			t.Fatalf("%d good bytes of %d", r.Good(), len(b))
		}
		again, err := journal.NewRecordReader(&copied)
		must(t, err)
		for rec, err := again.Next(); err == nil; rec, err = again.Next() {
			for _, c := range changesOf(t, rec) {
				if diff := cmp.Diff(changes[0], c); diff != "" {
					t.Fatal(diff)
				}
				changes = changes[1:]
			}
		}
		if len(changes) > 0 || again.Last() != r.Last() {
			t.Fatalf("%d changes are missing, up to %d of %d", len(changes), again.Last(), r.Last())
		}
	})
}

func changesOf(t *testing.T, r journal.Record) (all []journal.Change) {
	for c, err := range r.Changes() {
		if err != nil {
			if !errors.Is(err, journal.ErrDamaged) {
				t.Fatalf("error %v, want ErrDamaged", err)
			}
			break
		}
		c.Value = bytes.Clone(c.Value)
		all = append(all, c)
	}
	return all
}

// FuzzSnapshot reads anything as a snapshot.
func FuzzSnapshot(f *testing.F) {
	_, snapshot := wornFiles(f)
	f.Add(snapshot)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := journal.NewSnapshotReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		last, rows := "", int64(0)
		for e, err := range r.Rows() {
			if err != nil {
				if !errors.Is(err, journal.ErrDamaged) {
					t.Fatalf("error %v, want ErrDamaged", err)
				}
				return
			}
			if e.Key <= last {
				t.Fatalf("%q after %q", e.Key, last)
			}
			last, rows = e.Key, rows+1
		}
		if r.End().Rows != rows {
			t.Fatalf("%d rows, and the end says %d", rows, r.End().Rows)
		}
	})
}

// wornFiles are small sound files of both kinds.
func wornFiles(f *testing.F) (records [][]byte, snapshot []byte) {
	dir := f.TempDir()
	inner := memory.NewIndex()
	x := over(f, inner, dir, quick)
	for range 3 {
		update(f, x, put("a", "1"))
	}
	s, err := x.State(ctx)
	must(f, err)
	var one, two bytes.Buffer
	w, err := journal.NewRecordWriter(&one, s.Begin())
	must(f, err)
	for r, err := range s.Records(ctx, s.Begin()) {
		must(f, err)
		must(f, w.Write(r))
	}
	end, err := s.WriteTo(ctx, &two)
	must(f, err)
	if end.Number != 3 || end.Begin != 3 || time.Since(end.Time) > time.Minute {
		f.Errorf("the end of the snapshot: %+v", end)
	}
	must(f, errors.Join(s.Close(), x.Close()))
	return [][]byte{one.Bytes(), one.Bytes()[:one.Len()-3]}, two.Bytes()
}
