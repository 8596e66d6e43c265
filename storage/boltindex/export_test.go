package boltindex

import (
	"os"
	"runtime"
)

// OpenWith is Open of a file that is not compacted, with a limit to its size, if not 0, and a look at
// the file.
func OpenWith(path string, maxSize int, opened func(*os.File)) (*Index, error) {
	return Open(path, Options{maxSize: maxSize, opened: opened, compactOver: -1})
}

// CompactOver has a file compacted from a size on.
func (o Options) CompactOver(bytes int64) Options {
	o.compactOver = bytes
	return o
}

// MaxCopy has a disk be full when the copy of a file has a size.
func (o Options) MaxCopy(bytes int) Options {
	o.maxCopy = bytes
	return o
}

// Opened shows each file that bbolt opens, before it is locked.
func (o Options) Opened(opened func(*os.File)) Options {
	o.opened = opened
	return o
}

// CompactIfDue is what an index asks itself from time to time.
func (x *Index) CompactIfDue() error { return x.compactIfDue() }

// AwaitWaiting returns when n updates wait for their turn.
func (x *Index) AwaitWaiting(n int) {
	for x.countWaiting() != n {
		runtime.Gosched()
	}
}

func (x *Index) countWaiting() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.waiting)
}

// AwaitUpdatable returns when a file that was opened for views alone has been opened for
// updates.
func (x *Index) AwaitUpdatable() {
	for x.readOnly() {
		runtime.Gosched()
	}
}

func (x *Index) readOnly() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.file.db.IsReadOnly()
}
