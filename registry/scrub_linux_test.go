package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/fsblob"
	"github.com/seed-78150930/berth/storage/memory"
)

// TestScrub finds damage that no read has met, also such as leaves a file's times
// alone, and what is right again.
func TestScrub(t *testing.T) {
	index := memory.NewIndex()
	s, dir := onDisk(t, registry.Options{Index: index})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1", "some layer")
	addImage(t, s, create(t, s, "team/other"), "1", "other layer")
	run, err := s.Scrub(t.Context(), registry.Scrub{Anew: true})
	must(t, err)
	if run.Layers != 3 || run.Manifests != 2 || run.Damaged != 0 || run.EndedAt.IsZero() || run.Done != 1 {
		t.Errorf("a scrub of a sound store: %+v", run)
	}

	decay(t, index, fileOf(t, dir, "some layer"))
	if got := readLayer(t, s, n, sha256Of([]byte("some layer"))); got != "some maxer" {
		t.Fatalf("a read saw that %q is not right: it is no silent decay", got)
	}
	must(t, os.Remove(fileOf(t, dir, "other layer")))
	good := ""
	for key, value := range rowsOf(t, index) {
		if strings.HasPrefix(key, "manifest\x00") && strings.Contains(key, img.Digest.String()) {
			good = value
			putRow(t, index, key, strings.Replace(value, "layers", "lajers", 1))
			defer putRow(t, index, key, good)
		}
	}
	run, err = s.Scrub(t.Context(), registry.Scrub{Anew: true})
	must(t, err)
	if run.Damaged != 3 {
		t.Errorf("a scrub found %d damaged, want 3", run.Damaged)
	}
	_, _, err = s.OpenLayer(alice(t), n, sha256Of([]byte("some layer")))
	wantCode(t, "read", err, registry.LayerDamaged)
	_, err = s.Image(alice(t), n, registry.Ref{Digest: img.Digest})
	wantCode(t, "look", err, registry.ImageNotFound)
	f, err := s.Integrity(t.Context())
	must(t, err)
	if f.Damaged != 3 || f.Found != 3 {
		t.Errorf("figures: %+v", f)
	}

	// Somebody puts the right bytes back.
	must(t, os.WriteFile(fileOf(t, dir, "some maxer"), []byte("some layer"), 0o600))
	run, err = s.Scrub(t.Context(), registry.Scrub{Anew: true})
	must(t, err)
	if run.Damaged != 2 {
		t.Errorf("a scrub found %d damaged after one was put right, want 2", run.Damaged)
	}
	if got := readLayer(t, s, n, sha256Of([]byte("some layer"))); got != "some layer" {
		t.Errorf("the layer is %q", got)
	}
	if kinds := damageEvents(t, s); !slices.Contains(kinds, registry.ContentHealed) {
		t.Errorf("events %q", kinds)
	}
}

// decay changes bytes of a layer's file, and gives its content the stamp that the file
// has then, as if nothing but the medium had changed.
func decay(t testing.TB, index storage.Index, path string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte("some maxer"), 0o600))
	dir := filepath.Dir(filepath.Dir(path))
	blobs, err := fsblob.Open(dir)
	must(t, err)
	r, err := blobs.Open(t.Context(), filepath.Base(path))
	must(t, err)
	defer r.Close()
	stamp, err := blobs.Stamp(r)
	must(t, err)
	for key, value := range rowsOf(t, index) {
		if strings.HasPrefix(key, "content\x00") && strings.Contains(value, filepath.Base(path)) {
			putRow(t, index, key, stampIn.ReplaceAllString(value, `"Stamp":"`+stamp+`"`))
		}
	}
}

var stampIn = regexp.MustCompile(`"Stamp":"[^"]*"`)

func TestScrubGoesOn(t *testing.T) {
	s, _ := onDisk(t, registry.Options{ScrubInterval: time.Hour})
	n := create(t, s, "team/app")
	for _, content := range []string{"one", "two", "three"} {
		addImage(t, s, n, content, content)
	}
	if due, err := s.ScrubDue(t.Context()); err != nil || !due {
		t.Errorf("before the first scrub: due %v, %v", due, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Scrub(ctx, registry.Scrub{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a scrub that is broken off: %v", err)
	}
	first, err := s.Scrub(t.Context(), registry.Scrub{Rate: 1 << 20})
	must(t, err)
	if first.Layers != 4 || first.Manifests != 3 || first.Bytes == 0 {
		t.Errorf("scrub: %+v", first)
	}
	if due, err := s.ScrubDue(t.Context()); err != nil || due {
		t.Errorf("after a scrub: due %v, %v", due, err)
	}
	last, err := s.LastScrub(t.Context())
	must(t, err)
	if last.ID != first.ID || !last.EndedAt.Equal(first.EndedAt) {
		t.Errorf("the last scrub is %+v, want %+v", last, first)
	}
	s.Configure(registry.Options{})
	if due, err := s.ScrubDue(t.Context()); err != nil || due {
		t.Errorf("without an interval: due %v, %v", due, err)
	}
}

// TestScrubKeepsItsRate takes as long as its rate says.
func TestScrubKeepsItsRate(t *testing.T) {
	s, _ := onDisk(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, strings.Repeat("x", 50_000))
	began := time.Now()
	_, err := s.Scrub(t.Context(), registry.Scrub{Rate: 500_000})
	must(t, err)
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("50,000 bytes at 500,000 a second took %v", took)
	}
}
