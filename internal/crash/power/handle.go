package power

import (
	"fmt"
	"io"
	"os"
)

// handle is an open file or folder of a Disk.
type handle struct {
	*os.File
	disk    *Disk
	node    node
	at      int64 // where Write goes on
	appends bool
}

// Write implements disk.File.
func (h *handle) Write(p []byte) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	f, err := h.file()
	if err != nil {
		return 0, err
	}
	if h.appends {
		h.at = f.size
	}
	n, err := h.disk.write(f, p, h.at, func() (int, error) { return h.File.Write(p) })
	h.at += int64(n)
	return n, err
}

// WriteAt implements disk.File.
func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	f, err := h.file()
	if err != nil {
		return 0, err
	}
	return h.disk.write(f, p, off, func() (int, error) { return h.File.WriteAt(p, off) })
}

func (h *handle) file() (*file, error) {
	f, ok := h.node.(*file)
	if !ok {
		return nil, fmt.Errorf("%s is a folder", h.Name())
	}
	return f, nil
}

// ReadFrom copies by Write, where os.File's own would go past it.
func (h *handle) ReadFrom(r io.Reader) (int64, error) { return io.Copy(writer{h}, r) }

// WriteString goes by Write, likewise.
func (h *handle) WriteString(s string) (int, error) { return h.Write([]byte(s)) }

// writer hides a handle's ReadFrom from io.Copy.
type writer struct{ io.Writer }

// Truncate implements disk.File.
func (h *handle) Truncate(size int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	f, err := h.file()
	if err != nil {
		return err
	}
	return h.disk.truncate(f, size, h.File)
}

// Sync implements disk.File.
func (h *handle) Sync() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	kind := FileSync
	if _, ok := h.node.(*folder); ok {
		kind = FolderSync
	}
	return h.disk.sync(h.node, kind, h.Name())
}

func (d *Disk) write(f *file, p []byte, off int64, real func() (int, error)) (int, error) {
	if err := d.begin(); err != nil {
		return 0, err
	}
	n, err := real()
	f.write(p[:n], off)
	if err == nil {
		err = d.outcome()
	}
	return n, err
}

func (d *Disk) truncate(f *file, size int64, real *os.File) error {
	if err := d.begin(); err != nil {
		return err
	}
	if err := real.Truncate(size); err != nil {
		return err
	}
	f.cut(size)
	return d.outcome()
}

// What follows is for bbolt, which opens its file by itself.

// WriteAt writes to a file that was opened past the disk.
func (d *Disk) WriteAt(f *os.File, p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.foreign(f)
	if err != nil {
		return 0, err
	}
	return d.write(n, p, off, func() (int, error) { return f.WriteAt(p, off) })
}

// Truncate cuts or lengthens a file that was opened past the disk.
func (d *Disk) Truncate(f *os.File, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.foreign(f)
	if err != nil {
		return err
	}
	return d.truncate(n, size, f)
}

// Sync syncs a file that was opened past the disk.
func (d *Disk) Sync(f *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.foreign(f)
	if err != nil {
		return err
	}
	return d.sync(n, IndexSync, f.Name())
}

// foreign is the node of a file that was opened, and perhaps made, past the disk. It
// stays the file's own when it gets another name, or none.
func (d *Disk) foreign(f *os.File) (*file, error) {
	if n, ok := d.past[f]; ok {
		return n, nil
	}
	n, err := d.opened(f.Name(), 0)
	if err != nil {
		return nil, err
	}
	file, ok := n.(*file)
	if !ok {
		return nil, fmt.Errorf("%s is a folder", f.Name())
	}
	d.past[f] = file
	return file, nil
}
