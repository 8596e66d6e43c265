package boltindex

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/storage"
)

// A disk that is full is told from a sync that failed, also for want of room.
func TestCommitErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error
	}{
		{&fs.PathError{Op: "write", Path: "index.db", Err: syscall.ENOSPC}, storage.ErrFull},
		{&fs.PathError{Op: "write", Path: "index.db", Err: syscall.EDQUOT}, storage.ErrFull},
		{errors.New("file resize error: truncate index.db: no space left on device"), storage.ErrFull},
		{syscall.ENOSPC, storage.ErrSync},
		{errors.Join(nil, syscall.EIO), storage.ErrSync},
		{&fs.PathError{Op: "sync", Path: "index.db", Err: syscall.EIO}, storage.ErrSync},
		{errors.New("file sync error: sync index.db: no space left on device"), storage.ErrSync},
	} {
		got := mapCommit(c.err)
		if !errors.Is(got, c.want) || errors.Is(got, storage.ErrFull) && errors.Is(got, storage.ErrSync) {
			t.Errorf("%v becomes %v, want %v", c.err, got, c.want)
		}
	}
	if mapCommit(nil) != nil {
		t.Error("no error becomes one")
	}
}
