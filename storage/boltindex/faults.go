package boltindex

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/seed-78150930/berth/storage"
)

// ErrDamaged says that the file does not hold what bbolt wrote: a page is
// damaged, missing or cannot be read.
var ErrDamaged = errors.New("boltindex: index file is damaged")

// errStuck says that bbolt panicked and still holds its lock.
var errStuck = errors.New("boltindex: index cannot be closed")

// catch turns a panic of bbolt, which is how it speaks of damaged pages, into
// an error. It is deferred around calls of bbolt, never of a caller's code.
func catch(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

// surviveFaults makes this goroutine's faults on reading the mapped file
// errors for the time until the function it returns is called: by default
// they end the process. A disk that cannot be read and a file cut short from
// outside both fault, and so may a caller's look at a value that was lent.
func surviveFaults(err *error) (end func()) {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		p := recover()
		if fault, ok := p.(interface{ Addr() uintptr }); ok { // see debug.SetPanicOnFault
			*err = fmt.Errorf("%w: fault at %#x", ErrDamaged, fault.Addr())
		} else if p != nil {
			panic(p)
		}
	}
}

// mapFull turns the words in which a disk says that it is full into
// storage.ErrFull. Some of bbolt's errors hold them as text alone.
func mapFull(err error) error {
	if err == nil {
		return nil
	}
	full := errors.Is(err, bolterrors.ErrMaxSizeReached)
	for _, no := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		full = full || errors.Is(err, no) || strings.HasSuffix(err.Error(), no.Error())
	}
	if !full {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrFull, err)
}

// mapCommit is mapFull for a commit: a sync that failed is never one that merely found
// no room, whatever the system says. bbolt returns the bare number of fdatasync's error,
// where the system has no fdatasync that of File.Sync, and that of the sync after the
// file has grown as text; writes fail with a path.
func mapCommit(err error) error {
	var no syscall.Errno
	var path *fs.PathError
	sync := errors.As(err, &no) && (!errors.As(err, &path) || path.Op == "sync")
	if err != nil && (sync || strings.Contains(err.Error(), "file sync error")) {
		return fmt.Errorf("%w: %w", storage.ErrSync, err)
	}
	return mapFull(err)
}
