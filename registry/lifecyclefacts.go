package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// LifecycleFacts are what lifecycle policies may ask of a repository's images, as
// of one moment. Refusal: RepositoryNotFound.
func (s *Service) LifecycleFacts(ctx context.Context, name Name) ([]lifecycle.Facts, error) {
	repo, err := s.repository(ctx, name)
	if err != nil {
		return nil, err
	}
	all, err := s.lifecycleFacts(ctx, repo)
	if err != nil {
		return nil, err
	}
	return all.list, nil
}

// repository finds a repository's row. Refusal: RepositoryNotFound.
func (s *Service) repository(ctx context.Context, name Name) (repo repository, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err = find(r, name)
		return err
	})
	return repo, err
}

// allFacts are the facts of a repository's images.
type allFacts struct {
	list      []lifecycle.Facts
	at        map[digest.Digest]int  // index in list
	returning map[digest.Digest]bool // on their way back from the archive
}

// lifecycleFacts reads a repository's images page by page, each in a view of its
// own, and then, by the events written since it began, once more what has changed
// meanwhile: what it returns is true at one moment, the last.
func (s *Service) lifecycleFacts(ctx context.Context, repo repository) (*allFacts, error) {
	all := &allFacts{at: map[digest.Digest]int{}, returning: map[digest.Digest]bool{}}
	var began uint64
	err := s.view(ctx, func(r storage.Reader) error {
		seq, err := sequences.Get(r, eventSequence)
		began = seq.Last
		return ignoreNotFound(err)
	})
	for after, more := "", true; more && err == nil; {
		after, more, err = s.factsAfter(ctx, repo, all, after)
	}
	for more := true; more && err == nil; {
		began, more, err = s.factsSince(ctx, repo, all, began)
	}
	if err != nil {
		return nil, err
	}
	all.list = slices.DeleteFunc(all.list, func(f lifecycle.Facts) bool { return f.Digest.IsZero() })
	all.at = nil // no longer the indexes
	s.protect(repo, all.list)
	return all, nil
}

// factsAfter reads the images after a digest, a batch of them.
func (s *Service) factsAfter(ctx context.Context, repo repository, all *allFacts, after string) (last string, more bool, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		if err := repo.checkThere(r); err != nil {
			return err
		}
		sel := table.Select{Prefix: repo.key(), Limit: batch}
		if after != "" {
			sel.After = []string{after}
		}
		n := 0
		for f, err := range images.Scan(r, sel) {
			if err != nil {
				return err
			}
			d, err := digest.Parse(f.Key[3])
			if err != nil {
				return fmt.Errorf("key of image: %w", err)
			}
			if err := all.read(r, repo, stored{d, f.Row}); err != nil {
				return err
			}
			last, n = f.Key[3], n+1
		}
		more = n == batch
		return nil
	})
	return last, more, err
}

// checkThere refuses with RepositoryNotFound where a repository is not what it
// was read as: deleted, or another of that name.
func (r repository) checkThere(rd storage.Reader) error {
	now, err := find(rd, r.name)
	if err == nil && now.row.ID != r.row.ID {
		return repositoryNotFound(r.name)
	}
	return err
}

// factsSince reads again what the events after a sequence number concern, in one
// view. more says that there may be others.
func (s *Service) factsSince(ctx context.Context, repo repository, all *allFacts, after uint64) (last uint64, more bool, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		last = after
		if err := repo.checkThere(r); err != nil {
			return err
		}
		changed, moved, n := map[digest.Digest]bool{}, map[string]bool{}, 0
		for f, err := range events.Scan(r, table.Select{After: []string{sequenceKey(after)}, Limit: batch}) {
			if err != nil {
				return err
			}
			e, err := f.Row.event(f.Key[0])
			if err != nil {
				return err
			}
			last, n = e.Sequence, n+1
			if e.RepositoryID == repo.row.ID && !e.Digest.IsZero() {
				changed[e.Digest] = true
				moved[e.Tag.s] = true
			}
		}
		more = n == batch
		all.holders(moved, changed)
		for d := range changed {
			if err := all.readAgain(r, repo, d); err != nil {
				return err
			}
		}
		return nil
	})
	return last, more, err
}

// holders adds the images that were read with some tag: it may have left them.
func (all *allFacts) holders(moved map[string]bool, to map[digest.Digest]bool) {
	if len(moved) == 0 {
		return
	}
	for _, f := range all.list {
		if slices.ContainsFunc(f.Tags, func(tag string) bool { return moved[tag] }) {
			to[f.Digest] = true
		}
	}
}

// readAgain reads an image, if it is there, and what it names if it is an index.
func (all *allFacts) readAgain(rd storage.Reader, repo repository, d digest.Digest) error {
	img, err := repo.image(rd, Ref{Digest: d})
	if CodeOf(err) == ImageNotFound {
		if i, there := all.at[d]; there {
			all.list[i] = lifecycle.Facts{}
			delete(all.at, d)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := all.read(rd, repo, img); err != nil {
		return err
	}
	refs, err := repo.references(rd, img, usesBy(img.row.status()))
	if err != nil {
		return err
	}
	for _, d := range refs.children {
		child, err := repo.image(rd, Ref{Digest: d})
		if CodeOf(err) == ImageNotFound {
			continue
		}
		if err == nil {
			err = all.read(rd, repo, child)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads the facts of an image, in place of those that were read before.
func (all *allFacts) read(rd storage.Reader, repo repository, img stored) error {
	f, err := repo.facts(rd, img)
	if err != nil {
		return err
	}
	i, there := all.at[img.digest]
	if there {
		all.list[i] = f
	} else {
		all.at[img.digest] = len(all.list)
		all.list = append(all.list, f)
	}
	delete(all.returning, img.digest)
	if img.row.status() == Activating {
		all.returning[img.digest] = true
	}
	return nil
}

// facts reads the facts of an image.
func (r repository) facts(rd storage.Reader, img stored) (f lifecycle.Facts, err error) {
	row := img.row
	f = lifecycle.Facts{
		Digest: img.digest, PushedAt: row.PushedAt, PulledAt: row.PulledAt, ActivatedAt: row.ActivatedAt, ArchivedAt: row.ArchivedAt,
		TaggedAt: row.TaggedAt, Archived: row.status() != Active, Subject: row.Subject,
	}
	if f.Tags, err = r.tagNames(rd, img); err != nil {
		return f, err
	}
	f.Parents, err = lastParts(children.Scan(rd, table.Select{Prefix: r.key(img.digest.String())}))
	return f, err
}

// tagNames are the tags of an image in byte order.
func (r repository) tagNames(rd storage.Reader, img stored) (names []string, err error) {
	if img.row.Tags == 0 {
		return nil, nil
	}
	list, err := r.tagsOf(rd, img.digest, "", 0)
	for _, tag := range list {
		names = append(names, tag.s)
	}
	return names, err
}
