package datadir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// InUseError says that another process owns a data folder.
type InUseError struct {
	Path string
	// PID is that process, "" if it has not written it yet. Host is the name
	// of its machine where that is another one than this: a folder may be
	// shared over a network.
	PID, Host string
}

// Error implements error.
func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != "" {
		who = "process " + e.PID
	}
	if e.Host != "" {
		who += " on " + e.Host
	}
	return fmt.Sprintf("data folder %s is in use by %s", e.Path, who)
}

// NoLocksError says that the file system of a folder does not keep a second owner out.
type NoLocksError struct {
	Path string
	Err  error // what was tried in vain
}

// Error implements error.
func (e *NoLocksError) Error() string {
	return fmt.Sprintf("the file system of %s has no file locks that work (%v), so two servers could spoil each other's data: "+
		"put it on a disk of this machine, or mount it with locks", e.Path, e.Err)
}

// Unwrap is what was tried in vain.
func (e *NoLocksError) Unwrap() error { return e.Err }

var errBoth = errors.New("a file that is locked was locked once more")

// locker locks an open file, or fails with syscall.EWOULDBLOCK if it is locked by
// whoever opened it otherwise.
type locker func(*os.File) error

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// locked locks a file and sees that it cannot be locked twice. Errors of the lock
// itself are as they are, if the file system has locks.
func (lock locker) locked(f *os.File) error {
	err := lock(f)
	if isAny(err, syscall.ENOLCK, syscall.ENOSYS, syscall.EOPNOTSUPP, syscall.EINVAL) {
		return &NoLocksError{filepath.Dir(f.Name()), err}
	}
	if err != nil {
		return err
	}
	again, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer again.Close()
	if lock(again) == nil {
		return &NoLocksError{filepath.Dir(f.Name()), errBoth}
	}
	return nil
}

func isAny(err error, those ...error) bool {
	return slices.ContainsFunc(those, func(e error) bool { return errors.Is(err, e) })
}

// TryLocks tries in a file of its own, which it removes, whether locks work in a
// folder. The error is a *NoLocksError if not.
func TryLocks(dir string) error { return tryLocks(dir, flock) }

func tryLocks(dir string, lock locker) error {
	f, err := os.CreateTemp(dir, ".lock-*")
	if err != nil {
		return err
	}
	return errors.Join(lock.locked(f), f.Close(), os.Remove(f.Name()))
}

// acquire locks the folder. The kernel lets go of the lock when the process
// ends, however it ends, so the file may stay. The error is a *NoLocksError if another
// process could have the lock too.
func acquire(dir string, lock locker) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	err = lock.locked(f)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		owner := readOwner(f)
		owner.Path = dir
		return nil, errors.Join(owner, f.Close())
	}
	if err == nil {
		err = writeOwner(f)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = nil // the lock holds all the same, and a full disk is no reason not to serve what is there
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock data folder %s: %w", dir, err), f.Close())
	}
	return f, nil
}

func writeOwner(f *os.File) error {
	host, _ := os.Hostname() // a machine may have none
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), host), 0)
	return err
}

func readOwner(f *os.File) *InUseError {
	data, _ := io.ReadAll(io.LimitReader(f, 1<<10)) // without it the owner is just not named
	pid, host, _ := strings.Cut(string(data), "\n")
	host = strings.TrimSpace(host)
	if here, _ := os.Hostname(); host == here {
		host = ""
	}
	return &InUseError{PID: pid, Host: host}
}

// release empties the lock file, so that no old pid is shown, and lets go.
func release(f *os.File) error {
	return errors.Join(f.Truncate(0), f.Close())
}
