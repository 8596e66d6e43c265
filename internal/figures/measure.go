package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is a berth that runs.
type server struct {
	cmd   *exec.Cmd
	url   string
	first time.Duration // from exec to its first answer
}

// longest is how long a start or a stop may take before it is given up.
const longest = time.Hour

// start starts berth and waits for the answer to a pull of a manifest's head, which
// takes the index, identities and rights; path is "" where there is no image yet.
func start(ctx context.Context, o options, path string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(o.dir, "log.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &server{url: "http://" + at}
	s.cmd = exec.CommandContext(ctx, o.berth, "serve", "--dev", "--listen", at, "--data", filepath.Join(o.dir, "data"), "--gc-interval", "0s", "--gc-grace", "0s")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.await(path, began.Add(longest)); err != nil {
		return nil, errors.Join(err, s.cmd.Process.Kill())
	}
	s.first = time.Since(began)
	return s, nil
}

func (s *server) await(path string, until time.Time) error {
	for {
		status, err := s.get(path)
		if err == nil && status == http.StatusOK {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%s answers %d", path, status)
		}
		if time.Now().After(until) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *server) get(path string) (status int, err error) {
	if path == "" {
		path = "/readyz"
	}
	req, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth("test", "test")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// stop ends the server in order.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// visit starts the server and stops it.
func visit(ctx context.Context, o options) error {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	s, err := start(ctx, o, "")
	if err != nil {
		return err
	}
	return s.stop()
}

// memory is what /proc says of a process, in bytes (proc(5), of /proc/pid/status).
type memory struct{ Anonymous, Mapped int64 }

func (s *server) memory() (m memory, err error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return m, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64) // others are no numbers
		switch name {
		case "RssAnon":
			m.Anonymous = kib << 10
		case "RssFile":
			m.Mapped = kib << 10
		}
	}
	return m, nil
}

// peak watches the memory of a server until stop is called, which returns the most.
func (s *server) peak() (stop func() memory) {
	var most memory
	var watching sync.WaitGroup
	done := make(chan struct{})
	watching.Go(func() {
		for {
			m, err := s.memory()
			if err == nil {
				most.Anonymous, most.Mapped = max(most.Anonymous, m.Anonymous), max(most.Mapped, m.Mapped)
			}
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return func() memory { close(done); watching.Wait(); return most }
}

// measure takes all figures of a store that is built.
func measure(ctx context.Context, o options, f *report) error {
	if err := f.sizes(); err != nil {
		return err
	}
	pull := "/v2/team-000/app-00000/manifests/1.0"
	s, err := start(ctx, o, pull)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	f.First = s.first
	if f.Start, err = s.memory(); err != nil {
		return err
	}
	if err := s.pulls(o); err != nil {
		return err
	}
	if f.Pulled, err = s.memory(); err != nil {
		return err
	}
	if err := f.collect(ctx, o, s); err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	began := time.Now()
	err = s.stop()
	f.Stop = time.Since(began)
	return err
}

// pulled is how many manifests are pulled between the first figures and the next.
const pulled = 2_000

func (s *server) pulls(o options) error {
	for i := range pulled {
		n := i * 7919 % o.repositories
		path := fmt.Sprintf("/v2/team-%03d/app-%05d/manifests/1.%d", n/1000, n, i%o.images)
		if status, err := s.get(path); err != nil || status != http.StatusOK {
			return fmt.Errorf("%s: %d, %v", path, status, err)
		}
	}
	return nil
}

// collect has the plan made and a collection run, beside the server.
func (f *report) collect(ctx context.Context, o options, s *server) error {
	began := time.Now()
	plan, most, err := beside[struct{ Total json.RawMessage }](ctx, o, s, "gc", "plan", "--json")
	if err != nil {
		return err
	}
	f.Planned, f.Planning, f.PlanTook = string(plan.Total), most, time.Since(began)
	began = time.Now()
	f.Collected, f.Collecting, err = beside[collected](ctx, o, s, "gc", "run", "--json")
	f.CollectTook = time.Since(began)
	return err
}

// collected is what `gc run --json` prints.
type collected struct{ Looked, Layers, Blobs, Bytes int64 }

// beside runs a command beside the server and reads what it prints.
func beside[A any](ctx context.Context, o options, s *server, args ...string) (a A, most memory, err error) {
	peak := s.peak()
	cmd := exec.CommandContext(ctx, o.berth, append(args, "--data", filepath.Join(o.dir, "data"))...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	most = peak()
	if err != nil {
		return a, most, err
	}
	return a, most, json.NewDecoder(bytes.NewReader(out)).Decode(&a)
}
