//go:build !linux

package inspect

import (
	"os"
	"os/exec"
)

// self is the program that runs.
func self() (string, error) { return os.Executable() }

// detach does nothing: only the child itself is killed.
func detach(*exec.Cmd) {}

// confine does nothing: the deadline and the counts of bytes remain.
func confine() error { return nil }

// restrict has Go aim at a size, and limits nothing.
func restrict(l Limits) error {
	aim(l)
	return nil
}

// inherited says whether a file was handed over.
func inherited(fd int) bool {
	f := os.NewFile(uintptr(fd), "inherited")
	if f == nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// usedUp is not known.
func usedUp(*os.ProcessState, Limits) bool { return false }
