package harness

import (
	"os"
	"os/exec"
	"path/filepath"
)

var dockerd = daemon{command: dockerdCommand, ready: dockerdReady}

// UseDocker points the docker of sh at a daemon of this test run, which it
// starts if it is the first to ask. The daemon needs root.
func (sh *Shell) UseDocker() {
	sh.t.Helper()
	sh.Set("DOCKER_HOST", "unix://"+filepath.Join(dockerd.use(sh), "sock"))
}

// dockerdCommand runs dockerd where no container will ever run: it needs no
// bridge, no packet filter and, with the vfs driver, no file system of a kind.
func dockerdCommand(sh *Shell, dir string) (*exec.Cmd, error) {
	config := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(sh.find("dockerd"),
		"--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--config-file", config,
		"-H", "unix://"+filepath.Join(dir, "sock")), nil
}

func dockerdReady(sh *Shell, dir string) *exec.Cmd {
	return exec.Command(sh.find("docker"), "-H", "unix://"+filepath.Join(dir, "sock"), "info")
}
