package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/bench"
)

// profile starts Berth, has a scenario run against it, and writes profiles of it
// meanwhile. They are asked for at the server's own socket, which is its owner's
// alone: no address of clients has them.
func profile(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("peers profile", flag.ContinueOnError)
	program := f.String("berth", "bin/berth", "the program to look into")
	dir := f.String("dir", "bin/profile", "folder for the profiles, in one of the scenario's name")
	name := f.String("scenario", "push-image", "scenario that runs meanwhile; NAME@N has N requests at once")
	lasts := f.Duration("duration", 10*time.Second, "how long processors are looked at, and waits")
	if err := parse(f, args); err != nil {
		return err
	}
	o := bench.Defaults()
	o.Keep, o.Count = true, 1<<60 // until the profiles are there
	var err error
	if o.Scenarios, err = bench.Choose([]string{*name}); err != nil {
		return err
	}
	if len(o.Scenarios) != 1 {
		return fmt.Errorf("%s is more than one scenario", *name)
	}
	to := filepath.Join(*dir, strings.ReplaceAll(*name, "@", "-"))
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	s, err := peers[1].start(ctx, programs{berth: *program})
	if err != nil {
		return err
	}
	err = s.profiled(ctx, o, to, *lasts)
	if err := errors.Join(err, s.stop()); err != nil {
		return err
	}
	return show(ctx, *program, to)
}

// profiled puts load on the server until its profiles are written.
func (s *server) profiled(ctx context.Context, o bench.Options, to string, lasts time.Duration) error {
	t, err := s.target(ctx)
	if err != nil {
		return err
	}
	loaded, cancel := context.WithCancel(ctx)
	defer cancel()
	measuring := make(chan struct{})
	once := sync.OnceFunc(func() { close(measuring) })
	o.Watch = func(p bench.Progress) {
		if p.Measuring && p.Operations > 0 {
			once()
		}
	}
	written := make(chan error, 1)
	go func() {
		select {
		case <-measuring:
			written <- s.write(loaded, to, lasts)
		case <-loaded.Done():
			written <- errors.New("the scenario did not begin")
		}
		cancel()
	}()
	report, err := bench.Run(loaded, t, o)
	cancel()
	if got := <-written; got != nil || !errors.Is(err, context.Canceled) {
		return errors.Join(got, err)
	}
	return bench.Print(os.Stdout, report)
}

// write writes each profile to a file of its own. Waits are looked at after the
// processors, since counting them takes time too.
func (s *server) write(ctx context.Context, to string, lasts time.Duration) error {
	client := admin.NewClient(admin.InFolder(filepath.Join(s.dir, "data")))
	for _, group := range [][]string{{"profile"}, {"mutex", "block"}, {"heap", "allocs", "goroutine"}} {
		var all sync.WaitGroup
		errs := make([]error, len(group))
		for i, name := range group {
			all.Go(func() { errs[i] = fetch(ctx, client, name, lasts, filepath.Join(to, fileOf(name))) })
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

// fileOf is the file of a profile.
func fileOf(name string) string {
	if name == "profile" {
		name = "cpu"
	}
	return name + ".pprof"
}

func fetch(ctx context.Context, c *admin.Client, name string, lasts time.Duration, path string) error {
	if name == "heap" || name == "allocs" || name == "goroutine" {
		lasts = 0
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(c.Profile(ctx, name, lasts, file), file.Close())
}

// show prints what takes most of each, by Go's own tool.
func show(ctx context.Context, program, dir string) error {
	for _, name := range []string{"cpu", "heap", "mutex", "block"} {
		path := filepath.Join(dir, name+".pprof")
		fmt.Printf("\n%s\n", path)
		cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=12", program, path)
		cmd.Stdout = os.Stdout
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go tool pprof %s: %w", path, err)
		}
	}
	fmt.Printf("\nMore with: go tool pprof -http=localhost:0 %s %s\n", program, filepath.Join(dir, "cpu.pprof"))
	return nil
}
