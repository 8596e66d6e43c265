package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var buildkitd = daemon{command: buildkitdCommand, ready: buildkitdReady}

// Buildctl runs buildctl against a buildkitd of this test run, which it starts
// if it is the first to ask, and returns what it printed, which is of its steps.
// The daemon needs root and runc.
func (sh *Shell) Buildctl(args ...string) string {
	sh.t.Helper()
	inOne := []string{"-c", `exec buildctl "$@" 2>&1`, "bash", "--addr", sh.UseBuildKit()}
	return sh.Run("bash", append(inOne, args...)...)
}

// UseBuildKit returns the address of the buildkitd of this test run.
func (sh *Shell) UseBuildKit() string {
	sh.t.Helper()
	return buildkitAddress(buildkitd.use(sh))
}

func buildkitAddress(dir string) string { return "unix://" + filepath.Join(dir, "sock") }

// buildkitdCommand runs buildkitd on files and networks that are there already:
// its own folder, no overlay, and the network namespace of the tests.
func buildkitdCommand(sh *Shell, dir string) (*exec.Cmd, error) {
	text := fmt.Sprintf(`root = %q
[grpc]
address = [%q]
[worker.oci]
enabled = true
snapshotter = "native"
networkMode = "host"
[worker.containerd]
enabled = false
[cdi]
disabled = true
%s`, filepath.Join(dir, "root"), buildkitAddress(dir), buildkitNames(dir))
	config := filepath.Join(dir, "buildkitd.toml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(sh.find("buildkitd"), "--config", config), nil
}

// buildkitNames tell buildkitd of each of Names by which authority it is known,
// which it reads when it comes there, and that port 5000 is for plain HTTP.
func buildkitNames(dir string) string {
	var b strings.Builder
	for _, name := range Names() {
		fmt.Fprintf(&b, "[registry.%q]\nca = [%q]\n[registry.%q]\nhttp = true\n", name, filepath.Join(dir, "ca.crt"), name+":5000")
	}
	return b.String()
}

// TrustForBuildKit has the buildkitd of this test run trust s's authority, and
// no longer that of another server.
func (s *Server) TrustForBuildKit(t testing.TB, sh *Shell) {
	t.Helper()
	s.putCA(t, buildkitd.use(sh))
}

func buildkitdReady(sh *Shell, dir string) *exec.Cmd {
	return exec.Command(sh.find("buildctl"), "--addr", buildkitAddress(dir), "debug", "workers")
}
