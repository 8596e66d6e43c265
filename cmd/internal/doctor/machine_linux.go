package doctor

import "syscall"

func volume(dir string) (Volume, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return Volume{}, err
	}
	block := uint64(s.Bsize)
	return Volume{
		Free: s.Bavail * block, Size: s.Blocks * block, FreeFiles: s.Ffree, Files: s.Files,
		Magic: int64(s.Type) & 0xffffffff, // it is signed on some machines, and 32 bits on all
	}, nil
}
