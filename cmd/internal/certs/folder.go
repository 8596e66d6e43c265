package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-78150930/berth/cmd/internal/privatefile"
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
	if err := privatefile.OwnerOnly(path, mode); err != nil {
		return fmt.Errorf("keep others out of the folder for TLS: %w", err)
	}
	return nil
}

// writeNew writes a file that must not be there yet, all of it or nothing, and
// has it on the disk when it returns.
func writeNew(name string, data []byte) error {
	_, err := os.Lstat(name)
	if err == nil {
		return fmt.Errorf("write %s: %w", name, fs.ErrExist)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = privatefile.WriteDurably(name, data)
	}
	if err == nil { // the folder itself may be new, too
		err = privatefile.SyncFolder(filepath.Dir(filepath.Dir(name)))
	}
	return err
}
