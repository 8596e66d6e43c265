// Package power is a disk whose machine loses its power: a [disk.FS] over a real
// folder that knows, of each file, what was synced and what was written since, and of
// each folder, which names. When the power is gone [Disk.Image] makes the folder that
// a machine could find when it comes back: what was synced, and of the rest whatever
// chance leaves, in any order, torn at the sectors of a disk.
//
// It is strict, as POSIX allows a file system to be: the sync of a file does not keep
// its name, and the sync of a folder keeps nothing of the bytes.
package power

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/seed-78150930/berth/storage/disk"
)

// ErrGone is what is said of all that is tried after the power has gone.
var ErrGone = errors.New("the power is gone")

// Sync is what a sync is of.
type Sync string

// The kinds.
const (
	FileSync   Sync = "file"
	FolderSync Sync = "folder"
	IndexSync  Sync = "index" // of the file that bbolt writes
)

// Options are what a disk does besides keeping files.
type Options struct {
	// Forget says yes to the syncs that do nothing, as if the call were missing in
	// the program. Nil means none.
	Forget func(kind Sync, path string) bool
	// Fail returns the error of a sync that is to fail, after which chance alone knows
	// what of the bytes or names is kept. Nil means none.
	Fail func(kind Sync, path string) error
	// Random decides what is lost. It is required, and asked under the disk's lock.
	Random *rand.Rand
	// Each, if not nil, is called before each write, cut, sync, and change of names,
	// under the lock. Where it returns true the power goes.
	Each func() bool
}

// Disk is a disk.FS with the files under a real folder, and the Recorder of the files
// that bbolt has there. All of its methods may be called by several goroutines.
type Disk struct {
	root string
	o    Options

	mu   sync.Mutex
	gone bool
	top  *folder
	ops  int
	past map[*os.File]*file // files that were opened past the disk, whatever their names are now
}

// New makes a disk of a real and empty folder.
func New(root string, o Options) *Disk {
	return &Disk{root: root, o: o, top: newFolder(), past: map[*os.File]*file{}}
}

// Off has the power go now: what was not synced may be lost, and nothing works any
// more. It may be called again.
func (d *Disk) Off() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
}

// Gone says whether the power has gone.
func (d *Disk) Gone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

// Operations is how many writes, cuts, syncs and changes of names there were.
func (d *Disk) Operations() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// begin counts an operation; it fails once the power has gone. The one at which it
// goes may still be on the disk, in part, and its caller does not learn of it. The
// caller has the lock.
func (d *Disk) begin() error {
	if d.gone {
		return ErrGone
	}
	d.ops++
	if d.o.Each != nil && d.o.Each() {
		d.gone = true
	}
	return nil
}

// outcome is what a caller learns of an operation that worked.
func (d *Disk) outcome() error {
	if d.gone {
		return ErrGone
	}
	return nil
}

// place finds the folder that has a path, and the name that it has there.
func (d *Disk) place(path string) (*folder, string, error) {
	rel, err := filepath.Rel(d.root, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return nil, "", fmt.Errorf("%s is not on the disk", path)
	}
	parts := strings.Split(rel, string(filepath.Separator))
	dir := d.top
	for _, part := range parts[:len(parts)-1] {
		next, ok := dir.live[part].(*folder)
		if !ok {
			return nil, "", &fs.PathError{Op: "find", Path: path, Err: fs.ErrNotExist}
		}
		dir = next
	}
	return dir, parts[len(parts)-1], nil
}

// node finds what has a path: a *file, a *folder, or nil.
func (d *Disk) node(path string) (node, error) {
	if filepath.Clean(path) == filepath.Clean(d.root) {
		return d.top, nil
	}
	dir, name, err := d.place(path)
	if err != nil {
		return nil, err
	}
	return dir.live[name], nil
}

// Open implements disk.FS.
func (d *Disk) Open(name string) (*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return nil, ErrGone
	}
	return os.Open(name)
}

// Lstat implements disk.FS.
func (d *Disk) Lstat(name string) (fs.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return nil, ErrGone
	}
	return os.Lstat(name)
}

// Mkdir implements disk.FS.
func (d *Disk) Mkdir(name string, mode fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(); err != nil {
		return err
	}
	if err := os.Mkdir(name, mode); err != nil {
		return err
	}
	dir, base, err := d.place(name)
	if err != nil {
		return err
	}
	dir.change(change{put: map[string]node{base: newFolder()}})
	return d.outcome()
}

// Rename implements disk.FS, within one folder: it is one change, that is kept whole
// or not at all.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(); err != nil {
		return err
	}
	if filepath.Dir(from) != filepath.Dir(to) {
		return fmt.Errorf("rename %s to %s: to another folder", from, to)
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, base, err := d.place(from)
	if err != nil {
		return err
	}
	dir.change(change{put: map[string]node{base: nil, filepath.Base(to): dir.live[base]}})
	return d.outcome()
}

// Remove implements disk.FS.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(); err != nil {
		return err
	}
	if err := os.Remove(name); err != nil {
		return err
	}
	dir, base, err := d.place(name)
	if err != nil {
		return err
	}
	dir.change(change{put: map[string]node{base: nil}})
	return d.outcome()
}

// OpenFile implements disk.FS.
func (d *Disk) OpenFile(name string, flag int, mode fs.FileMode) (disk.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return nil, ErrGone
	}
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	n, err := d.opened(name, flag)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	h := &handle{File: f, disk: d, node: n}
	if flag&os.O_APPEND != 0 {
		h.appends = true
	}
	return h, nil
}

// opened is the node of a file that was opened, noted if that made or emptied it.
func (d *Disk) opened(name string, flag int) (node, error) {
	n, err := d.node(name)
	if err != nil {
		return nil, err
	}
	switch was := n.(type) {
	case nil:
		if err := d.begin(); err != nil {
			return nil, err
		}
		dir, base, err := d.place(name)
		if err != nil {
			return nil, err
		}
		n = &file{}
		dir.change(change{put: map[string]node{base: n}})
	case *file:
		if flag&os.O_TRUNC != 0 {
			if err := d.begin(); err != nil {
				return nil, err
			}
			was.cut(0)
		}
	}
	return n, d.outcome()
}

// sync makes what a node has durable, or does not, as the options say.
func (d *Disk) sync(n node, kind Sync, path string) error {
	if err := d.begin(); err != nil {
		return err
	}
	if d.gone {
		return ErrGone
	}
	if d.o.Fail != nil {
		if err := d.o.Fail(kind, path); err != nil {
			n.lose(newChance(d.o.Random))
			return err
		}
	}
	if d.o.Forget == nil || !d.o.Forget(kind, path) {
		n.keep()
	}
	return nil
}
