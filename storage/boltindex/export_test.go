package boltindex

import (
	"os"
	"runtime"
)

// OpenWith is Open with a limit to the file's size, if not 0, and a look at
// the file.
func OpenWith(path string, maxSize int, opened func(*os.File)) (*Index, error) {
	return Open(path, Options{maxSize: maxSize, opened: opened})
}

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
