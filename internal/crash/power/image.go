package power

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Image makes, in a real and empty folder, what is found of a disk whose power has
// gone, and a disk of that folder.
func (d *Disk) Image(root string, o Options) (*Disk, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.gone {
		return nil, errors.New("the power is still there")
	}
	c := newChance(d.o.Random)
	next := New(root, o)
	next.top = d.top.after(c)
	return next, next.top.write(root)
}

// after is a folder as chance leaves it. The names are sorted, so that the same
// chance leaves the same.
func (f *folder) after(c chance) *folder {
	f.lose(c)
	next := newFolder()
	for _, name := range slices.Sorted(maps.Keys(f.synced)) {
		switch n := f.synced[name].(type) {
		case *folder:
			next.synced[name] = n.after(c)
		case *file:
			n.lose(c)
			next.synced[name] = &file{synced: n.synced, size: n.synced.size}
		}
	}
	next.live = maps.Clone(next.synced)
	return next
}

func (f *folder) write(path string) error {
	for name, n := range f.live {
		var err error
		to := filepath.Join(path, name)
		switch n := n.(type) {
		case *folder:
			if err = os.Mkdir(to, 0o700); err == nil {
				err = n.write(to)
			}
		case *file:
			err = n.synced.save(to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *content) save(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = f.Truncate(c.size)
	for _, n := range c.numbers() {
		_, writeErr := f.WriteAt(c.pages[n][:min(pageSize, c.size-n*pageSize)], n*pageSize)
		err = errors.Join(err, writeErr)
	}
	return errors.Join(err, f.Close())
}
