package volume

import "syscall"

// readOnlyFlag is ST_RDONLY (statfs(2)): of the mount, and of a file system that the
// kernel turned read-only after an error.
const readOnlyFlag = 1

func readOnly(s *syscall.Statfs_t) bool { return s.Flags&readOnlyFlag != 0 }
