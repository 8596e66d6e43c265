package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
	"github.com/seed-78150930/berth/storage/table"
)

// TestFormsAreThoseOfTheRows writes rows with members that are set or not, and holds
// what is kept, and what is read again, against package json.
func TestFormsAreThoseOfTheRows(t *testing.T) {
	t.Run("registry", func(t *testing.T) { testForm(t, registries, 2) })
	t.Run("repository", func(t *testing.T) { testForm(t, repositories, 3) })
	t.Run("image", func(t *testing.T) { testForm(t, images, 4) })
	t.Run("layeruse", func(t *testing.T) { testForm(t, layerUses, 5) })
	t.Run("held", func(t *testing.T) { testForm(t, held, 4) })
	t.Run("holder", func(t *testing.T) { testForm(t, holders, 4) })
	t.Run("content", func(t *testing.T) { testForm(t, contents, 1) })
	t.Run("owner", func(t *testing.T) { testForm(t, owners, 1) })
	t.Run("event", func(t *testing.T) { testForm(t, events, 1) })
	t.Run("sequence", func(t *testing.T) { testForm(t, sequences, 1) })
}

func testForm[Row any](t *testing.T, of table.Table[Row], parts int) {
	if _, ok := any(new(Row)).(table.Formed); !ok {
		t.Fatal("the row has no form")
	}
	x, r := memory.NewIndex(), rand.New(rand.NewPCG(1, 2))
	key := []string{"a", "b", "c", "d", "e"}[:parts]
	for range 500 {
		var row Row
		fill(r, reflect.ValueOf(&row).Elem())
		want, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		err = x.Update(context.Background(), func(tx storage.Tx) error {
			if err := of.Put(tx, row, key...); err != nil {
				return err
			}
			for e, err := range tx.Scan(storage.Range{}) {
				if err != nil || !bytes.Equal(e.Value, want) {
					t.Errorf("%v, kept\n%s, want\n%s", err, e.Value, want)
				}
			}
			var back Row
			if err := json.Unmarshal(want, &back); err != nil {
				return err
			}
			got, err := of.Get(tx, key...)
			if diff := cmp.Diff(back, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
				t.Errorf("%s (-json +form):\n%s", want, diff)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// texts are what members are filled with: plain, and what JSON escapes or may change.
var texts = []string{"", "plain", "application/vnd.oci.image.manifest.v1+json", `"quoted\"`, "a<b>&c", "é", "\xff", "line\n"}

// fill sets each member of a row in half of the cases.
func fill(r *rand.Rand, v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		if r.IntN(2) == 0 {
			*p = time.Unix(r.Int64N(4e9), r.Int64N(1e9)).UTC().Truncate([]time.Duration{1, time.Second}[r.IntN(2)])
		}
		return
	case *digest.Digest:
		if r.IntN(2) == 0 {
			*p = digest.FromBytes([]digest.Algorithm{digest.SHA256, digest.SHA512}[r.IntN(2)], []byte{byte(r.Int())})
		}
		return
	case *json.RawMessage:
		if r.IntN(2) == 0 {
			*p = json.RawMessage(`{"a":[1,"b"]}`)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.String:
		if r.IntN(2) == 0 {
			v.SetString(texts[r.IntN(2)])
		}
		if r.IntN(20) == 0 {
			v.SetString(texts[r.IntN(len(texts))])
		}
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt([]int64{0, 1, 10, r.Int64(), -r.Int64()}[r.IntN(5)])
	case reflect.Uint64:
		v.SetUint([]uint64{0, 1, 10, r.Uint64()}[r.IntN(4)])
	case reflect.Slice:
		if r.IntN(4) == 0 {
			v.Set(reflect.ValueOf([]string{"one", "two"}))
		}
	case reflect.Map:
		if r.IntN(4) == 0 {
			v.Set(reflect.ValueOf(map[string]string{"k": "v"}))
		}
	}
}
