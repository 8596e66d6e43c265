//go:build !linux

package harness

import "os/exec"

// shutOff does nothing where there are no network namespaces.
func shutOff() error { return nil }

// endWithParent does nothing where the kernel sends no parent-death signal.
func endWithParent(*exec.Cmd) func() { return func() {} }
