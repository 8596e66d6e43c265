package boltindex_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
)

// TestSyncOfANewCopyFails has the first sync of a copy fail: the disk is not to be
// trusted any more, though nothing was in the copy yet.
func TestSyncOfANewCopyFails(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0) // which takes writes and cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	x := openAs(t, t.TempDir(), boltindex.Options{}.Opened(func(f *os.File) {
		if !strings.HasSuffix(f.Name(), ".compacted") {
			return
		}
		if err := syscall.Dup3(int(null.Fd()), int(f.Fd()), syscall.O_CLOEXEC); err != nil {
			t.Error(err)
		}
	}))
	hollow(t, x)
	if _, err := x.Compact(ctx); !errors.Is(err, storage.ErrSync) {
		t.Errorf("Compact: %v", err)
	}
	if err := x.Update(ctx, put("more", "1")); !errors.Is(err, storage.ErrReadOnly) {
		t.Errorf("Update after that: %v", err)
	}
}
