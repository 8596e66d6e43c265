package registry_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// meanwhile is an index in which something happens ahead of the next update.
type meanwhile struct {
	storage.Index
	do atomic.Pointer[func()]
}

func (x *meanwhile) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if do := x.do.Swap(nil); do != nil {
		(*do)()
	}
	return x.Index.Update(ctx, fn)
}

// spoilManifests puts other bytes in the place of all manifests, and returns what puts
// the right ones back.
func spoilManifests(t testing.TB, index storage.Index) (back func()) {
	t.Helper()
	right := map[string]string{}
	for key, value := range rowsOf(t, index) {
		if strings.HasPrefix(key, "manifest\x00") {
			right[key] = value
			putRow(t, index, key, strings.Replace(value, "layers", "lajers", 1))
		}
	}
	return func() {
		for key, value := range right {
			putRow(t, index, key, value)
		}
	}
}

// A manifest that is healed between the look that found it damaged and the note of that
// is not noted.
func TestHealedBeforeItIsNoted(t *testing.T) {
	inner := memory.NewIndex()
	index := &meanwhile{Index: inner}
	s := open(t, registry.Options{Index: index})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1", "some layer")
	back := spoilManifests(t, inner)
	index.do.Store(&back)
	_, _, err := s.Manifest(alice(t), n, registry.Ref{Digest: img.Digest})
	wantCode(t, "pull", err, registry.ImageDamaged)
	list, err := s.Damages(t.Context(), 10)
	must(t, err)
	if len(list) != 0 || len(damageEvents(t, s)) != 0 {
		t.Errorf("damages %+v, events %q", list, damageEvents(t, s))
	}
	pulled(t, s, n, img)
}
