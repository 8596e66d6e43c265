package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bounds of what a push of an image of five layers and a config has synced.
const (
	mostSyncs       = 28.0
	mostSyncsAtOnce = 16.0
)

// pushed is how many images are pushed, one by one and then at once.
const pushed = 16

// rounds is how often they are, and what counts is the least: when a machine has other work,
// those that are to be at once come one after the other. There are more, up to mostRounds,
// while the bound is not reached.
const rounds, mostRounds = 3, 12

// syncs has strace count what a server asks of the disk. Tests count the same inside of
// it, so where strace is missing, or may not look at processes, nothing is.
func syncs(ctx context.Context, o options, z size) (all []figure, err error) {
	if err := exec.CommandContext(ctx, "strace", "-qq", "-o", os.DevNull, "true").Run(); err != nil {
		return []figure{told("syncs by strace", "strace does not work here: "+err.Error())}, nil
	}
	data := filepath.Join(o.dir, "syncs-"+z.file)
	defer removeAll(data, &err)
	err = with(ctx, o, data, func(s *server) error {
		if err := s.pushImage("team/app", "first", 0); err != nil { // which makes the repository
			return err
		}
		images := 0
		for _, way := range []struct {
			what   string
			atOnce int
			most   float64
		}{{"alone", 1, mostSyncs}, {"with 16 at once, each", pushed, mostSyncsAtOnce}} {
			var t trace
			for round := 0; round < rounds || round < mostRounds && float64(t.all())/pushed > way.most; round++ {
				next, err := s.traced(func() error {
					return many(pushed, way.atOnce, func(i int) error { return s.pushImage("team/app", "latest", 1+i+images) })
				})
				if err != nil {
					return err
				}
				images += pushed
				if round == 0 || next.all() < t.all() {
					t = next
				}
			}
			what := "syncs of an image of 5 layers and a config, " + way.what + ", by strace (least of several rounds)"
			f := kept(what, float64(t.all())/pushed, way.most, func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) })
			f.Value += " (" + t.String() + ")"
			all = append(all, f)
		}
		return nil
	})
	return all, err
}

// trace is how often what was synced.
type trace struct{ files, folders, index, journal, others int }

func (t trace) all() int { return t.files + t.folders + t.index + t.journal + t.others }

func (t trace) String() string {
	each := func(n int) string { return strconv.FormatFloat(float64(n)/pushed, 'f', -1, 64) }
	s := fmt.Sprintf("files %s, folders %s, index %s, journal %s", each(t.files), each(t.folders), each(t.index), each(t.journal))
	if t.others > 0 {
		s += ", others " + each(t.others)
	}
	return s
}

// traced counts the syncs of a server while something is done.
func (s *server) traced(do func() error) (t trace, err error) {
	out, pid := s.log+".strace", s.cmd.Process.Pid
	cmd := exec.Command("strace", "-f", "-qq", "-y", "-e", "trace=fsync,fdatasync,syncfs,sync,msync", "-o", out, "-p", strconv.Itoa(pid))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return t, err
	}
	if err := awaitTracer(pid); err != nil {
		return t, errors.Join(err, cmd.Process.Kill())
	}
	err = do()
	if err := errors.Join(err, cmd.Process.Signal(syscall.SIGINT)); err != nil {
		return t, err
	}
	_ = cmd.Wait() // tells of the signal
	file, err := os.Open(out)
	if err != nil {
		return t, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		t.count(lines.Text())
	}
	return t, lines.Err()
}

// awaitTracer waits until all threads of a process are traced.
func awaitTracer(pid int) error {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil {
			return err
		}
		missing := 0
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err == nil && strings.Contains(string(text), "TracerPid:\t0\n") {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
	}
	return fmt.Errorf("strace does not get hold of process %d", pid)
}

// count looks at a line such as `12 fsync(9</data/blobs/ab>) = 0`, which may be cut in two
// by others.
func (t *trace) count(line string) {
	_, call, _ := strings.Cut(line, " ")
	call = strings.TrimSpace(call)
	if strings.HasPrefix(call, "<") || !strings.Contains(call, "sync") {
		return
	}
	_, path, _ := strings.Cut(call, "<")
	path, _, _ = strings.Cut(path, ">")
	dir, base := filepath.Split(path)
	switch {
	case base == "index.db":
		t.index++
	case filepath.Base(dir) == "journal":
		t.journal++
	case len(base) == 2 && filepath.Base(dir) == "blobs":
		t.folders++
	case filepath.Base(filepath.Dir(filepath.Dir(path))) == "blobs":
		t.files++
	default:
		t.others++
	}
}
