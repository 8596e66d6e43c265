package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
)

// withoutSizes makes a store what it was before sizes were counted.
func withoutSizes(t testing.TB, index storage.Index) {
	t.Helper()
	later := map[string]string{"image": "Layers", "content": "By", "held": "Fresh", "condemned": "Size"}
	for key, value := range rowsOf(t, index) {
		table, _, _ := strings.Cut(key, "\x00")
		switch table {
		case "reposize", "registrysize", "storesize", "upgrade":
			deleteRow(t, index, key)
			continue
		}
		member, ok := later[table]
		if !ok {
			continue
		}
		row := map[string]json.RawMessage{}
		must(t, json.Unmarshal([]byte(value), &row))
		delete(row, member)
		putRow(t, index, key, string(marshal(t, row)))
	}
}

// grown is checked with layers that others hold too, a deleted repository that is not
// cleared away yet and bytes that are to be deleted. It has no trash, which stores
// without sizes did not have either.
func grown(t testing.TB) (*registry.Service, storage.Index, storage.Blobs) {
	s, index, blobs := checked(t)
	_, err := s.EmptyTrash(alice(t), registry.TrashFilter{})
	must(t, err)
	s.Configure(registry.Options{})
	other, gone := create(t, s, "other/app"), create(t, s, "gone/app")
	addImage(t, s, other, "1", "one")
	addLayer(t, s, other, "of no image")
	addImage(t, s, gone, "1", "one")
	addLayer(t, s, gone, "of nobody else")
	_, err = s.DeleteRepository(alice(t), gone, true)
	must(t, err)
	addLayer(t, s, other, "condemned")
	must(t, s.DeleteLayer(alice(t), other, sha256Of([]byte("condemned"))))
	return s, index, blobs
}

// dyingIndex fails after so many updates.
type dyingIndex struct {
	storage.Index
	left int
}

var errDied = errors.New("died")

func (x *dyingIndex) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if x.left--; x.left < 0 {
		return errDied
	}
	return x.Index.Update(ctx, fn)
}

// TestUpgradeCountsSizes in one go, and in many that die after each transaction.
func TestUpgradeCountsSizes(t *testing.T) {
	for what, lives := range map[string]int{"whole": 1 << 20, "in pieces": 1} {
		t.Run(what, func(t *testing.T) {
			s, index, blobs := grown(t)
			want, _, err := s.StoreSizes(alice(t))
			must(t, err)
			withoutSizes(t, index)
			if len(faultsOf(t, s, registry.Check{})) == 0 {
				t.Fatal("nothing is wrong without sizes")
			}
			for {
				err := registry.Upgrade(context.Background(), &dyingIndex{index, lives}, blobs, nil)
				if err == nil {
					break
				}
				if !errors.Is(err, errDied) {
					t.Fatal(err)
				}
			}
			checkRows(t, s)
			want.Condemned = 0
			got, _, err := s.StoreSizes(alice(t))
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("sizes (-before +after):\n%s", diff)
			}
			before := rowsOf(t, index)
			must(t, registry.Upgrade(context.Background(), index, blobs, nil))
			if diff := cmp.Diff(before, rowsOf(t, index)); diff != "" {
				t.Errorf("a second upgrade changed:\n%s", diff)
			}
			addImage(t, s, name(t, "team/app"), "later", "later")
			must(t, registry.Tidy(context.Background(), s))
		})
	}
}
