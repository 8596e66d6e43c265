//go:build unix

package boltindex

import (
	"os"
	"syscall"
)

// again is an open file once more: it shares the lock of the first, as two that were
// opened by name would not.
func again(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	syscall.ForkLock.RLock() // so that no child has it
	err = raw.Control(func(old uintptr) {
		if fd, dupErr = syscall.Dup(int(old)); dupErr == nil {
			syscall.CloseOnExec(fd)
		}
	})
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, os.NewSyscallError("dup", dupErr)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
