// Package volume asks the operating system about the file system that a folder lies
// on: how much room is left, and whether it can be written at all.
package volume

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/seed-78150930/berth/storage/gate"
)

// Space is what the file system of a folder says of itself.
func Space(dir string) (gate.Space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return gate.Space{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	block := uint64(s.Bsize)
	return gate.Space{
		Free: uint64(s.Bavail) * block, Size: uint64(s.Blocks) * block,
		FreeFiles: uint64(s.Ffree), Files: uint64(s.Files), ReadOnly: readOnly(&s),
	}, nil
}

// Probe writes a file into each of some folders, and removes it.
func Probe(dirs ...string) error {
	for _, dir := range dirs {
		f, err := os.CreateTemp(dir, ".probe-*")
		if err != nil {
			return err
		}
		_, err = f.Write([]byte("x"))
		if err := errors.Join(err, f.Close(), os.Remove(filepath.Join(dir, filepath.Base(f.Name())))); err != nil {
			return err
		}
	}
	return nil
}
