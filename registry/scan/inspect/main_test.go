package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/inspect"
	"github.com/seed-78150930/berth/registry/scan/scantest"
)

// TestMain is the child too, and children that go wrong.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[0] == "berth" {
		os.Exit(child(os.Args[1]))
	}
	os.Exit(m.Run())
}

func child(what string) int {
	switch what {
	case "scan-child":
		if err := inspect.Child(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	case "hangs":
		time.Sleep(time.Hour)
	case "kills-itself":
		p, _ := os.FindProcess(os.Getpid())
		_ = p.Kill()
		time.Sleep(time.Hour)
	case "panics":
		panic("of all things")
	case "says-nothing":
	case "says-garbage":
		fmt.Print("\x00\xff{")
	case "says-more":
		fmt.Print(`{"Problem":{"Kind":"damaged","Text":"it is"}}{}`)
	case "says-neither":
		fmt.Print(`{}`)
	case "says-both":
		fmt.Print(`{"Problem":{"Kind":"damaged","Text":"it is"},"Report":{}}`)
	case "says-clean":
		fmt.Print(`{"Report":{}}`)
	case "says-and-fails":
		fmt.Print(`{"Problem":{"Kind":"damaged","Text":"it is"}}`)
		return 3
	case "says-too-much":
		line := strings.Repeat("x", 1<<20)
		for {
			if _, err := fmt.Print(line); err != nil {
				return 1
			}
		}
	case "starts-another":
		c := exec.Command("/proc/self/exe", "hangs", os.Args[2])
		c.Args[0] = "berth"
		_ = c.Start()
		time.Sleep(time.Hour)
	case "scans": // and its child hangs
		database, err := os.Open(os.Args[2])
		s, err2 := inspect.New(inspect.Options{Arguments: []string{"hangs", os.Args[3]}, Database: func() (*os.File, error) { return database, err }})
		if err = errors.Join(err, err2); err == nil {
			_, err = s.Scan(context.Background(), scan.Image{})
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	case "scans-and-tells":
		err := inspect.Child(os.Stdin, io.Discard)
		limits, err2 := os.ReadFile("/proc/self/limits")
		status, err3 := os.ReadFile("/proc/self/status")
		dir, err4 := os.Getwd()
		_, privileges, _ := strings.Cut(string(status), "NoNewPrivs:")
		privileges, _, _ = strings.Cut(privileges, "\n")
		fmt.Fprintf(os.Stderr, "%s\nenvironment %q\nfolder %q\nprivileges %s\n%v\n", limits, os.Environ(), dir, strings.TrimSpace(privileges), errors.Join(err, err2, err3, err4))
		return 1
	}
	return 0
}

// newScanner makes a Scanner whose children are this test.
func newScanner(t testing.TB, change func(*inspect.Options)) *inspect.Scanner {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := inspect.Options{Executable: self, Spool: t.TempDir()}
	if change != nil {
		change(&o)
	}
	if o.Database == nil {
		path := scantest.Database(t)
		o.Database = func() (*os.File, error) { return os.Open(path) }
	}
	s, err := inspect.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func scanIt(t testing.TB, s *inspect.Scanner, img scan.Image) scan.Report {
	t.Helper()
	r, err := s.Scan(context.Background(), img)
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	return r
}

// problem is the problem that a scan ends with.
func problem(t testing.TB, s *inspect.Scanner, img scan.Image) scan.Problem {
	t.Helper()
	r, err := s.Scan(context.Background(), img)
	var p *scan.Problem
	if errors.As(err, &p) {
		return *p
	}
	if err != nil {
		t.Fatalf("scan: %v, which is no problem", err)
	}
	if len(r.Problems) != 1 {
		t.Fatalf("scan: problems %+v, want one", r.Problems)
	}
	return r.Problems[0]
}
