package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-78150930/berth/storage/disk"
)

// The folder has segments, "00000007.log", which are runs of records, and
// snapshots, "00000007.snap". Snapshot 7 was begun when segment 7 was, and so
// needs no older one. A snapshot gets its name when it is whole and synced, with
// all records up to its end.
const (
	segmentSuffix  = ".log"
	snapshotSuffix = ".snap"
	draftSuffix    = ".new" // of a snapshot under way
	closedFile     = "closed"
)

func segmentPath(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%08d%s", n, segmentSuffix))
}

func snapshotPath(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%08d%s", n, snapshotSuffix))
}

// listing is what lies in a folder, in order.
type listing struct{ segments, snapshots []uint64 }

// list reads a folder; one that is not there is empty.
func list(dir string) (l listing, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l, fmt.Errorf("read journal: %w", err)
	}
	for _, e := range entries {
		if n, ok := numberIn(e.Name(), segmentSuffix); ok {
			l.segments = append(l.segments, n)
		} else if n, ok := numberIn(e.Name(), snapshotSuffix); ok {
			l.snapshots = append(l.snapshots, n)
		}
	}
	slices.Sort(l.segments)
	slices.Sort(l.snapshots)
	return l, nil
}

func numberIn(name, suffix string) (uint64, bool) {
	text, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

// newest is the highest number that a file has.
func (l listing) newest() uint64 {
	var n uint64
	for _, all := range [][]uint64{l.segments, l.snapshots} {
		if len(all) > 0 {
			n = max(n, all[len(all)-1])
		}
	}
	return n
}

// Present says whether a folder holds a journal: a file of one at least.
func Present(dir string) (bool, error) {
	l, err := list(dir)
	return l.newest() > 0, err
}

// create makes a file that is not there.
func create(fsys disk.FS, path string) (disk.File, error) {
	return fsys.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// extend opens a file that is there to append to it after size bytes.
func extend(fsys disk.FS, path string, size int64) (disk.File, error) {
	f, err := fsys.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func removeIfThere(fsys disk.FS, path string) error {
	err := fsys.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// makeFolder makes the journal's folder, if it is absent, in one that is there. It
// syncs the name even if nothing is made: who made it may have died before it did.
func makeFolder(fsys disk.FS, dir string) error {
	if err := fsys.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return disk.Sync(fsys, filepath.Dir(dir))
}
