package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-78150930/berth/storage/disk"
)

// An error comes without a file: a File that holds a nil *os.File would not be nil.
func TestOpenFileInVain(t *testing.T) {
	f, err := disk.OS{}.OpenFile(filepath.Join(t.TempDir(), "absent"), os.O_WRONLY, 0)
	if f != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenFile = %v, %v; want nil, fs.ErrNotExist", f, err)
	}
}

func TestSync(t *testing.T) {
	dir := t.TempDir()
	if err := disk.Sync(disk.OS{}, dir); err != nil {
		t.Errorf("of a folder: %v", err)
	}
	if err := disk.Sync(disk.OS{}, filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v, want fs.ErrNotExist", err)
	}
}
