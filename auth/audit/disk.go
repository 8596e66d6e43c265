package audit

import (
	"errors"
	"os"
	"syscall"
)

// disk is what a trail does to files that a full disk refuses.
type disk interface {
	// allocate takes room for n bytes behind off, without changing the size of
	// the file: writes there do not fail for want of room.
	allocate(f *os.File, off, n int64) error
	writeAt(f *os.File, p []byte, off int64) (int, error)
}

// machine is the disk of this machine.
type machine struct{}

func (machine) writeAt(f *os.File, p []byte, off int64) (int, error) { return f.WriteAt(p, off) }

// noRoom says whether an error is one of a disk or a quota that is full.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// margin is how much a file system must have free beside the room that is asked
// for, where it cannot take room beforehand.
const margin = 64 << 20

// hasFree is allocate where the file system cannot do it: it looks whether there
// is room, which others may then fill.
func hasFree(f *os.File, n int64) error {
	var s syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &s); err != nil {
		return err
	}
	if int64(s.Bavail)*int64(s.Bsize) < n+margin {
		return syscall.ENOSPC
	}
	return nil
}
