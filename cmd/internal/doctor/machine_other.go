//go:build !linux

package doctor

import "syscall"

func volume(dir string) (Volume, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return Volume{}, err
	}
	block := uint64(s.Bsize)
	return Volume{Free: uint64(s.Bavail) * block, Size: uint64(s.Blocks) * block, FreeFiles: uint64(s.Ffree), Files: uint64(s.Files)}, nil
}
