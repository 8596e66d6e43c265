// Package disk is what a keeper asks of the system that has its files: an [FS],
// and [File]s to write. [OS] is the real one. Another stands in its place where a
// disk is to fail or a machine is to lose its power.
//
// Files are read as *os.File from either, so that a copy to a socket may stay
// inside the kernel.
package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// FS makes, names and opens files. All of it is as package os has it, errors too,
// and may be called by several goroutines.
type FS interface {
	// Open opens a file or a folder to read it.
	Open(name string) (*os.File, error)
	// OpenFile opens a file to write it, or a folder to sync it.
	OpenFile(name string, flag int, mode fs.FileMode) (File, error)
	Mkdir(name string, mode fs.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
	Lstat(name string) (fs.FileInfo, error)
}

// File is an open file, of which *os.File is one. What was written and not synced
// may be lost, in any part and order. So may a name, until the folder that has it is
// opened and synced.
type File interface {
	io.Writer
	io.WriterAt
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// OS is the operating system's files.
type OS struct{}

// Open implements FS.
func (OS) Open(name string) (*os.File, error) { return os.Open(name) }

// OpenFile implements FS.
func (OS) OpenFile(name string, flag int, mode fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err // not a File that holds nil
	}
	return f, nil
}

// Mkdir implements FS.
func (OS) Mkdir(name string, mode fs.FileMode) error { return os.Mkdir(name, mode) }

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// Lstat implements FS.
func (OS) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

// Sync has the bytes of a file on the disk, or the names in a folder.
func Sync(fsys FS, path string) error {
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
