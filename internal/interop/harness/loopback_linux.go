package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// shutOff moves the process into a network namespace that holds loopback alone,
// and a mount namespace in which the names of the tests lead there. A namespace
// belongs to a thread, and Go has many, so the process begins again from the
// one that moved: exec keeps that thread's namespaces. Who is not root cannot
// do this, nor root in most containers; there the dead proxies in every client's
// environment must do.
func shutOff() error {
	if os.Geteuid() != 0 || os.Getenv(shutOffMark) != "" {
		return nil
	}
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
	if errors.Is(err, unix.EPERM) {
		return nil // .ci/missing says so, and leaves out the tests that need it
	}
	if err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	if err := raiseLoopback(); err != nil {
		return fmt.Errorf("raise loopback: %w", err)
	}
	if err := mountNames(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), shutOffMark+"=1"))
}

// raiseLoopback brings the interface lo up; the kernel then gives it 127.0.0.1
// and ::1 by itself. It gets one more address, that programs do not take for
// loopback's.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return err
	}
	other, err := unix.NewIfreq("lo:1")
	if err != nil {
		return err
	}
	if err := other.SetInet4Addr(net.ParseIP(ElsewhereAddress).To4()); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFADDR, other)
}

// endWithParent has the kernel end cmd's process when the calling thread ends,
// and keeps the thread until the function that it returns is called.
func endWithParent(cmd *exec.Cmd) func() {
	runtime.LockOSThread()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	return runtime.UnlockOSThread
}
