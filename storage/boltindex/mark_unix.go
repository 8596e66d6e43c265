//go:build unix

package boltindex

import (
	"io/fs"
	"syscall"
)

// inode is the number that a file system has for a file.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
