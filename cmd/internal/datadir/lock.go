package datadir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// acquire locks the folder. The kernel lets go of the lock when the process
// ends, however it ends, so the file may stay.
func acquire(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
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
