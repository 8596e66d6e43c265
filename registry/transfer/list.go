package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/pattern"
	"github.com/seed-78150930/berth/registry/peer"
)

// repositories are those that are wanted, each with the references that are wanted of
// it; none means all of its images.
func (c *copier) repositories(ctx context.Context) ([]*job, error) {
	chosen := &selection{copier: c, names: map[string]*job{}}
	for _, w := range c.Wanted {
		if !strings.Contains(w.Repository, "*") {
			chosen.add(w.Repository, w.Reference)
			continue
		}
		found := false
		for repo, err := range c.Listed.Repositories(ctx) {
			if err != nil {
				return nil, fmt.Errorf("the repositories of the source: %w", err)
			}
			if pattern.Match(w.Repository, repo) {
				chosen.add(repo, w.Reference)
				found = true
			}
		}
		if !found {
			c.tally.note("the source has no repository that is called like %s", w.Repository)
		}
	}
	return chosen.jobs, nil
}

// selection are the repositories that were wanted so far.
type selection struct {
	*copier
	jobs  []*job
	names map[string]*job
}

// add wants an image of a repository or, without a reference, all of them.
func (s *selection) add(repo, ref string) {
	j, known := s.names[repo]
	switch {
	case !known:
		j = &job{from: repo, to: s.Rename(repo), explicit: ref != "" || s.Tags != ""}
		j.made = once(func(ctx context.Context) error { return s.settings.create(ctx, s.copier, j) })
		s.names[repo] = j
		s.jobs = append(s.jobs, j)
	case ref == "" || len(j.refs) == 0: // all of them are wanted
		j.explicit, j.refs = s.Tags != "", nil
		return
	}
	if ref != "" && !slices.Contains(j.refs, ref) {
		j.refs = append(j.refs, ref)
	}
}

// once has a thing done once; all get its error.
func once(fn func(context.Context) error) func(context.Context) error {
	all := newFlights[struct{}]()
	return func(ctx context.Context) error {
		return all.do(ctx, struct{}{}, func() error { return fn(ctx) })
	}
}

// list finds the images of repositories. One whose images cannot be listed is told of
// and left out.
func (c *copier) list(ctx context.Context, repos []*job) []*job {
	var listing sync.WaitGroup
	turns := make(chan struct{}, c.Jobs)
	errs := make([]error, len(repos))
	for i, j := range repos {
		turns <- struct{}{}
		listing.Go(func() {
			defer func() { <-turns }()
			errs[i] = c.fill(ctx, j)
		})
	}
	listing.Wait()
	var listed []*job
	for i, j := range repos {
		if errs[i] != nil {
			c.tally.fail(ctx, j.from, "", errs[i])
			continue
		}
		c.tally.add(len(j.refs))
		listed = append(listed, j)
	}
	c.tally.listed()
	return listed
}

// fill finds the images of a repository. One of which some are asked for by name has
// them already; one with settings is made though it may be empty.
func (c *copier) fill(ctx context.Context, j *job) error {
	if len(j.refs) == 0 {
		refs, err := c.Listed.References(ctx, j.from)
		if err != nil {
			return fmt.Errorf("its images cannot be listed: %w", err)
		}
		for _, n := range refs.Notes {
			c.tally.note("%s: %s", j.from, n)
		}
		j.whole = refs.Whole && !j.explicit
		for _, tag := range refs.Tags {
			if c.Tags == "" || pattern.Match(c.Tags, tag) {
				j.refs = append(j.refs, tag)
			}
		}
		if c.Tags == "" {
			for _, d := range refs.Untagged {
				j.refs = append(j.refs, d.String())
			}
		}
	}
	if c.settings.reads() && !c.DryRun {
		return j.made(ctx)
	}
	return nil
}

// FromRegistry is the catalogue of a registry, by the distribution protocol, which
// tells of tags alone.
func FromRegistry(r *peer.Registry) Catalogue { return tagged{r} }

type tagged struct{ *peer.Registry }

// References implements Catalogue.
func (t tagged) References(ctx context.Context, repo string) (refs References, err error) {
	for tag, err := range t.Tags(ctx, repo) {
		if err != nil {
			return refs, err
		}
		refs.Tags = append(refs.Tags, tag)
	}
	return refs, nil
}

// isDigest says whether a reference is a digest.
func isDigest(ref string) bool {
	_, err := digest.Parse(ref)
	return err == nil
}

// isGone says that a thing is not at the source.
func isGone(err error) bool { return errors.Is(err, peer.ErrNotFound) }
