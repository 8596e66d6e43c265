package inspect

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// self is the program that runs, also where its file was replaced by a newer one, which
// may not speak to this one.
func self() (string, error) { return "/proc/self/exe", nil }

// detach has a child be killed with the thread that starts it, and with all that it may
// have started.
func detach(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}

const (
	// These are missing from package syscall (linux/prctl.h).
	prSetDumpable   = 4
	prSetNoNewPrivs = 38
)

// maxFiles are those of a child: its inputs and outputs, and what Go's runtime opens.
const maxFiles = 16

// confine limits the process as far as that can be done before its task is known.
func confine() error {
	// A file that is too long is to be an error, not the end.
	signal.Ignore(syscall.SIGXFSZ)
	// Nobody else may look into it.
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetDumpable, 0, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("limit the scanner: %w", errno)
	}
	// This is of each thread. A program that is linked to C cannot do it for all.
	_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0)
	if errno != 0 && !errors.Is(errno, errors.ErrUnsupported) {
		return fmt.Errorf("limit the scanner: %w", errno)
	}
	return errors.Join(limit(syscall.RLIMIT_CORE, 0, 0), limit(syscall.RLIMIT_NOFILE, maxFiles, maxFiles))
}

// restrict limits the process by its task.
func restrict(l Limits) error {
	aim(l)
	seconds := uint64(l.CPU.Seconds())
	return errors.Join(
		limit(syscall.RLIMIT_DATA, uint64(l.Memory), uint64(l.Memory)),
		limit(syscall.RLIMIT_CPU, seconds, seconds+1),
		limit(syscall.RLIMIT_FSIZE, uint64(l.Kept), uint64(l.Kept)),
	)
}

// limit sets a limit, or a lower one where the process has that already.
func limit(what int, soft, hard uint64) error {
	var has syscall.Rlimit
	if err := syscall.Getrlimit(what, &has); err != nil {
		return fmt.Errorf("limit the scanner: %w", err)
	}
	has = syscall.Rlimit{Cur: min(soft, has.Cur), Max: min(hard, has.Max)}
	if err := syscall.Setrlimit(what, &has); err != nil {
		return fmt.Errorf("limit the scanner: %w", err)
	}
	return nil
}

// inherited says whether a file was handed over.
func inherited(fd int) bool {
	var stat syscall.Stat_t
	return syscall.Fstat(fd, &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFREG
}

// usedUp says whether a child has used up its processor time.
func usedUp(state *os.ProcessState, l Limits) bool {
	return state != nil && state.UserTime()+state.SystemTime() >= l.CPU
}
