package storagetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
)

var scanCases = []indexCase{
	{"Ranges", testRanges},
	{"ScanStops", testScanStops},
	{"OwnWrites", testOwnWrites},
	{"DeleteDuringScan", testDeleteDuringScan},
	{"PutDuringScan", testPutDuringScan},
	{"ScanInScan", testScanInScan},
	{"AsAMap", testAsAMap},
}

// keys collects the keys of a scan.
func keys(t testing.TB, r storage.Reader, rng storage.Range) []string {
	t.Helper()
	var ks []string
	for e, err := range r.Scan(rng) {
		must(t, err)
		ks = append(ks, e.Key)
	}
	return ks
}

func testRanges(t *testing.T, x storage.Index) {
	put(t, x, rows{"a": "", "a\x00x": "", "a\x00y": "", "ab": "", "b": "", "b\xff": "", "b\xff\xff": "", "c": ""})
	tests := []struct {
		r    storage.Range
		want []string
	}{
		{storage.Range{}, []string{"a", "a\x00x", "a\x00y", "ab", "b", "b\xff", "b\xff\xff", "c"}},
		{storage.Range{Prefix: "a"}, []string{"a", "a\x00x", "a\x00y", "ab"}},
		{storage.Range{Prefix: "a\x00"}, []string{"a\x00x", "a\x00y"}},
		{storage.Range{Prefix: "b\xff"}, []string{"b\xff", "b\xff\xff"}},
		{storage.Range{Prefix: "c"}, []string{"c"}},
		{storage.Range{Prefix: "d"}, nil},
		{storage.Range{Prefix: "", After: "b"}, []string{"b\xff", "b\xff\xff", "c"}},
		{storage.Range{Prefix: "a", After: "a"}, []string{"a\x00x", "a\x00y", "ab"}},
		{storage.Range{Prefix: "a", After: "a\x00x"}, []string{"a\x00y", "ab"}},
		{storage.Range{Prefix: "a", After: "a\x00xx"}, []string{"a\x00y", "ab"}}, // absent
		{storage.Range{Prefix: "b", After: "a"}, []string{"b", "b\xff", "b\xff\xff"}},
		{storage.Range{Prefix: "a", After: "b"}, nil},
		{storage.Range{After: "c"}, nil},
		{storage.Range{Limit: 2}, []string{"a", "a\x00x"}},
		{storage.Range{Prefix: "b", Limit: 3}, []string{"b", "b\xff", "b\xff\xff"}},
		{storage.Range{Prefix: "b", Limit: 9}, []string{"b", "b\xff", "b\xff\xff"}},
		{storage.Range{Prefix: "a", After: "a", Limit: 1}, []string{"a\x00x"}},
	}
	must(t, x.View(context.Background(), func(r storage.Reader) error {
		for _, tt := range tests {
			if diff := cmp.Diff(tt.want, keys(t, r, tt.r)); diff != "" {
				t.Errorf("Scan(%+v) (-want +got):\n%s", tt.r, diff)
			}
		}
		return nil
	}))
}

func testScanStops(t *testing.T, x storage.Index) {
	put(t, x, rows{"a": "1", "b": "2", "c": "3"})
	must(t, x.View(context.Background(), func(r storage.Reader) error {
		scan := r.Scan(storage.Range{})
		for range 2 { // an iterator may be used again
			var seen []string
			for e, err := range scan {
				must(t, err)
				if seen = append(seen, e.Key+string(e.Value)); e.Key == "b" {
					break
				}
			}
			if diff := cmp.Diff([]string{"a1", "b2"}, seen); diff != "" {
				t.Errorf("entries before the break (-want +got):\n%s", diff)
			}
		}
		return nil
	}))
}

func testOwnWrites(t *testing.T, x storage.Index) {
	put(t, x, rows{"a": "old", "b": "old", "c": "old"})
	want := rows{"a": "old", "b": "new", "d": "new"}
	must(t, x.Update(context.Background(), func(tx storage.Tx) error {
		must(t, putAll(tx, rows{"b": "new", "d": "newer"}))
		must(t, tx.Put("d", []byte("new")))
		must(t, tx.Delete("c"))
		if diff := cmp.Diff(want, content(t, tx)); diff != "" {
			t.Errorf("in the update (-want +got):\n%s", diff)
		}
		_, err := tx.Get("c")
		wantError(t, "Get of a row deleted in this update", err, storage.ErrNotFound)
		return nil
	}))
	wantContent(t, x, want)
}

// many returns n rows whose values are too large to lie on one page of disk
// together.
func many(n int) rows {
	r := rows{}
	for i := range n {
		r[fmt.Sprintf("row/%04d", i)] = strings.Repeat("v", 100)
	}
	return r
}

func testDeleteDuringScan(t *testing.T, x storage.Index) {
	all := many(500)
	put(t, x, all)
	put(t, x, rows{"other": "stays"})
	must(t, x.Update(context.Background(), func(tx storage.Tx) error {
		var seen []string
		for e, err := range tx.Scan(storage.Range{Prefix: "row/"}) {
			must(t, err)
			seen = append(seen, e.Key)
			must(t, tx.Delete(e.Key))
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(all)), seen); diff != "" {
			t.Errorf("keys of a scan that deletes them (-want +got):\n%s", diff)
		}
		return nil
	}))
	wantContent(t, x, rows{"other": "stays"})
}

func testPutDuringScan(t *testing.T, x storage.Index) {
	all := many(500)
	put(t, x, all)
	want := rows{}
	must(t, x.Update(context.Background(), func(tx storage.Tx) error {
		var last string
		clear(want)
		for e, err := range tx.Scan(storage.Range{Prefix: "row/"}) {
			must(t, err)
			if e.Key <= last {
				t.Fatalf("key %q after %q", e.Key, last)
			}
			last = e.Key
			must(t, putAll(tx, rows{e.Key: "changed", "before/" + e.Key: "added"}))
			want[e.Key], want["before/"+e.Key] = "changed", "added"
		}
		return nil
	}))
	if len(want) != 2*len(all) {
		t.Errorf("the scan showed %d rows, want %d", len(want)/2, len(all))
	}
	wantContent(t, x, want)
}

func testScanInScan(t *testing.T, x storage.Index) {
	put(t, x, rows{"a1": "", "a2": "", "b1": "", "b2": ""})
	var seen []string
	must(t, x.Update(context.Background(), func(tx storage.Tx) error {
		seen = nil
		for a, err := range tx.Scan(storage.Range{Prefix: "a"}) {
			must(t, err)
			for b, err := range tx.Scan(storage.Range{Prefix: "b"}) {
				must(t, err)
				seen = append(seen, a.Key+b.Key)
				must(t, tx.Put("c"+b.Key, nil))
			}
		}
		return nil
	}))
	if diff := cmp.Diff([]string{"a1b1", "a1b2", "a2b1", "a2b2"}, seen); diff != "" {
		t.Errorf("pairs (-want +got):\n%s", diff)
	}
}

// testAsAMap plays the same random writes to the index and to a map, among
// them updates that are given up.
func testAsAMap(t *testing.T, x storage.Index) {
	rnd := rand.New(rand.NewPCG(1, 2))
	want := rows{}
	for round := range 30 {
		next := maps.Clone(want)
		giveUp := round%3 == 2
		err := x.Update(context.Background(), func(tx storage.Tx) error {
			for range 40 {
				key := fmt.Sprintf("%02x", rnd.IntN(200))
				if rnd.IntN(3) == 0 {
					delete(next, key)
					must(t, tx.Delete(key))
					continue
				}
				next[key] = strings.Repeat(key, rnd.IntN(300))
				must(t, tx.Put(key, []byte(next[key])))
			}
			if diff := cmp.Diff(next, content(t, tx)); diff != "" {
				t.Errorf("in update %d (-want +got):\n%s", round, diff)
			}
			if giveUp {
				return errTest
			}
			return nil
		})
		if giveUp {
			wantError(t, "given up", err, errTest)
			continue
		}
		must(t, err)
		want = next
	}
	wantContent(t, x, want)
}
