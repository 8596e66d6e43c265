package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var containerd = daemon{command: containerdCommand, ready: containerdReady}

// ctrFault is what ctr says when it could not read a blob that its own
// containerd keeps. On a busy machine version 1.6 does so once in fifty pushes:
// the registry then sees a body that breaks off before its first byte.
const ctrFault = "failed to copy: rpc error: code = Internal desc = unexpected EOF"

// Ctr runs ctr against a containerd of this test run, which it starts if it is
// the first to ask, and returns all that it printed. The daemon needs root. What
// comes to nothing between those two is tried again, and logged.
func (sh *Shell) Ctr(args ...string) string {
	sh.t.Helper()
	for range 4 {
		out, err := sh.TryCtr(args...)
		switch {
		case err == nil:
			return strings.TrimSuffix(out, "\n")
		case !strings.Contains(out, ctrFault):
			sh.t.Fatalf("ctr %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		sh.t.Logf("ctr %s is tried again: %s", args[0], ctrFault)
	}
	sh.t.Fatalf("ctr %s: again and again %s", strings.Join(args, " "), ctrFault)
	return ""
}

// CtrRefused is Ctr for a command that is to fail.
func (sh *Shell) CtrRefused(args ...string) string {
	sh.t.Helper()
	return sh.Refused("ctr", append(ctrFlags(containerd.use(sh)), args...)...)
}

// TryCtr is Ctr for a command that may fail.
func (sh *Shell) TryCtr(args ...string) (string, error) {
	sh.t.Helper()
	return sh.Try("ctr", append(ctrFlags(containerd.use(sh)), args...)...)
}

// CtrLine is a line of shell that does what Ctr does.
func (sh *Shell) CtrLine(args ...string) string {
	sh.t.Helper()
	words := append([]string{sh.find("ctr")}, append(ctrFlags(containerd.use(sh)), args...)...)
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

func ctrFlags(dir string) []string {
	return []string{"--address", filepath.Join(dir, "sock"), "--namespace", "berth"}
}

// containerdCommand runs containerd with its own files alone, and without the
// part that serves a kubelet.
func containerdCommand(sh *Shell, dir string) (*exec.Cmd, error) {
	text := fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = %q
[plugins."io.containerd.internal.v1.opt"]
path = %q
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), filepath.Join(dir, "sock"), filepath.Join(dir, "opt"))
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(sh.find("containerd"), "--config", config), nil
}

func containerdReady(sh *Shell, dir string) *exec.Cmd {
	return exec.Command(sh.find("ctr"), append(ctrFlags(dir), "version")...)
}

// HostsDir is a folder as ctr takes it by --hosts-dir, in which a host has a
// hosts.toml that names s's authority.
func (s *Server) HostsDir(t testing.TB, host string) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, host, "hosts.toml"), fmt.Appendf(nil, `server = "https://%s"
[host."https://%s"]
capabilities = ["pull", "resolve", "push"]
ca = %q
`, host, host, s.CA()))
	return dir
}
