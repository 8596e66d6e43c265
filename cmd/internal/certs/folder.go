package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ownFolder makes a folder that nobody else may look into.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for TLS: %w", err)
	}
	return ownerOnly(dir, 0o700)
}

// ownerOnly takes from others what rights they have to a file.
func ownerOnly(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("keep others out of the folder for TLS: %w", err)
	}
	if info.Mode().Perm()&^mode == 0 {
		return nil
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("keep others out of the folder for TLS: %w", err)
	}
	return nil
}

// draft is what a file's name ends with until all of it is on the disk.
const draft = ".new"

// writeNew writes a file that must not be there yet, all of it or nothing, and
// has it on the disk when it returns.
func writeNew(name string, data []byte) error {
	_, err := os.Lstat(name)
	if err == nil {
		err = fs.ErrExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = writeSynced(name+draft, data)
	}
	if err == nil {
		err = os.Rename(name+draft, name)
	}
	if err == nil { // the folder itself may be new, too
		err = errors.Join(syncFolder(filepath.Dir(name)), syncFolder(filepath.Dir(filepath.Dir(name))))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func writeSynced(name string, data []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
