package harness

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second // for a server to say that it is ready
	stopTimeout  = 30 * time.Second // for a server to end after SIGTERM
)

// A Server is one berth on a loopback port and a data folder of its own.
type Server struct {
	Host string // what people type: localhost and the port
	Dir  string // the folder it was started in, its data folder ./data within
	t    testing.TB
	args []string
	vars []string // of its environment, beside what bareEnviron leaves
	proc *process
	env  map[string]string // what Env found
}

// Start runs `berth serve` with args beside its address and data folder, waits
// until it is ready, and stops it when the test ends. What it printed is shown
// if the test has failed by then.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	port := freePort(t)
	s := &Server{
		Host: fmt.Sprintf("localhost:%d", port),
		Dir:  t.TempDir(),
		t:    t,
		args: append([]string{"serve", "--listen", fmt.Sprintf("127.0.0.1:%d", port)}, args...),
	}
	s.begin()
	return s
}

// begin launches a new server, which ends with its test.
func (s *Server) begin() {
	s.t.Helper()
	s.t.Cleanup(s.end)
	s.Launch()
}

// Launch starts the server, again if it was stopped or killed, on the same
// port and data folder.
func (s *Server) Launch() {
	s.t.Helper()
	cmd := exec.Command(Binary(s.t), s.args...)
	cmd.Dir = s.Dir
	cmd.Env = append(bareEnviron(), s.vars...)
	proc, err := start(cmd)
	if err != nil {
		s.t.Fatalf("start berth: %v", err)
	}
	s.proc = proc
	if err := s.awaitReady(); err != nil {
		s.t.Fatalf("%v; it printed:\n%s", err, proc.out)
	}
}

// Stop asks the server to end by SIGTERM and waits until it has; anything but a
// clean end fails the test.
func (s *Server) Stop() {
	s.t.Helper()
	if s.ended() {
		s.t.Errorf("berth had ended by itself: %v", s.proc.cmd.ProcessState)
		return
	}
	_ = s.proc.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.proc.done:
		if state := s.proc.cmd.ProcessState; !state.Success() {
			s.t.Errorf("berth ended after SIGTERM with %v", state)
		}
	case <-time.After(stopTimeout):
		s.Kill()
		s.t.Errorf("berth did not end within %v of SIGTERM", stopTimeout)
	}
}

// Kill ends the server as a power cut would and waits until it is gone.
func (s *Server) Kill() {
	_ = s.proc.cmd.Process.Kill()
	<-s.proc.done
}

// PID is the server's process id.
func (s *Server) PID() int { return s.proc.cmd.Process.Pid }

// Data is the server's data folder.
func (s *Server) Data() string { return filepath.Join(s.Dir, "data") }

// URL is the address that clients in Go use, without a path.
func (s *Server) URL() string { return "http://" + s.Host }

// Log is what the server has printed since it was last started.
func (s *Server) Log() string { return s.proc.out.String() }

// Env is what `berth env` gives to a shell that evaluates it: the variables
// that it exports. It is asked once, since it has to ask aws for its version.
func (s *Server) Env(t testing.TB) map[string]string {
	t.Helper()
	if s.env == nil {
		s.env = s.readEnv(t)
	}
	return s.env
}

func (s *Server) readEnv(t testing.TB) map[string]string {
	t.Helper()
	out := s.Shell(t).Script(`eval "$(berth env)"; env`)
	vars := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if ok && strings.HasPrefix(name, "AWS_") {
			vars[name] = value
		}
	}
	return vars
}

func (s *Server) end() {
	if s.proc == nil {
		return
	}
	if !s.ended() {
		s.Stop()
	}
	if s.t.Failed() {
		s.t.Logf("berth printed at last:\n%s", tail(s.Log(), 60))
	}
}

func (s *Server) ended() bool {
	select {
	case <-s.proc.done:
		return true
	default:
		return false
	}
}

func (s *Server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !s.ready(ctx) {
		select {
		case <-again.C:
		case <-s.proc.done:
			return fmt.Errorf("berth ended before it was ready: %v", s.proc.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("berth was not ready within %v", startTimeout)
		}
	}
	return nil
}

func (s *Server) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// freePort finds a loopback port that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// bareEnviron is this process's environment without what would steer the
// programs under test: credentials, endpoints, proxies, authorities, settings of
// clients.
func bareEnviron() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !steers(strings.ToUpper(name)) {
			env = append(env, kv)
		}
	}
	return env
}

// authorities are variables that say whom to trust.
var authorities = []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}

func steers(name string) bool {
	for _, prefix := range []string{"AWS_", "BERTH_", "DOCKER_", "CONTAINER", "BUILDAH_", "STORAGE_", "REGISTRY_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	if slices.Contains(authorities, name) {
		return true
	}
	return strings.HasSuffix(name, "_PROXY") || name == "HOME" || name == "XDG_RUNTIME_DIR" || name == "TMPDIR"
}
