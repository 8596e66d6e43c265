package inspect_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/inspect"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// runs says whether a process runs that was given a word.
func runs(t *testing.T, word string) bool {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte("hangs\x00"+word)) {
			return true
		}
	}
	return false
}

// waitFor waits until a process with a word runs, or none does any more.
func waitFor(t *testing.T, word string, there bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); runs(t, word) != there; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a child that runs: %v, want %v", !there, there)
		}
	}
}

func TestChildDiesWithItsServer(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	word := filepath.Base(t.TempDir()) + "-server"
	server := exec.Command(self, "scans", scantest.Database(t), word)
	server.Args[0] = "berth"
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	waitFor(t, word, true)
	if err := server.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, word, false)
}

func TestWhatAChildStartsDiesWithIt(t *testing.T) {
	word := filepath.Base(t.TempDir()) + "-other"
	s := newScanner(t, func(o *inspect.Options) { o.Arguments = []string{"starts-another", word} })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() {
		_, err := s.Scan(ctx, scantest.Debian("12").Scan())
		ended <- err
	}()
	waitFor(t, word, true)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was called off", err)
	}
	waitFor(t, word, false)
}

// TestChildIsConfined looks at a child from within, once it has read its task.
func TestChildIsConfined(t *testing.T) {
	t.Setenv("SECRET", "of the server")
	var log bytes.Buffer
	s := newScanner(t, func(o *inspect.Options) {
		o.Arguments, o.Log = []string{"scans-and-tells"}, slog.New(slog.NewJSONHandler(&log, nil))
	})
	if _, err := s.Scan(context.Background(), scantest.Debian("12").Scan()); !errors.Is(err, scan.ErrDied) {
		t.Fatalf("%v, want that it died", err)
	}
	said := strings.ReplaceAll(log.String(), `\n`, "\n")
	privileges := "privileges 1"
	if _, _, errno := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0); errors.Is(errno, errors.ErrUnsupported) {
		privileges = "privileges [01]" // this test is linked to C, as Berth is not
	}
	for what, want := range map[string]string{
		"memory": `Max data size +1073741824 +1073741824 `, "processor": `Max cpu time +300 +301 `, "file": `Max file size +2147483648 +2147483648 `,
		"core": `Max core file size +0 +0 `, "files": `Max open files +16 +16 `,
		"environment": `environment \[\]`, "folder": `folder \\"/\\"`, "privileges": privileges, "end": `<nil>`,
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("%s: %s is not in\n%s", what, want, said)
		}
	}
}

func TestOverLimitsOfTheProcess(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector has memory of its own, and dies in its own words without it")
	}
	long := `{"name": "` + strings.Repeat("x", 100<<20) + `"}`
	var log bytes.Buffer
	s := newScanner(t, func(o *inspect.Options) {
		o.Limits.Memory, o.Log = 100<<20, slog.New(slog.NewTextHandler(&log, nil))
	})
	defer func() {
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	wantProblem(t, problem(t, s, debianWith(scantest.Gzip(scantest.File{Name: "package.json", Body: long})).Scan()), scan.OverLimit, "scanning.limits.memory", "100MiB")

	s = newScanner(t, func(o *inspect.Options) { o.Limits.CPU, o.Limits.Unpacked = time.Second, 1<<40 })
	bomb := makeLayer(t, zeros(100<<30, zstandard)).over(scantest.Debian("12").Scan())
	wantProblem(t, problem(t, s, bomb), scan.OverLimit, "scanning.limits.cpu", "1s")
}

// A spool file that cannot be written says nothing of the image.
func TestSpoolFileFails(t *testing.T) {
	s := newScanner(t, nil)
	var had syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &had); err != nil {
		t.Fatal(err)
	}
	low := had
	low.Cur = 100
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &had); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}()
	_, err := s.Scan(context.Background(), scantest.Debian("12").Scan())
	if err == nil || errors.Is(err, scan.ErrDied) || errors.As(err, new(*scan.Problem)) || !strings.Contains(err.Error(), "spool") {
		t.Errorf("%v, want a fault of the server's", err)
	}
}
