package harness

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// clientTimeout is how long one command of a client may take.
const clientTimeout = 5 * time.Minute

// deadProxy is a port that nobody listens on. Clients are told to reach
// everything but loopback through it, so that one that strays is refused.
const deadProxy = "http://127.0.0.1:9"

// A Shell is where a person sits: a home folder of his own, the server's
// folder as the working one, berth on the PATH, and no settings of the machine's.
type Shell struct {
	Dir string // the working folder
	t   testing.TB
	env []string
}

// Shell opens a shell for use with s.
func (s *Server) Shell(t testing.TB) *Shell {
	t.Helper()
	home := newHome(t)
	bin := filepath.Join(home, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(Binary(t), filepath.Join(bin, "berth")); err != nil {
		t.Fatal(err)
	}
	sh := &Shell{Dir: s.Dir, t: t, env: bareEnviron()}
	sh.Set("HOME", home)
	sh.Set("TMPDIR", home)
	sh.Set("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	sh.Set("DOCKER_CONFIG", filepath.Join(home, "docker"))
	sh.Set("REGISTRY_AUTH_FILE", filepath.Join(home, "auth.json"))
	sh.Set("AWS_CONFIG_FILE", filepath.Join(home, "aws-config"))
	sh.Set("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, "aws-credentials"))
	sh.Set("AWS_EC2_METADATA_DISABLED", "true")
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		sh.Set(name, deadProxy)
	}
	sh.Set("NO_PROXY", "localhost,127.0.0.1")
	sh.Set("no_proxy", "localhost,127.0.0.1")
	return sh
}

// newHome makes a folder with a shorter path than a test's own, since podman
// takes none of more than 50 letters for what it runs.
func newHome(t testing.TB) string {
	t.Helper()
	home, err := os.MkdirTemp("", "home")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	return home
}

// Set gives the commands to come an environment variable.
func (sh *Shell) Set(name, value string) { sh.env = append(sh.env, name+"="+value) }

// Unset takes variables from the commands to come. An empty one is something
// else to some programs: the AWS CLI trusts everybody if AWS_CA_BUNDLE is empty.
func (sh *Shell) Unset(names ...string) {
	sh.env = slices.DeleteFunc(sh.env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(names, name)
	})
}

// Var is the value of an environment variable of sh.
func (sh *Shell) Var(name string) string {
	for i := len(sh.env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(sh.env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// Home is the home folder, made for this shell and removed after the test.
func (sh *Shell) Home() string { return sh.Var("HOME") }

// Run runs a program and returns what it wrote to its standard output without
// the last newline. A program that fails, fails the test.
func (sh *Shell) Run(name string, args ...string) string {
	sh.t.Helper()
	return sh.RunInput(nil, name, args...)
}

// RunInput is Run with a standard input.
func (sh *Shell) RunInput(in io.Reader, name string, args ...string) string {
	sh.t.Helper()
	out, errOut, err := sh.exec(in, name, args)
	if err != nil {
		sh.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errOut)
	}
	return strings.TrimSuffix(out, "\n")
}

// Refused runs a program that is to fail and returns all that it printed. A
// program that succeeds fails the test.
func (sh *Shell) Refused(name string, args ...string) string {
	sh.t.Helper()
	out, errOut, err := sh.exec(nil, name, args)
	if err == nil {
		sh.t.Fatalf("%s %s: succeeded, and should not have\n%s%s", name, strings.Join(args, " "), out, errOut)
	}
	return out + errOut
}

// Try runs a program that may fail, and returns all that it printed.
func (sh *Shell) Try(name string, args ...string) (string, error) {
	sh.t.Helper()
	out, errOut, err := sh.exec(nil, name, args)
	return out + errOut, err
}

// Script runs lines of shell and returns what they wrote to standard output,
// without the last newline. It stops at the first command that fails.
func (sh *Shell) Script(lines string) string {
	sh.t.Helper()
	return sh.Run("bash", "-euo", "pipefail", "-c", lines)
}

func (sh *Shell) exec(in io.Reader, name string, args []string) (out, errOut string, err error) {
	sh.t.Helper()
	path := sh.find(name)
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = sh.Dir, sh.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// find looks for a program on the PATH of sh. One that is missing fails the
// test: a run that leaves programs out leaves out the tests that name them.
func (sh *Shell) find(name string) string {
	sh.t.Helper()
	for _, dir := range filepath.SplitList(sh.Var("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	sh.t.Fatalf("%s is not installed", name)
	return ""
}

// KillAfter runs a program, kills it after a time, and says whether it was still at it.
// One that fails by itself before that fails the test.
func (sh *Shell) KillAfter(after time.Duration, name string, args ...string) (killed bool) {
	sh.t.Helper()
	cmd := exec.Command(sh.find(name), args...)
	cmd.Dir, cmd.Env = sh.Dir, sh.env
	p, err := start(cmd)
	if err != nil {
		sh.t.Fatalf("%s: %v", name, err)
	}
	select {
	case <-time.After(after):
		_ = p.cmd.Process.Kill()
		<-p.done
	case <-p.done:
	}
	state := p.cmd.ProcessState
	if killed = state.ExitCode() < 0; !killed && !state.Success() {
		sh.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), state, p.out)
	}
	return killed
}
