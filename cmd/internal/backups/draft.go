package backups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/privatefile"
)

// lastMoved is what a data folder is known by: it comes last where the files of a draft are
// moved one by one.
const lastMoved = "format"

// draft is a folder that is being written and is not at its place yet.
type draft struct {
	path, final string
	inside      bool // it lies in final, whose place cannot be taken
	lock        *os.File
	done        bool
}

// checkEmpty refuses a folder that holds anything.
func checkEmpty(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the folder to restore into: %w", err)
	}
	for _, e := range entries {
		if e.Name() != "lost+found" && e.Name() != filepath.Base(datadir.DraftIn(path)) {
			return fmt.Errorf("%s is not empty, it holds %q: name an empty or absent folder to restore into", path, e.Name())
		}
	}
	return nil
}

// newDraft makes the draft of a folder beside it, or in it where it is a file system of its
// own or the folder above is not ours to write to. What a restore that died has left of one
// is removed.
func newDraft(final string) (*draft, error) {
	final, err := filepath.Abs(final)
	if err != nil {
		return nil, err
	}
	d := &draft{final: final, path: datadir.DraftBeside(final)}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return nil, fmt.Errorf("the folder to restore into: %w", err)
	}
	err = os.Mkdir(d.path, 0o700)
	there := errors.Is(err, fs.ErrExist)
	if !there && err != nil || isMount(final) {
		if !there && err == nil {
			err = os.Remove(d.path)
		}
		d.inside, d.path = true, datadir.DraftIn(final)
		if mkdir := os.Mkdir(d.path, 0o700); mkdir != nil && !errors.Is(mkdir, fs.ErrExist) {
			return nil, fmt.Errorf("the folder to restore into: %w", errors.Join(err, mkdir))
		}
	}
	return d, d.take()
}

// isMount says whether a folder is on another file system than the one above it.
func isMount(path string) bool {
	here, err := os.Stat(path)
	above, err2 := os.Stat(filepath.Dir(path))
	if err != nil || err2 != nil {
		return false
	}
	a, ok := here.Sys().(*syscall.Stat_t)
	b, ok2 := above.Sys().(*syscall.Stat_t)
	return ok && ok2 && a.Dev != b.Dev
}

// take locks the draft and empties it.
func (d *draft) take() (err error) {
	if d.lock, err = os.Open(d.path); err != nil {
		return err
	}
	err = syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another process restores into it")
	}
	var entries []fs.DirEntry
	if err == nil {
		entries, err = os.ReadDir(d.path)
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.path, e.Name())))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("restore into %s: %w", d.final, err), d.lock.Close())
	}
	return nil
}

// publish gives the draft its place.
func (d *draft) publish() error {
	if err := d.move(); err != nil {
		return fmt.Errorf("restore into %s: %w", d.final, err)
	}
	d.done = true
	return privatefile.SyncFolder(filepath.Dir(d.final))
}

func (d *draft) move() error {
	if !d.inside {
		// It takes the place of an empty folder, not of another. os.Rename refuses both.
		return os.NewSyscallError("rename", syscall.Rename(d.path, d.final))
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int { return rank(a) - rank(b) })
	for _, e := range entries {
		if e.Name() == lastMoved {
			err = privatefile.SyncFolder(d.final)
		}
		if err == nil {
			err = os.Rename(filepath.Join(d.path, e.Name()), filepath.Join(d.final, e.Name()))
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(d.path), os.Chmod(d.final, 0o700), privatefile.SyncFolder(d.final))
}

func rank(e fs.DirEntry) int {
	if e.Name() == lastMoved {
		return 1
	}
	return 0
}

// remove removes a draft that was not published.
func (d *draft) remove() error {
	var err error
	if !d.done {
		err = os.RemoveAll(d.path)
	}
	return errors.Join(err, d.lock.Close())
}
