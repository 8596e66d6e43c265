package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// mostOfSmall is by how much a page may take longer where ten or a hundred times as much
// is stored.
const mostOfSmall = 1.2

// askedPages is how many pages of a kind are asked for.
const askedPages = 400

// pages are the times that pages of 100 take in small and in large repositories. In CI
// tests count the rows that they read instead.
func pages(ctx context.Context, o options, z size) (all []figure, err error) {
	if z.name == small.name {
		return nil, nil
	}
	data := filepath.Join(o.dir, "pages", "data")
	if err := fillPages(ctx, o, data, z.pages); err != nil {
		return nil, err
	}
	err = with(ctx, o, data, func(s *server) error {
		for _, kind := range []struct {
			what        string
			small, many int
			ask         func(n, i int) error
		}{
			{"tags", z.pages[0], z.pages[1], func(n, i int) error {
				return s.page(fmt.Sprintf("/v2/tags/n%d/tags/list?n=100&last=%s", n, tagOf(i*7919%(n-101))))
			}},
			{"DescribeImages", z.pages[2], z.pages[3], func(n, _ int) error {
				return s.call("DescribeImages", map[string]any{"repositoryName": fmt.Sprintf("images/n%d", n), "maxResults": 100}, nil)
			}},
		} {
			f, err := s.compare(kind.what, kind.small, kind.many, kind.ask)
			if err != nil {
				return err
			}
			all = append(all, f)
		}
		return nil
	})
	return all, err
}

func (s *server) page(path string) error {
	_, _, err := s.ask(http.MethodGet, path, http.StatusOK, nil, 0)
	return err
}

// compare asks for pages of two repositories in turn, so that both have the same machine.
func (s *server) compare(what string, small, many int, ask func(n, i int) error) (figure, error) {
	took := map[int][]time.Duration{}
	for i := range askedPages {
		for _, n := range []int{small, many} {
			began := time.Now()
			if err := ask(n, i); err != nil {
				return figure{}, err
			}
			took[n] = append(took[n], time.Since(began))
		}
	}
	a, b := median(took[small]), median(took[many])
	f := kept(fmt.Sprintf("a page of 100 of %s among %d, against one among %d", what, many, small), float64(b)/float64(a), mostOfSmall, ratio)
	f.Value += fmt.Sprintf(" (%v and %v, medians)", b.Round(time.Microsecond), a.Round(time.Microsecond))
	return f, nil
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func tagOf(i int) string { return fmt.Sprintf("v%07d", i) }

// fillPages makes the repositories that pages are of.
func fillPages(ctx context.Context, o options, data string, sizes [4]int) error {
	return filled(ctx, o, data, func(ctx context.Context, w *builder, b *batch) (err error) {
		for i, n := range sizes {
			repo, perImage := fmt.Sprintf("tags/n%d", n), tagsOfAnImage
			if i > 1 {
				repo, perImage = fmt.Sprintf("images/n%d", n), 1
			}
			err = errors.Join(err, w.plain(ctx, b, repo, n, perImage))
		}
		return err
	})
}

// plain makes a repository whose images are of a config alone, with so many tags in all.
func (w *builder) plain(ctx context.Context, b *batch, repo string, tags, perImage int) error {
	name, err := nameOf(repo)
	if err != nil {
		return err
	}
	err = b.step(ctx, func() error {
		if _, err := w.CreateRepository(ctx, name, registry.Settings{}); err != nil {
			return err
		}
		_, err := w.upload(ctx, name, common)
		return err
	})
	for done := 0; err == nil && done < tags; {
		err = b.step(ctx, func() error {
			for n := 0; n < max(perStep, perImage) && done < tags; n += perImage {
				var list []registry.Tag
				for range min(perImage, tags-done) {
					tag, err := registry.ParseTag(tagOf(done))
					if err != nil {
						return err
					}
					list, done = append(list, tag), done+1
				}
				if err := w.image(ctx, name, nil, done, list); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}
