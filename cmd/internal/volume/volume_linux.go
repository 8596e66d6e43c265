package volume

import "syscall"

// readOnlyFlag is ST_RDONLY (statfs(2)): of the mount, and of a file system that the
// kernel turned read-only after an error.
const readOnlyFlag = 1

func readOnly(s *syscall.Statfs_t) bool { return s.Flags&readOnlyFlag != 0 }

// Kind is the kind of file system that a folder is on, "" if that is not known.
func Kind(dir string) string {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return ""
	}
	return KindOf(Magic(&s))
}

// Magic is the number of a kind of file system: it is signed on some machines, and of
// 32 bits on all.
func Magic(s *syscall.Statfs_t) int64 { return int64(s.Type) & 0xffffffff }
