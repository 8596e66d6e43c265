package registry_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

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
			putRow(t, index, key, strings.Replace(value, "schemaVersion", "schemaWersion", 1))
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

// An image whose manifest is damaged can be deleted by those who may, and its rows stay
// exact: what it alone used is let go, what others use stays.
func TestDeleteDamagedImages(t *testing.T) {
	for _, window := range []time.Duration{0, time.Hour} {
		t.Run(window.String(), func(t *testing.T) {
			index := memory.NewIndex()
			s := open(t, registry.Options{Index: index, TrashWindow: window})
			n := create(t, s, "team/app")
			config, shared, own := addConfig(t, s, n), addLayer(t, s, n, "shared"), addLayer(t, s, n, "its own")
			child := put(t, s, n, "child", imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{shared, own}}))
			x := put(t, s, n, "index", indexOf(t, child))
			subject := v1.Descriptor{MediaType: child.MediaType, Digest: child.Digest.OCI(), Size: child.ManifestSize}
			about := put(t, s, n, "about", imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{shared}, Subject: &subject}))
			spoilManifests(t, index)
			sound := put(t, s, n, "sound", imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{shared}, Annotations: map[string]string{"a": "b"}}))
			_, _, err := s.Manifest(alice(t), n, tagged(t, "child"))
			wantCode(t, "pull", err, registry.ImageDamaged)
			_, _, err = s.SizesOfImages(alice(t), n, "", 10)
			must(t, err)

			_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: child.Digest}, nil)
			wantCode(t, "delete what an index needs", err, registry.ImageReferenced)
			for _, img := range []registry.Image{x, about, child} { // no index needs the child any more
				_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
				must(t, err)
			}
			refs, _, err := s.Referrers(alice(t), n, child.Digest, registry.ReferrerFilter{}, "", 10)
			must(t, err)
			if len(refs) != 0 {
				t.Errorf("what refers to it: %+v", refs)
			}
			if window > 0 {
				_, err = s.RestoreImage(alice(t), n, registry.Ref{Digest: child.Digest})
				wantCode(t, "restore", err, registry.ImageDamaged)
				gone, err := s.EmptyTrash(t.Context(), registry.TrashFilter{})
				must(t, err)
				if gone.Images != 3 {
					t.Errorf("let go: %+v", gone)
				}
			}
			list, err := s.Damages(t.Context(), 10)
			must(t, err)
			if len(list) != 0 {
				t.Errorf("damages: %+v", list)
			}
			_, err = s.CollectNow(t.Context(), 0)
			must(t, err)
			_, err = s.Layer(alice(t), n, sha256Of([]byte("its own")))
			wantCode(t, "a layer of its own", err, registry.LayerNotFound)
			if got := readLayer(t, s, n, sha256Of([]byte("shared"))); got != "shared" {
				t.Errorf("a shared layer is %q", got)
			}
			pulled(t, s, n, sound)
			checkRows(t, s)
		})
	}
}

// A scrub finds what decays in the trash, and what is right there again.
func TestScrubTheTrash(t *testing.T) {
	index := memory.NewIndex()
	s := open(t, registry.Options{Index: index, TrashWindow: time.Hour})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1", "some layer")
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
	must(t, err)
	back := spoilManifests(t, index)
	for _, damaged := range []int64{1, 0} {
		run, err := s.Scrub(t.Context(), registry.Scrub{Anew: true})
		must(t, err)
		list, err := s.Damages(t.Context(), 10)
		must(t, err)
		if run.Manifests != 1 || run.Damaged != damaged || len(list) != int(damaged) {
			t.Errorf("want %d damaged: scrub %+v, damages %+v", damaged, run, list)
		}
		back()
	}
	if got := damageEvents(t, s); !slices.Equal(got, []registry.EventKind{registry.ContentDamaged, registry.ContentHealed}) {
		t.Errorf("events %q", got)
	}
	_, err = s.RestoreImage(alice(t), n, registry.Ref{Digest: img.Digest})
	must(t, err)
	checkRows(t, s)
}
