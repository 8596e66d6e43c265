// Package privatefile writes files that belong to one user alone: all of a file
// or nothing of it, mode 0600, in folders of mode 0700 where it makes them.
package privatefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Write puts text in the place of a file, which need not exist. Who reads
// beside it sees the old text or the new one. Where the path is a symbolic
// link, what it leads to is written.
func Write(path string, text []byte) (err error) {
	if path, err = follow(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := fill(f, text); err != nil {
		return err
	}
	if err := keepOwner(f.Name(), path); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// keepOwner gives a file the owner of the one whose place it takes, so that who
// runs a command by sudo can read his own files after it.
func keepOwner(name, old string) error {
	info, err := os.Stat(old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(name, int(owner.Uid), int(owner.Gid))
}

// fill writes, syncs and closes.
func fill(f *os.File, text []byte) error {
	_, err := f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// follow is the file that a path leads to, which may be absent.
func follow(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return real, err
}
