// Package harness runs a built berth and the programs that people point at a
// registry, for the tests of this module.
//
// Everything it starts listens on loopback, keeps its files in folders of the
// test, and is stopped by process id when the test ends. Main moves the whole
// test process into a network namespace with nothing but loopback in it where
// it may (as root on Linux), so that a client which strays cannot reach
// anybody, and into a mount namespace with an /etc/hosts of its own, so that
// Amazon's names lead to the server under test.
package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// shutOffMark is set in the environment of a process that is shut off already.
const shutOffMark = "BERTH_INTEROP_SHUT_OFF"

// Main is the body of a TestMain: it shuts the process off from the network,
// runs the tests and stops what they share.
func Main(m *testing.M) int {
	if err := shutOff(); err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	code := m.Run()
	if err := stopDaemons(); err != nil {
		fmt.Fprintln(os.Stderr, "harness: stop daemons:", err)
		return 1
	}
	return code
}

// Binary is the path of the program under test, which the environment variable
// BERTH_BIN names.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("BERTH_BIN")
	if path == "" {
		t.Fatal("BERTH_BIN does not name a berth program; run these tests by `make e2e`")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A process is a child that ends with this one.
type process struct {
	cmd  *exec.Cmd
	out  *buffer
	done chan struct{} // closed when the child has ended
}

// start runs cmd in a thread of its own that lives as long as the child does,
// because the kernel sends a parent-death signal when the thread ends.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, out: new(buffer), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	started := make(chan error)
	go p.run(started)
	return p, <-started
}

func (p *process) run(started chan<- error) {
	defer close(p.done)
	defer endWithParent(p.cmd)()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}
}

// A buffer gathers what a child prints; reading it while it grows is safe.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// tail returns the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
