package main

import (
	"bufio"
	"context"
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

// server is a registry that runs.
type server struct {
	cmd    *exec.Cmd
	url    string
	log    string        // file
	first  time.Duration // from exec to its first answer
	client *http.Client
}

// longest is how long a start or a stop may take before it is given up.
const longest = 10 * time.Minute

// start starts berth on a data folder, and waits for the answer to a GET of path, "" where
// there is no image yet. A pull of a manifest takes the index, identities and rights.
func start(ctx context.Context, o options, data, path string, flags ...string) (*server, error) {
	return launch(ctx, data, path, func(at string) []string {
		return append([]string{o.berth, "serve", "--dev", "--listen", at, "--data", data, "--gc-interval", "0s", "--gc-grace", "0s"}, flags...)
	})
}

// launch starts a program that listens at an address, with a log beside its data.
func launch(ctx context.Context, data, path string, command func(at string) []string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(data), 0o700); err != nil {
		return nil, err
	}
	s := &server{url: "http://" + at, log: data + ".log", client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := command(at)
	s.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.await(path, began.Add(longest)); err != nil {
		return nil, errors.Join(err, s.kill())
	}
	s.first = time.Since(began)
	return s, nil
}

func (s *server) await(path string, until time.Time) error {
	if path == "" {
		path = "/v2/"
	}
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

// stop ends the server in order.
func (s *server) stop() error {
	s.client.CloseIdleConnections()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// kill ends it as a power cut would, but for what the system still writes.
func (s *server) kill() error {
	s.client.CloseIdleConnections()
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = s.cmd.Wait() // tells that it was killed
	return nil
}

// with runs a server for as long as use takes.
func with(ctx context.Context, o options, data string, use func(*server) error, flags ...string) error {
	s, err := start(ctx, o, data, "", flags...)
	if err != nil {
		return err
	}
	return errors.Join(use(s), s.stop())
}

// memory is what /proc says of a process, in bytes (proc(5), of /proc/pid/status).
type memory struct {
	Anonymous, Mapped int64 // RssAnon and RssFile
	Peak              int64 // VmHWM: the most that both were together
}

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
		case "VmHWM":
			m.Peak = kib << 10
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
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	return func() memory { close(done); watching.Wait(); return most }
}
