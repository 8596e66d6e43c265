package registry

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// What another server sends is a push, or a deletion, like any other: by a principal,
// who is asked whether he may, held against quotas and tag rules. What its origin adds
// is that it may come too late, and that it goes no further.

// CheckOrigin refuses an origin of a server whose clock is so far ahead that others could
// not outdo it. Refusal: SettingInvalid.
func (s *Service) CheckOrigin(o Origin) error {
	if o.At.After(s.now().Add(maxAhead)) {
		return invalidSetting("origin", "%s is too far ahead of this server's clock", o.At.Format(time.RFC3339))
	}
	return nil
}

// AdmitReplica makes the repository that another server's image goes to if it is
// missing, as replication does: by a template that applies for it, or with ECR's
// defaults.
func (s *Service) AdmitReplica(ctx context.Context, name Name) error {
	if _, err := s.Repository(ctx, name); CodeOf(err) != RepositoryNotFound {
		return err
	}
	return s.update(ctx, func(tx storage.Tx) error {
		_, err := find(tx, name)
		if CodeOf(err) != RepositoryNotFound {
			return err
		}
		_, err = s.createFor(ctx, tx, name, ForReplication)
		return err
	})
}

// heed takes from a push of another server's the tags that have moved on here since, and
// says whether the image itself was deleted since.
func (p *pushing) heed(tx storage.Tx) (late bool, err error) {
	if p.Origin == nil {
		return false, nil
	}
	row, err := stamps.Get(tx, p.repo.key(p.digest.String())...)
	if ignoreNotFound(err) != nil {
		return false, err
	}
	if row.Gone && !p.Origin.after(row.origin()) {
		return true, nil
	}
	var left []Tag
	for _, tag := range p.Tags {
		wins, err := p.repo.outdone(tx, tag, p.digest, *p.Origin)
		if err != nil {
			return false, err
		}
		if wins {
			left = append(left, tag)
		}
	}
	p.Tags = left
	return false, nil
}

// outdone says whether a move of a tag to an image counts rather than what is known of
// the tag.
func (r repository) outdone(tx storage.Tx, tag Tag, to digest.Digest, by Origin) (bool, error) {
	if tag.IsZero() {
		return false, nil
	}
	row, err := stamps.Get(tx, r.key(tag.s)...)
	if ignoreNotFound(err) != nil {
		return false, err
	}
	if err == nil && row.Gone {
		return by.after(row.origin()), nil
	}
	named, err := tags.Get(tx, r.key(tag.s)...)
	if err != nil || named.Digest == to {
		return true, ignoreNotFound(err)
	}
	known, err := r.movedAt(tx, tag, named.Digest)
	return by.after(known), err
}

// noteOrigin keeps the origin of what another server pushed.
func (p *pushing) noteOrigin(tx storage.Tx) error {
	row := stampRow{At: p.Origin.At, Server: p.Origin.Server}
	if err := p.repo.note(tx, p.digest.String(), row); err != nil {
		return err
	}
	for _, tag := range p.Tags {
		if err := p.repo.note(tx, tag.s, row); err != nil {
			return err
		}
	}
	return nil
}

// lateAnswer is the outcome of a push that comes after the image was deleted.
func (p *pushing) lateAnswer() Pushed {
	return Pushed{Image: p.newRow().public(p.repo.name, p.digest), Tags: p.Tags, Body: p.Body, Existed: true}
}

// DeleteReplica does what another server did to a tag, or to an image that ref names
// without one: it removes it, unless it has come where it is since, and remembers for
// some days that it was. An image loses the tags that it had then, and goes itself if
// none is left. What is not there is no error. Refusals: those of DeleteImage and Untag,
// but ImageNotFound.
func (s *Service) DeleteReplica(ctx context.Context, name Name, ref Ref, o Origin, may May) error {
	ctx = storage.UseReserve(ctx)
	return s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		img, err := repo.image(tx, ref)
		if CodeOf(err) == ImageNotFound {
			return repo.bury(tx, []string{cmp.Or(ref.Tag.s, ref.Digest.String())}, o)
		}
		if err != nil {
			return err
		}
		if ref.Tag.IsZero() {
			return s.removeBefore(ctx, tx, repo, img, o, may)
		}
		_, err = s.untagBefore(ctx, tx, repo, img, []Tag{ref.Tag}, o, may)
		return err
	})
}

// untagBefore takes tags from an image that had them at an origin's time, and says which
// stay.
func (s *Service) untagBefore(ctx context.Context, tx storage.Tx, repo repository, img stored, list []Tag, o Origin, may May) (later []Tag, err error) {
	for _, tag := range list {
		known, err := repo.movedAt(tx, tag, img.digest)
		if err != nil {
			return nil, err
		}
		if !o.after(known) {
			later = append(later, tag)
			continue
		}
		one := []Tag{tag}
		if err := errors.Join(may.mayLose(img, one), s.checkUnprotected(repo, img, one)); err != nil {
			return nil, err
		}
		if err := s.untag(ctx, tx, repo, tag, &img); err != nil {
			return nil, err
		}
		if err := repo.bury(tx, []string{tag.s}, o); err != nil {
			return nil, err
		}
	}
	return later, nil
}

// removeBefore removes an image that was there at an origin's time, with its tags.
func (s *Service) removeBefore(ctx context.Context, tx storage.Tx, repo repository, img stored, o Origin, may May) error {
	named, err := repo.tagsOf(tx, img.digest, "", 0)
	if err != nil {
		return err
	}
	known, err := repo.movedAt(tx, Tag{}, img.digest)
	if err != nil {
		return err
	}
	stays := !o.after(known)
	for _, tag := range named {
		at, err := repo.movedAt(tx, tag, img.digest)
		if err != nil {
			return err
		}
		stays = stays || !o.after(at)
	}
	if stays {
		_, err := s.untagBefore(ctx, tx, repo, img, named, o, may)
		return err
	}
	_, err = s.remove(ctx, tx, repo, img, removal{may: may, cause: TrashedByRequest, replica: true})
	if err != nil {
		return err
	}
	return repo.bury(tx, buried(img.digest, named, true), o)
}

// tombstoneTime is how long it is known that something was deleted: longer than a push
// may be on its way.
const tombstoneTime = 14 * 24 * time.Hour

// SweepStamps forgets when tags and images came that are not there any more, some time
// after they went.
func (s *Service) SweepStamps(ctx context.Context) error {
	before, sel := s.now().Add(-tombstoneTime), table.Select{Limit: backfillPage}
	for {
		n := 0
		err := s.update(ctx, func(tx storage.Tx) error {
			var page []table.Found[stampRow]
			for f, err := range stamps.Scan(tx, sel) {
				if err != nil {
					return err
				}
				page = append(page, f)
			}
			for _, f := range page {
				if err := forgetStamp(tx, f, before); err != nil {
					return err
				}
			}
			if n = len(page); n > 0 {
				sel.After = page[n-1].Key
			}
			return nil
		})
		if err = cmp.Or(err, ctx.Err()); err != nil || n < backfillPage {
			return err
		}
	}
}

// forgetStamp removes a stamp that is older, if what it is of is not there.
func forgetStamp(tx storage.Tx, f table.Found[stampRow], before time.Time) error {
	if f.Row.At.After(before) {
		return nil
	}
	there, err := tags.Has(tx, f.Key...)
	if strings.Contains(f.Key[3], ":") {
		there, err = images.Has(tx, f.Key...)
	}
	if err != nil || there {
		return err
	}
	return stamps.Delete(tx, f.Key...)
}

// StampsKept says whether there is anything for SweepStamps to look at.
func (s *Service) StampsKept(ctx context.Context) (some bool, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		some = false
		for _, err := range stamps.Scan(r, table.Select{Limit: 1}) {
			some = err == nil
			return err
		}
		return nil
	})
	return some, err
}
