package doctor

import (
	"syscall"

	filesystem "github.com/seed-78150930/berth/cmd/internal/volume"
)

func volume(dir string) (Volume, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return Volume{}, err
	}
	block := uint64(s.Bsize)
	return Volume{
		Free: s.Bavail * block, Size: s.Blocks * block, FreeFiles: s.Ffree, Files: s.Files,
		Magic: filesystem.Magic(&s),
	}, nil
}
