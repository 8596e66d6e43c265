package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Bounds of a store of many images in many repositories, and of the collection of what
// they have left.
const (
	longestStart      = time.Second
	mostAnonymous     = 100 << 20
	mostWhenCollected = 256 << 20
)

// imagesOfARepository is how many are in each repository of that store.
const imagesOfARepository = 10

// pulled is how many manifests are pulled all over the store.
const pulled = 2_000

// collection measures a store with ten images in each repository, all with one config and
// a layer by repository; every repository has a layer too that no image uses, and each
// tenth one more.
func collection(ctx context.Context, o options, z size) (all []figure, err error) {
	st := store{dir: filepath.Join(o.dir, "collection-"+z.file), repositories: z.images / imagesOfARepository, images: imagesOfARepository, tags: imagesOfARepository}
	defer removeAll(st.dir, &err) // nothing is left in it to collect
	if err := build(ctx, o, &st); err != nil {
		return nil, fmt.Errorf("build the store: %w", err)
	}
	s, err := start(ctx, o, st.data(), st.image(0, 0))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.kill() // there is an error to tell of
		}
	}()
	m, err := s.memory()
	if err != nil {
		return nil, err
	}
	all = []figure{
		within(fmt.Sprintf("start with %d images in %d repositories, each with a tag, to the first manifest", z.images, st.repositories), s.first, longestStart, z),
		kept("anonymous memory then", m.Anonymous, mostAnonymous, mib),
	}
	if err := s.pulls(st); err != nil {
		return nil, err
	}
	if m, err = s.memory(); err != nil {
		return nil, err
	}
	row := kept(fmt.Sprintf("after %d pulls all over the store", pulled), m.Anonymous, mostAnonymous, mib)
	row.Value += " (pages of files: " + mib(m.Mapped) + ")"
	figures, err := s.collect(ctx, o, st)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	err = s.stop()
	return append(append(all, row), append(figures, told("stopping then", short(time.Since(began))))...), err
}

func (s *server) pulls(st store) error {
	for i := range pulled {
		path := st.image(i*7919%st.repositories, i%st.tags)
		if status, err := s.get(path); err != nil || status != http.StatusOK {
			return fmt.Errorf("%s: %d, %v", path, status, err)
		}
	}
	return nil
}

// collect has the plan made and a collection run, beside the server.
func (s *server) collect(ctx context.Context, o options, st store) ([]figure, error) {
	began := time.Now()
	_, planning, err := beside[struct{ Total json.RawMessage }](ctx, o, s, st, "gc", "plan", "--json")
	if err != nil {
		return nil, err
	}
	planned := time.Since(began)
	began = time.Now()
	done, collecting, err := beside[struct{ Looked, Layers, Blobs, Bytes int64 }](ctx, o, s, st, "gc", "run", "--json")
	took := time.Since(began)
	if err == nil && done.Layers < int64(st.repositories) {
		err = fmt.Errorf("%d layers are collected, and %d are used by nobody", done.Layers, st.repositories)
	}
	row := func(what string, took time.Duration, most memory) figure {
		f := kept("anonymous memory during `berth "+what+"`", most.Anonymous, mostWhenCollected, mib)
		f.Value += ", " + short(took)
		return f
	}
	run := row("gc run", took, collecting)
	run.Value += fmt.Sprintf(" for %d rows and blobs, of which %d layers and %d blobs went", done.Looked, done.Layers, done.Blobs)
	return []figure{row("gc plan", planned, planning), run}, err
}

// beside runs a command beside the server and reads what it prints.
func beside[A any](ctx context.Context, o options, s *server, st store, args ...string) (a A, most memory, err error) {
	peak := s.peak()
	cmd := exec.CommandContext(ctx, o.berth, append(args, "--data", st.data())...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	most = peak()
	if err != nil {
		return a, most, fmt.Errorf("berth %v: %w", args, err)
	}
	return a, most, json.Unmarshal(out, &a)
}
