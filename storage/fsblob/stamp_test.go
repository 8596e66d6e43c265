package fsblob_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/fsblob"
)

// stamp is that of a sealed blob as it is now.
func stamp(t testing.TB, s *fsblob.Store, id string) string {
	t.Helper()
	r, err := s.Open(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := storage.Stamper(s).Stamp(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestStamp(t *testing.T) {
	flip := func(t testing.TB, path string) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("X"), 1); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, test := range []struct {
		name    string
		touch   func(t testing.TB, path string)
		changed bool
	}{
		{"read", func(t testing.TB, path string) {
			if _, err := os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a byte", flip, true},
		{"a byte, with its time put back", func(t testing.TB, path string) {
			flip(t, path)
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}, runtime.GOOS == "linux"},
		{"another file with the same time", func(t testing.TB, path string) {
			if err := os.WriteFile(path+".new", []byte("data"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path+".new", old, old); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}, runtime.GOOS == "linux"},
		{"shorter", func(t testing.TB, path string) {
			if err := os.Truncate(path, 3); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, &syncs{})
			add(t, s, "a0", 0, "data", nil)
			if err := s.Seal(context.Background(), "a0"); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "blobs", "a0", "a0")
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
			before := stamp(t, s, "a0")
			test.touch(t, path)
			after := stamp(t, s, "a0")
			// A kernel's clock for files may stand still for some milliseconds.
			for end := time.Now().Add(time.Minute); test.changed && after == before && time.Now().Before(end); {
				test.touch(t, path)
				after = stamp(t, s, "a0")
			}
			if (after != before) != test.changed {
				t.Errorf("the stamp was %s and is %s, changed should be %v", before, after, test.changed)
			}
		})
	}
}
