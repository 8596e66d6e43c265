package boltindex

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
)

// Beside a file that was closed in order lies a mark, which says what the file
// looked like then. It goes before the first write. So if it is there and still
// true, the file is as it was left, by all that a file system can tell, and need
// not be read. Where a file was found bad while it was in use, the mark says that.

// doubtful is what a mark says of such a file.
const doubtful = "found bad\n"

// Found is how a file was found when it was opened.
type Found string

// How a file may be found.
const (
	New      Found = "new"                 // it was made
	Closed   Found = "closed"              // as it was left
	Unclosed Found = "not closed in order" // as after a crash
	Touched  Found = "touched"             // another than the one that was closed
	Doubtful Found = "found bad before"    // by whoever had it open last
)

func markPath(path string) string { return path + ".closed" }

// describe is what a mark says of a file.
func describe(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes, inode %d, changed %d\n", info.Size(), inode(info), info.ModTime().UnixNano()), nil
}

// find says how the file is found.
func find(path string) (Found, error) {
	mark, err := os.ReadFile(markPath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return Unclosed, nil
	}
	if err != nil {
		return "", err
	}
	if string(mark) == doubtful {
		return Doubtful, nil
	}
	now, err := describe(path)
	if err != nil {
		return "", err
	}
	if string(mark) != now {
		if !strings.HasSuffix(string(mark), "\n") {
			return Unclosed, nil // the mark itself was cut short
		}
		return Touched, nil
	}
	return Closed, nil
}

// mark leaves one that says that the file is closed. A power cut may lose it.
func mark(path string, on disk.FS) error {
	text, err := describe(path)
	if err != nil {
		return err
	}
	return leave(path, text, on)
}

// markDoubtful leaves one that says that the file is bad.
func markDoubtful(path string, on disk.FS) error { return leave(path, doubtful, on) }

func leave(path, text string, on disk.FS) error {
	f, err := on.OpenFile(markPath(path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// unmark removes a mark for good.
func unmark(path string, on disk.FS) error {
	err := on.Remove(markPath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return mapFull(err)
	}
	if err := disk.Sync(on, filepath.Dir(path)); err != nil {
		return fmt.Errorf("%w: %w", storage.ErrSync, err)
	}
	return nil
}
