package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Bounds of a start, from exec to the first answer.
const (
	longestEmpty   = 30 * time.Millisecond
	longestClosed  = 100 * time.Millisecond
	longestKilled  = 2 * time.Second
	reasonOfKilled = "not closed in order" // as the log says
)

// starting is how many starts there are of a kind, of which the quickest counts: the others
// are of a machine that does other things too.
const starting = 5

func starts(ctx context.Context, o options, z size) (all []figure, err error) {
	empty, err := startsEmpty(ctx, o, z)
	if err != nil {
		return nil, err
	}
	st := store{dir: filepath.Join(o.dir, "store-"+z.file), repositories: z.repositories, images: z.images / z.repositories, tags: z.tags / z.repositories}
	if err := build(ctx, o, &st); err != nil {
		return nil, fmt.Errorf("build the store: %w", err)
	}
	full, err := startsFull(ctx, o, z, st)
	return append(empty, full...), err
}

func startsEmpty(ctx context.Context, o options, z size) ([]figure, error) {
	data := filepath.Join(o.dir, "empty-"+z.file)
	s, err := start(ctx, o, data, "")
	if err != nil {
		return nil, err
	}
	made := s.first
	if err := s.stop(); err != nil {
		return nil, err
	}
	first, err := quickest(ctx, o, data, "")
	return []figure{
		told("start that makes its folder, to the first answer", short(made)),
		within("start, nothing stored", first, longestEmpty, z),
	}, err
}

// within is a figure that is a time, of which there is more in CI.
func within(what string, took, most time.Duration, z size) figure {
	return kept(what, float64(took), float64(most)*z.patience, func(n float64) string { return short(time.Duration(n)) })
}

// quickest starts a server on a folder that was closed in order, again and again.
func quickest(ctx context.Context, o options, data, path string) (time.Duration, error) {
	least := time.Duration(math.MaxInt64)
	for range starting {
		s, err := start(ctx, o, data, path)
		if err != nil {
			return 0, err
		}
		least = min(least, s.first)
		if err := s.stop(); err != nil {
			return 0, err
		}
	}
	return least, nil
}

func startsFull(ctx context.Context, o options, z size, st store) ([]figure, error) {
	closed, err := quickest(ctx, o, st.data(), st.image(0, 0))
	if err != nil {
		return nil, err
	}
	killed, err := afterKill(ctx, o, st)
	if err != nil {
		return nil, err
	}
	index, err := os.Stat(filepath.Join(st.data(), "index.db"))
	if err != nil {
		return nil, err
	}
	dead := within("the same after a kill in the midst of pushes", killed, longestKilled, z)
	what := fmt.Sprintf("start with %d images in %d repositories and %d tags", z.images, z.repositories, z.tags)
	all := []figure{
		told("building that store (its index)", short(st.took)+" ("+mib(index.Size())+")"),
		within(what+", to the first manifest", closed, longestClosed, z),
		dead,
	}
	return all, nil
}

// afterKill is how long the first answer takes after a server died that wrote. Its reason
// must be in the log.
func afterKill(ctx context.Context, o options, st store) (time.Duration, error) {
	s, err := start(ctx, o, st.data(), st.image(0, 0))
	if err != nil {
		return 0, err
	}
	err = many(32, 8, func(i int) error {
		return s.push("team-000/app-00000", content{name: fmt.Sprint("last ", i, time.Now())})
	})
	if err := errors.Join(err, s.kill()); err != nil {
		return 0, err
	}
	if s, err = start(ctx, o, st.data(), st.image(0, 0)); err != nil {
		return 0, err
	}
	if err := s.stop(); err != nil {
		return 0, err
	}
	log, err := os.ReadFile(s.log)
	if err == nil && !strings.Contains(string(log), reasonOfKilled) {
		err = fmt.Errorf("the log does not say that the index was %s", reasonOfKilled)
	}
	return s.first, err
}
