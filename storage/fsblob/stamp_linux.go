package fsblob

import (
	"io/fs"
	"syscall"
)

// inodeOf is when a file's inode was last changed, in nanoseconds, and its number.
func inodeOf(info fs.FileInfo) (changed, number int64, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Ctim.Nano(), int64(st.Ino), true
}
