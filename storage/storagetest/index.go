package storagetest

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
)

// Index tests a keeper against the contract of storage.Index. open returns a
// fresh, empty index and sees to its closing when the test ends.
func Index(t *testing.T, open func(t testing.TB) storage.Index) {
	runIndex(t, open, rowCases, scanCases, transactionCases, concurrencyCases)
}

// DurableIndex tests what an index that outlives its process must keep. open
// opens the index in the folder dir, which is empty the first time, and does
// not close it.
func DurableIndex(t *testing.T, open func(t testing.TB, dir string) storage.Index) {
	t.Run("Reopen", func(t *testing.T) { testReopen(t, open) })
}

var rowCases = []indexCase{
	{"PutGetDelete", testPutGetDelete},
	{"EmptyValue", testEmptyValue},
	{"Limits", testLimits},
	{"ValuesAreTheCallers", testValuesAreTheCallers},
	{"KeysAreBytes", testKeysAreBytes},
}

// rows are the content of an index, or what is to be put in one.
type rows map[string]string

func put(t testing.TB, x storage.Index, r rows) {
	t.Helper()
	must(t, x.Update(context.Background(), func(tx storage.Tx) error { return putAll(tx, r) }))
}

func putAll(tx storage.Tx, r rows) error {
	for k, v := range r {
		if err := tx.Put(k, []byte(v)); err != nil {
			return err
		}
	}
	return nil
}

// content reads all rows that the reader sees.
func content(t testing.TB, r storage.Reader) rows {
	t.Helper()
	all := rows{}
	for e, err := range r.Scan(storage.Range{}) {
		must(t, err)
		all[e.Key] = string(e.Value)
	}
	return all
}

// wantContent reports an index that does not hold exactly want.
func wantContent(t testing.TB, x storage.Index, want rows) {
	t.Helper()
	must(t, x.View(context.Background(), func(r storage.Reader) error {
		if diff := cmp.Diff(want, content(t, r)); diff != "" {
			t.Errorf("content (-want +got):\n%s", diff)
		}
		return nil
	}))
}

func testPutGetDelete(t *testing.T, x storage.Index) {
	ctx := context.Background()
	wantContent(t, x, rows{})
	put(t, x, rows{"a": "1", "b": "2"})
	wantContent(t, x, rows{"a": "1", "b": "2"})
	put(t, x, rows{"a": "3"})
	must(t, x.Update(ctx, func(tx storage.Tx) error { return tx.Delete("b") }))
	wantContent(t, x, rows{"a": "3"})
	must(t, x.Update(ctx, func(tx storage.Tx) error { return tx.Delete("never there") }))
	must(t, x.View(ctx, func(r storage.Reader) error {
		v, err := r.Get("a")
		wantError(t, "Get of a row", err, nil)
		if string(v) != "3" {
			t.Errorf("Get(a) = %q, want 3", v)
		}
		for _, absent := range []string{"b", "", "a\x00", strings.Repeat("k", storage.MaxKey+1)} {
			_, err := r.Get(absent)
			wantError(t, "Get of an absent key", err, storage.ErrNotFound)
		}
		return nil
	}))
}

func testEmptyValue(t *testing.T, x storage.Index) {
	ctx := context.Background()
	must(t, x.Update(ctx, func(tx storage.Tx) error {
		must(t, tx.Put("nil", nil))
		must(t, tx.Put("empty", []byte{}))
		return getsEmpty(t, tx)
	}))
	must(t, x.View(ctx, func(r storage.Reader) error { return getsEmpty(t, r) }))
	wantContent(t, x, rows{"nil": "", "empty": ""})
}

func getsEmpty(t *testing.T, r storage.Reader) error {
	for _, key := range []string{"nil", "empty"} {
		v, err := r.Get(key)
		if len(v) != 0 || err != nil {
			t.Errorf("Get(%s) = %q, %v; want no bytes and no error", key, v, err)
		}
	}
	return nil
}

func testLimits(t *testing.T, x storage.Index) {
	longKey, longValue := strings.Repeat("k", storage.MaxKey), bytes.Repeat([]byte("v"), storage.MaxValue)
	tests := []struct {
		name, key string
		value     []byte
		want      error
	}{
		{"longest key", longKey, []byte("v"), nil},
		{"longest value", "value", longValue, nil},
		{"longest of both", longKey[1:] + "b", longValue, nil},
		{"key too long", longKey + "k", nil, storage.ErrTooLarge},
		{"value too long", "too long", append(longValue, 'v'), storage.ErrTooLarge},
		{"empty key", "", []byte("v"), storage.ErrBadKey},
	}
	want := rows{}
	for _, tt := range tests {
		err := x.Update(context.Background(), func(tx storage.Tx) error { return tx.Put(tt.key, tt.value) })
		wantError(t, tt.name, err, tt.want)
		if tt.want == nil {
			want[tt.key] = string(tt.value)
		}
	}
	wantContent(t, x, want)
}

func testValuesAreTheCallers(t *testing.T, x storage.Index) {
	value := []byte("before")
	must(t, x.Update(context.Background(), func(tx storage.Tx) error {
		must(t, tx.Put("k", value))
		copy(value, "after.")
		if got, err := tx.Get("k"); string(got) != "before" {
			t.Errorf("in the update Get = %q, %v; want before", got, err)
		}
		return nil
	}))
	wantContent(t, x, rows{"k": "before"})
}

func testKeysAreBytes(t *testing.T, x storage.Index) {
	want := rows{"\x00": "0", "a\x00b": "1", "a\x00": "2", "\xff\xff": "3", "é": "4", "\xfe": "5", "a b\n": "6"}
	put(t, x, want)
	wantContent(t, x, want)
}

func testReopen(t *testing.T, open func(t testing.TB, dir string) storage.Index) {
	dir := t.TempDir()
	want := rows{}
	for _, step := range []rows{{"a": "1", "b": ""}, {"a": "2", "c": strings.Repeat("c", storage.MaxValue)}, {}} {
		x := open(t, dir)
		wantContent(t, x, want)
		put(t, x, step)
		for k, v := range step {
			want[k] = v
		}
		must(t, x.Close())
	}
}
