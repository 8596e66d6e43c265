package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) { testscript.Main(m, programs) }

// TestScriptsGoOn finds scripts that end at a word of testscript's own, which is a
// success and skips the rest: halt is what stops the server.
func TestScriptsGoOn(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nstop\n") {
			t.Errorf("%s ends at stop; halt stops the server", name)
		}
	}
}

// TestScripts plays the scripts in testdata/script. Beside testscript's own
// commands they have those of running.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Values[runningKey{}] = &running{}
			e.Values[upstreamKey{}] = &upstreamServer{}
			e.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each program, where the race detector is on
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": func(ts *testscript.TestScript, _ bool, args []string) { of(ts).serve(ts, args) },
			"signal": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(of(ts).cmd.Process.Signal(signals[args[0]]))
			},
			"ends":     func(ts *testscript.TestScript, _ bool, args []string) { of(ts).ends(ts, args[0]) },
			"halt":     func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).halt(ts) },
			"hold":     func(ts *testscript.TestScript, _ bool, _ []string) { of(ts).hold(ts) },
			"logged":   func(ts *testscript.TestScript, _ bool, args []string) { of(ts).logged(ts, args[0]) },
			"exits":    exits,
			"private":  private,
			"page":     page,
			"agekey":   agekey,
			"upstream": upstream,
			"osvzips":  osvzips,

			"pushimages": pushimages, "startscans": startscans, "scansend": scansend,
		},
	})
}

var signals = map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}

// exits CODE COMMAND... runs a command that must end with an exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

type runningKey struct{}

// running is the server of a script. It prints to out.txt and log.txt; its pid
// is in the variable PID and its address in URL.
type running struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   string
	held  []net.Conn
}

func of(ts *testscript.TestScript) *running { return ts.Value(runningKey{}).(*running) }

// patient is more than any step of a script takes.
const patient = time.Minute

// serve ARGS... starts a server on a free port and waits for its last line.
func (r *running) serve(ts *testscript.TestScript, args []string) {
	r.log = ts.MkAbs("log.txt")
	log, err := os.Create(r.log)
	ts.Check(err)
	defer log.Close()
	r.cmd = exec.Command(find(ts, "berth"), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	r.cmd.Dir, r.cmd.Stderr, r.cmd.Env = ts.MkAbs("."), log, environ(ts)
	out, err := r.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(r.cmd.Start())
	r.ended = make(chan struct{})
	ready := make(chan string, 1)
	go r.watch(out, ts.MkAbs("out.txt"), ready)
	ts.Defer(r.end)
	select {
	case url := <-ready:
		ts.Setenv("URL", url)
		ts.Setenv("PID", strconv.Itoa(r.cmd.Process.Pid))
	case <-r.ended:
		text, _ := os.ReadFile(r.log)
		ts.Fatalf("the server ended before it was ready: %v\n%s", r.cmd.ProcessState, text)
	case <-time.After(patient):
		ts.Fatalf("the server is not ready")
	}
}

// find looks for a program on the script's PATH.
func find(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	ts.Fatalf("there is no %s on PATH", name)
	return ""
}

// environ is the script's environment.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "WORK", "BERTH_DATA", "BERTH_CONFIG", "BERTH_ROOT_ACCESS_KEY_ID", "BERTH_ROOT_SECRET_ACCESS_KEY", "GOCOVERDIR", "GORACE"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// watch copies what the server prints to a file, and tells its address when it
// says that it is ready.
func (r *running) watch(out io.Reader, name string, ready chan<- string) {
	defer close(r.ended)
	file, err := os.Create(name)
	if err != nil {
		return
	}
	defer file.Close()
	url := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		fmt.Fprintln(file, line)
		if at, ok := strings.CutPrefix(strings.TrimSpace(line), "address"); ok {
			url = strings.TrimSpace(at)
		}
		if line == "ready" {
			ready <- url
		}
	}
	_ = r.cmd.Wait()
}

// end kills the server if the script left it running.
func (r *running) end() {
	for _, c := range r.held {
		_ = c.Close()
	}
	_ = r.cmd.Process.Kill()
	<-r.ended
}

// halt asks the server to end, and it must end well.
func (r *running) halt(ts *testscript.TestScript) {
	ts.Check(r.cmd.Process.Signal(syscall.SIGTERM))
	r.ends(ts, "0")
}

// ends CODE waits for the server's end with an exit code.
func (r *running) ends(ts *testscript.TestScript, code string) {
	select {
	case <-r.ended:
	case <-time.After(patient):
		ts.Fatalf("the server does not end")
	}
	if got := strconv.Itoa(r.cmd.ProcessState.ExitCode()); got != code {
		ts.Fatalf("the server ended with %v, want exit code %s", r.cmd.ProcessState, code)
	}
}

// hold begins a request, whose body never comes, so that it stays under way.
func (r *running) hold(ts *testscript.TestScript) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(ts.Getenv("URL"), "http://"))
	ts.Check(err)
	r.held = append(r.held, conn)
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nContent-Type: application/x-amz-json-1.1\r\n\r\n")
	ts.Check(err)
	r.logged(ts, "msg=request")
}

// logged TEXT waits until the log has a text.
func (r *running) logged(ts *testscript.TestScript, text string) {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for over := time.After(patient); ; {
		log, err := os.ReadFile(r.log)
		ts.Check(err)
		if strings.Contains(string(log), text) {
			return
		}
		select {
		case <-again.C:
		case <-over:
			ts.Fatalf("the log has no %q:\n%s", text, log)
		}
	}
}
