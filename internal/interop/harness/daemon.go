package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// A daemon is a program of which one serves all tests of a run: it costs a
// second to start, and images are told apart by their names. It is started for
// the first test that asks for it.
type daemon struct {
	command func(sh *Shell, dir string) (*exec.Cmd, error) // with all its files in dir
	ready   func(sh *Shell, dir string) *exec.Cmd          // succeeds when it answers

	mu   sync.Mutex
	proc *process
	dir  string
	err  error
}

// use returns the folder of the running daemon. Its name is short, because a
// socket's path may not pass 108 bytes.
func (d *daemon) use(sh *Shell) (dir string) {
	sh.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil && d.err == nil {
		d.err = d.start(sh)
	}
	if d.err != nil {
		sh.t.Fatalf("start a daemon: %v", d.err)
	}
	return d.dir
}

func (d *daemon) start(sh *Shell) error {
	dir, err := os.MkdirTemp("", "daemon")
	if err != nil {
		return err
	}
	d.dir = dir
	cmd, err := d.command(sh, dir)
	if err != nil {
		return err
	}
	cmd.Env = append(bareEnviron(), "HOME="+dir)
	if d.proc, err = start(cmd); err != nil {
		return err
	}
	return d.await(sh)
}

func (d *daemon) await(sh *Shell) error {
	late := time.After(startTimeout)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for d.ready(sh, d.dir).Run() != nil {
		select {
		case <-again.C:
		case <-d.proc.done:
			return fmt.Errorf("%s ended:\n%s", d.proc.cmd.Path, tail(d.proc.out.String(), 20))
		case <-late:
			return fmt.Errorf("%s does not answer:\n%s", d.proc.cmd.Path, tail(d.proc.out.String(), 20))
		}
	}
	return nil
}

// stop ends the daemon, which ends its own children, and removes its files.
func (d *daemon) stop() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != nil {
		_ = d.proc.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.proc.done:
		case <-time.After(stopTimeout):
			return fmt.Errorf("%s did not end after SIGTERM", d.proc.cmd.Path)
		}
	}
	return os.RemoveAll(d.dir)
}

// stopDaemons ends all that tests share.
func stopDaemons() error { return errors.Join(dockerd.stop(), containerd.stop(), buildkitd.stop()) }
