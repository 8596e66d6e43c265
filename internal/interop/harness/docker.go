package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// The one dockerd of a test run, which every test that asks for Docker shares.
// It costs a second to start, and its images are told apart by their names,
// which hold the port of their server.
var daemon struct {
	sync.Mutex
	proc *process
	dir  string
	err  error
}

// UseDocker points the docker of sh at a daemon of this test run, which it
// starts if it is the first to ask. The daemon needs root.
func (sh *Shell) UseDocker() {
	sh.t.Helper()
	daemon.Lock()
	defer daemon.Unlock()
	if daemon.proc == nil && daemon.err == nil {
		daemon.err = startDaemon(sh)
	}
	if daemon.err != nil {
		sh.t.Fatalf("start dockerd: %v", daemon.err)
	}
	sh.Set("DOCKER_HOST", "unix://"+filepath.Join(daemon.dir, "sock"))
}

// startDaemon starts dockerd where no container will ever run: it needs no
// bridge, no packet filter and, with the vfs driver, no file system of a kind.
// The folder's name is short because a socket's path may not pass 108 bytes.
func startDaemon(sh *Shell) error {
	dir, err := os.MkdirTemp("", "dockerd")
	if err != nil {
		return err
	}
	daemon.dir = dir
	cmd := exec.Command(sh.find("dockerd"),
		"--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--config-file", filepath.Join(dir, "daemon.json"),
		"-H", "unix://"+filepath.Join(dir, "sock"))
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	cmd.Env = append(bareEnviron(), "HOME="+dir)
	if daemon.proc, err = start(cmd); err != nil {
		return err
	}
	return awaitDaemon(sh.find("docker"))
}

func awaitDaemon(docker string) error {
	late := time.After(startTimeout)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		cmd := exec.Command(docker, "-H", "unix://"+filepath.Join(daemon.dir, "sock"), "info")
		if cmd.Run() == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-daemon.proc.done:
			return fmt.Errorf("it ended:\n%s", tail(daemon.proc.out.String(), 20))
		case <-late:
			return fmt.Errorf("it does not answer:\n%s", tail(daemon.proc.out.String(), 20))
		}
	}
}

// stopDaemon ends dockerd, which ends its containerd, and removes its files.
func stopDaemon() error {
	daemon.Lock()
	defer daemon.Unlock()
	if daemon.proc != nil {
		_ = daemon.proc.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-daemon.proc.done:
		case <-time.After(stopTimeout):
			return errors.New("it did not end after SIGTERM")
		}
	}
	return os.RemoveAll(daemon.dir)
}
