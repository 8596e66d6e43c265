//go:build !linux

package volume

import "syscall"

// readOnly is not known here before a write is refused.
func readOnly(*syscall.Statfs_t) bool { return false }

// Kind is not known here.
func Kind(string) string { return "" }
