package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

func TestMemoIsNeverOlderThanTheIndex(t *testing.T) {
	x := memory.NewIndex()
	m := storage.NewMemo[string, string](storage.ChangesOf(x), 2)
	looks := 0
	get := func(key string) string {
		t.Helper()
		v, err := m.Get(key, func() (v string, err error) {
			looks++
			err = x.View(context.Background(), func(r storage.Reader) error {
				b, err := r.Get(key)
				v = string(b)
				return err
			})
			return v, err
		})
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Fatal(err)
		}
		return v
	}
	put := func(key, value string) {
		if err := x.Update(context.Background(), func(tx storage.Tx) error { return tx.Put(key, []byte(value)) }); err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	see := func(key string) { seen = append(seen, fmt.Sprintf("%s, look %d", get(key), looks)) }
	see("a") // an error, which is not remembered
	put("a", "1")
	see("a")
	see("a")
	put("b", "2")
	see("a") // anything may have changed
	see("b")
	see("a")
	put("a", "3")
	see("a") // a third value: it begins anew
	see("b")
	want := []string{", look 1", "1, look 2", "1, look 2", "1, look 3", "2, look 4", "1, look 4", "3, look 5", "2, look 6"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("values and looks (-want +got):\n%s", diff)
	}
}

// plain is an index that does not number its updates.
type plain struct{ storage.Index }

func TestMemoOverAPlainIndexRemembersNothing(t *testing.T) {
	m := storage.NewMemo[int, int](storage.ChangesOf(plain{memory.NewIndex()}), 10)
	looks := 0
	for range 3 {
		if _, err := m.Get(1, func() (int, error) { looks++; return 1, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if looks != 3 {
		t.Errorf("%d looks, want 3", looks)
	}
}
