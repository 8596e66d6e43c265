package datadir_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
)

// TestLocksThatDoNotWork opens a folder where locks are refused, or given to anybody.
func TestLocksThatDoNotWork(t *testing.T) {
	for what, tt := range map[string]struct {
		err  error // of each lock
		says string
	}{
		"given to anybody":      {nil, "a file that is locked was locked once more"},
		"no daemon for locks":   {syscall.ENOLCK, "no locks available"},
		"no locks at all":       {syscall.ENOSYS, "function not implemented"},
		"not on this":           {syscall.EOPNOTSUPP, "operation not supported"},
		"not with such a mount": {syscall.EINVAL, "invalid argument"},
	} {
		t.Run(what, func(t *testing.T) {
			lock := func(*os.File) error { return tt.err }
			path := t.TempDir()
			d, err := datadir.OpenOn(path, lock)
			if err == nil {
				shut(t, d)
			}
			var none *datadir.NoLocksError
			if !errors.As(err, &none) || none.Path != path || !strings.Contains(err.Error(), tt.says) ||
				!strings.Contains(err.Error(), "put it on a disk of this machine") {
				t.Errorf("Open: %v", err)
			}
			if err := datadir.TryLocksOn(path, lock); !errors.As(err, &none) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("TryLocks: %v", err)
			}
			shut(t, open(t, path)) // where they do work
		})
	}
}

func TestLocksThatWork(t *testing.T) {
	dir := t.TempDir()
	if err := datadir.TryLocks(dir); err != nil {
		t.Errorf("TryLocks: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("it leaves %v, error %v", files, err)
	}
	if err := datadir.TryLocks(dir + "/absent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("TryLocks of no folder: %v", err)
	}
}
