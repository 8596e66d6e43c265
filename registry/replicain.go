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
	late = !p.Origin.after(row.died())
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
	return late, nil
}

// moveAway takes the tags of a push that comes after its image was deleted from the
// images that had them before: they moved to that image, and went with it. Immutable ones
// stay.
func (s *Service) moveAway(ctx context.Context, tx storage.Tx, p pushing) error {
	for _, tag := range p.Tags {
		if err := p.repo.bury(tx, tag.s, *p.Origin); err != nil {
			return err
		}
		named, err := tags.Get(tx, p.repo.key(tag.s)...)
		if errors.Is(err, storage.ErrNotFound) || (TagRule{p.repo.row.Mutability, p.repo.row.Exclusions}).Immutable(tag) {
			continue
		}
		if err != nil {
			return err
		}
		img, err := p.repo.image(tx, Ref{Digest: named.Digest})
		if err != nil {
			return err
		}
		if err := s.untag(ctx, tx, p.repo, tag, &img); err != nil {
			return err
		}
	}
	return nil
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
	if err == nil {
		return by.after(row.origin()) || !row.Gone && by == row.origin(), nil
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
	if err := p.repo.note(tx, p.digest.String(), *p.Origin); err != nil {
		return err
	}
	for _, tag := range p.Tags {
		if err := p.repo.note(tx, tag.s, *p.Origin); err != nil {
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
			return repo.bury(tx, cmp.Or(ref.Tag.s, ref.Digest.String()), o)
		}
		if err != nil {
			return err
		}
		if ref.Tag.IsZero() {
			return s.removeBefore(ctx, tx, repo, img, o, may)
		}
		known, err := repo.movedAt(tx, ref.Tag, img.digest)
		if err != nil || !o.after(known) {
			return err
		}
		if err := s.untagReplica(ctx, tx, repo, &img, ref.Tag, may); err != nil {
			return err
		}
		return repo.bury(tx, ref.Tag.s, o)
	})
}

// untagReplica takes a tag from an image, whose row it keeps, if it may.
func (s *Service) untagReplica(ctx context.Context, tx storage.Tx, repo repository, img *stored, tag Tag, may May) error {
	one := []Tag{tag}
	if err := may.mayLose(*img, one); err != nil {
		return err
	}
	if err := s.checkUnprotected(repo, *img, one); err != nil {
		return err
	}
	return s.untag(ctx, tx, repo, tag, img)
}

// removeBefore removes an image that was there at an origin's time, with its tags. One
// that came again since loses the tags that it had then.
func (s *Service) removeBefore(ctx context.Context, tx storage.Tx, repo repository, img stored, o Origin, may May) error {
	named, err := repo.tagsOf(tx, img.digest, "", 0)
	if err != nil {
		return err
	}
	known, err := repo.movedAt(tx, Tag{}, img.digest)
	if err != nil {
		return err
	}
	stays, older := !o.after(known), []Tag(nil)
	for _, tag := range named {
		at, err := repo.movedAt(tx, tag, img.digest)
		if err != nil {
			return err
		}
		if o.after(at) {
			older = append(older, tag)
		} else {
			stays = true
		}
	}
	if !stays {
		untold, err := s.untold(tx, repo, img.digest)
		if err != nil {
			return err
		}
		if _, err := s.remove(ctx, tx, repo, img, removal{may: may, cause: TrashedByRequest, replica: true}); err != nil {
			return err
		}
		if err := repo.buryImage(tx, img.digest, older, o); err != nil {
			return err
		}
		for _, to := range untold { // who sends the deletion may not know where its tags were
			r := Replica{Source: repo.name, RepositoryID: repo.row.ID, Digest: img.digest, To: to}
			if err := s.planLost(tx, repo, r, older); err != nil {
				return err
			}
		}
		return nil
	}
	for _, tag := range older {
		if err := s.untagReplica(ctx, tx, repo, &img, tag, may); err != nil {
			return err
		}
	}
	return repo.buryImage(tx, img.digest, older, o)
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
