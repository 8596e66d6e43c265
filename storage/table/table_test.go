package table_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
	"github.com/seed-78150930/berth/storage/table"
)

// tag is a row that becomes JSON.
type tag struct{ Digest string }

// raw is a row that makes its own bytes.
type raw struct{ bytes []byte }

func (r raw) MarshalBinary() ([]byte, error) {
	if r.bytes == nil {
		return nil, errors.New("nothing to keep")
	}
	return r.bytes, nil
}

func (r *raw) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		return errors.New("nothing kept")
	}
	r.bytes = append([]byte{}, b...)
	return nil
}

var (
	ctx  = context.Background()
	tags = table.New[tag]("tag", 2)
	raws = table.New[raw]("raw", 1)
)

// update runs fn on x and ends the test if it fails.
func update(t *testing.T, x storage.Index, fn func(storage.Tx) error) {
	t.Helper()
	if err := x.Update(ctx, fn); err != nil {
		t.Fatal(err)
	}
}

// with returns an index that holds a tag for each key, whose digest is its
// parts put together.
func with(t *testing.T, keys ...[]string) storage.Index {
	t.Helper()
	x := memory.NewIndex()
	update(t, x, func(tx storage.Tx) error {
		for _, k := range keys {
			if err := tags.Put(tx, tag{Digest: k[0] + k[1]}, k...); err != nil {
				return err
			}
		}
		return nil
	})
	return x
}

func TestRows(t *testing.T) {
	x := with(t)
	update(t, x, func(tx storage.Tx) error {
		if _, err := tags.Get(tx, "repo", "1.0"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Get of an absent row: %v, want ErrNotFound", err)
		}
		if has, err := tags.Has(tx, "repo", "1.0"); has || err != nil {
			t.Errorf("Has of an absent row = %v, %v", has, err)
		}
		if err := tags.Delete(tx, "repo", "1.0"); err != nil {
			t.Errorf("Delete of an absent row: %v", err)
		}
		if err := tags.Put(tx, tag{Digest: "d"}, "repo", "1.0"); err != nil {
			t.Errorf("Put: %v", err)
		}
		if got, err := tags.Get(tx, "repo", "1.0"); got != (tag{Digest: "d"}) || err != nil {
			t.Errorf("Get = %v, %v", got, err)
		}
		if has, err := tags.Has(tx, "repo", "1.0"); !has || err != nil {
			t.Errorf("Has = %v, %v", has, err)
		}
		if value, err := tx.Get("tag\x00repo\x001.0"); string(value) != `{"Digest":"d"}` {
			t.Errorf("the index holds %s, %v", value, err)
		}
		if err := tags.Delete(tx, "repo", "1.0"); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if has, err := tags.Has(tx, "repo", "1.0"); has || err != nil {
			t.Errorf("Has after Delete = %v, %v", has, err)
		}
		return nil
	})
}

func TestBinaryRows(t *testing.T) {
	update(t, with(t), func(tx storage.Tx) error {
		if err := raws.Put(tx, raw{[]byte("\x00\xff")}, "k"); err != nil {
			t.Errorf("Put: %v", err)
		}
		if got, err := raws.Get(tx, "k"); string(got.bytes) != "\x00\xff" || err != nil {
			t.Errorf("Get = %q, %v", got.bytes, err)
		}
		if value, err := tx.Get("raw\x00k"); string(value) != "\x00\xff" {
			t.Errorf("the index holds %q, %v", value, err)
		}
		if err := raws.Put(tx, raw{}, "k"); err == nil {
			t.Error("Put of a row that cannot be written succeeds")
		}
		return nil
	})
}

func TestBadRows(t *testing.T) {
	update(t, with(t), func(tx storage.Tx) error {
		for _, key := range []string{"raw\x00k", "tag\x00a\x00b"} {
			if err := tx.Put(key, nil); err != nil {
				return err
			}
		}
		if _, err := raws.Get(tx, "k"); err == nil {
			t.Error("Get of a row that cannot be read succeeds")
		}
		if _, err := tags.Get(tx, "a", "b"); err == nil {
			t.Error("Get of a row that is not JSON succeeds")
		}
		var errs []error
		for _, err := range tags.Scan(tx, table.Select{}) {
			errs = append(errs, err)
		}
		if len(errs) != 1 || errs[0] == nil {
			t.Errorf("Scan over a row that is not JSON yields errors %v, want one", errs)
		}
		return nil
	})
}

func TestBadKeys(t *testing.T) {
	update(t, with(t), func(tx storage.Tx) error {
		for _, key := range [][]string{nil, {"a"}, {"a", "b", "c"}, {"a", "b\x00"}, {"\x00", "b"}, {"a\x00b", ""}} {
			_, getErr := tags.Get(tx, key...)
			_, hasErr := tags.Has(tx, key...)
			for what, err := range map[string]error{
				"Get": getErr, "Has": hasErr, "Put": tags.Put(tx, tag{}, key...), "Delete": tags.Delete(tx, key...),
			} {
				if !errors.Is(err, table.ErrBadKey) {
					t.Errorf("%s of %q: %v, want ErrBadKey", what, key, err)
				}
			}
		}
		for _, s := range []table.Select{
			{Prefix: []string{"a", "b", "c"}}, {Prefix: []string{"a"}, After: []string{"b", "c"}},
			{Prefix: []string{"a\x00"}}, {After: []string{"\x00"}},
		} {
			n := 0
			for _, err := range tags.Scan(tx, s) {
				if n++; !errors.Is(err, table.ErrBadKey) {
					t.Errorf("Scan(%+v): %v, want ErrBadKey", s, err)
				}
			}
			if n != 1 {
				t.Errorf("Scan(%+v) yields %d times, want once", s, n)
			}
		}
		return nil
	})
}

// TestScan has keys whose parts order otherwise than their strings would: "a"
// is before "a-" as a part, though "-" is before most separators.
func TestScan(t *testing.T) {
	k := func(parts ...string) []string { return parts }
	all := [][]string{k("", ""), k("", "x"), k("a", ""), k("a", "1"), k("a", "2"), k("a", "2\x01"), k("a", "22"), k("a\x01", "0"), k("a-", "0"), k("ab", "1"), k("b", "1")}
	x := with(t, all...)
	update(t, x, func(tx storage.Tx) error {
		other := table.New[tag]("tags", 2) // whose name begins with the other's
		return errors.Join(other.Put(tx, tag{}, "a", "1"), raws.Put(tx, raw{[]byte("r")}, "a"))
	})
	tests := []struct {
		name string
		s    table.Select
		want [][]string
	}{
		{"all", table.Select{}, all},
		{"limit", table.Select{Limit: 2}, all[:2]},
		{"prefix", table.Select{Prefix: k("a")}, all[2:7]},
		{"empty prefix", table.Select{Prefix: k("")}, all[:2]},
		{"prefix without rows", table.Select{Prefix: k("aa")}, nil},
		{"prefix and limit", table.Select{Prefix: k("a"), Limit: 2}, all[2:4]},
		{"whole key", table.Select{Prefix: k("a", "2")}, all[4:5]},
		{"whole key, absent", table.Select{Prefix: k("a", "3")}, nil},
		{"after", table.Select{Prefix: k("a"), After: k("2")}, all[5:7]},
		{"after an absent row", table.Select{Prefix: k("a"), After: k("11")}, all[4:7]},
		{"after an empty part", table.Select{Prefix: k("a"), After: k("")}, all[3:7]},
		{"after the last", table.Select{Prefix: k("a"), After: k("9")}, nil},
		{"after both parts", table.Select{After: k("a", "22")}, all[7:]},
		{"after the first part", table.Select{After: k("a")}, all[2:]},
		{"after and limit", table.Select{Prefix: k("a"), After: k(""), Limit: 1}, all[3:4]},
	}
	for _, tt := range tests {
		err := x.View(ctx, func(r storage.Reader) error {
			var got [][]string
			for f, err := range tags.Scan(r, tt.s) {
				if err != nil {
					return err
				}
				got = append(got, f.Key)
				if want := f.Key[0] + f.Key[1]; f.Row.Digest != want {
					t.Errorf("%s: row of %q is %q, want %q", tt.name, f.Key, f.Row.Digest, want)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestScanStops(t *testing.T) {
	x := with(t, []string{"a", "1"}, []string{"a", "2"}, []string{"a", "3"})
	update(t, x, func(tx storage.Tx) error {
		n := 0
		for f, err := range tags.Scan(tx, table.Select{Prefix: []string{"a"}}) {
			if err != nil {
				return err
			}
			if n++; f.Key[1] == "2" {
				break
			}
		}
		if n != 2 {
			t.Errorf("the loop ran %d times, want 2", n)
		}
		return nil
	})
}

func TestNames(t *testing.T) {
	x := with(t, []string{"a", "1"}, []string{"a", "2"}, []string{"a", "3"}, []string{"ab", "4"})
	for _, tt := range []struct {
		sel  table.Select
		want []string
	}{
		{table.Select{Prefix: []string{"a"}}, []string{"1", "2", "3"}},
		{table.Select{Prefix: []string{"a"}, After: []string{"1"}, Limit: 1}, []string{"2"}},
		{table.Select{Prefix: []string{"b"}}, nil},
	} {
		err := x.View(ctx, func(r storage.Reader) error {
			var got []string
			for name, err := range tags.Names(r, tt.sel) {
				if err != nil {
					return err
				}
				got = append(got, name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", tt.sel, diff)
			}
			for _, err := range tags.Names(r, table.Select{}) {
				if !errors.Is(err, table.ErrBadKey) {
					t.Errorf("names behind no part: %v", err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
