package registry

import (
	"context"
	"fmt"

	"github.com/seed-78150930/berth/storage"
)

// used is what the quotas on bytes are held against: what images in sight have, layers
// that no image has used yet, and, of what is still to come, open uploads. So what was
// let in stays within the quotas whatever images are made of it, but that one layer
// counts for each image.
func (row sizeRow) used() int64 { return row.Logical + row.Fresh }

// checkQuota refuses what has made a repository or its registry larger than it may be,
// in the transaction that does. Open uploads count.
func (s *Service) checkQuota(rd storage.Reader, repo repository) error {
	if !s.Limits().quotas() {
		return nil
	}
	if err := s.countUploads(rd); err != nil {
		return err
	}
	return s.checkOpen(rd, repo, s.sessions.openIn(repo.row.ID, repo.name.id))
}

// checkKept is checkQuota for an upload that becomes a layer. It was let in when it was
// an open one, so it goes before those that are open now.
func (s *Service) checkKept(rd storage.Reader, repo repository) error {
	return s.checkOpen(rd, repo, openBytes{})
}

func (s *Service) checkOpen(rd storage.Reader, repo repository, open openBytes) error {
	limits := s.Limits()
	if !limits.quotas() {
		return nil
	}
	of, err := sizesOf(rd, repo.name, repo.row.ID)
	if err != nil {
		return err
	}
	return limits.over(repo.name, of, open)
}

// quotas says whether any on bytes is set.
func (l Limits) quotas() bool {
	return l.RepositoryBytes > 0 || l.RegistryBytes > 0
}

// checkImages refuses an image that makes them too many for a registry.
func (s *Service) checkImages(rd storage.Reader, name Name) error {
	limit := int64(s.Limits().RegistryImages)
	if limit <= 0 {
		return nil
	}
	row, err := registrySizes.Get(rd, name.id.Account, name.id.Region)
	if err != nil || row.Images <= limit {
		return err
	}
	e := refuse(TooManyInRegistry, "registry %s of %s holds %d images, as many as it may", name.id.Account, name.id.Region, limit)
	e.Name, e.Limit = name, limit
	return e
}

// quotaSizes are the rows that quotas are held against.
type quotaSizes struct{ repository, registry sizeRow }

func sizesOf(rd storage.Reader, name Name, id string) (of quotaSizes, err error) {
	if of.repository, err = repositorySizes.Get(rd, id); ignoreNotFound(err) != nil {
		return of, err
	}
	of.registry, err = registrySizes.Get(rd, name.id.Account, name.id.Region)
	return of, ignoreNotFound(err)
}

// room is how many bytes more there may be, less than none if there are too many.
func (l Limits) room(of quotaSizes, open openBytes) int64 {
	room := int64(1<<63 - 1)
	if l.RepositoryBytes > 0 {
		room = min(room, l.RepositoryBytes-of.repository.used()-open.repository)
	}
	if l.RegistryBytes > 0 {
		room = min(room, l.RegistryBytes-of.registry.used()-open.registry)
	}
	return room
}

func (l Limits) over(name Name, of quotaSizes, open openBytes) error {
	if l.room(of, open) >= 0 {
		return nil
	}
	e := refuse(QuotaExceeded, "repository %q would hold more than the %d bytes that it may; images, layers that none uses yet and open uploads count", name, l.RepositoryBytes)
	e.Name, e.Limit, e.Field = name, l.RepositoryBytes, "repository"
	if l.RepositoryBytes > 0 && of.repository.used()+open.repository > l.RepositoryBytes {
		return e
	}
	e.Limit, e.Field = l.RegistryBytes, "registry"
	e.Msg = fmt.Sprintf("registry %s of %s would hold more than the %d bytes that it may; images, layers that none uses yet and open uploads count", name.id.Account, name.id.Region, l.RegistryBytes)
	return e
}

// checkBegin refuses an upload where nothing more has room.
func (s *Service) checkBegin(ctx context.Context, repo repository) error {
	if !s.Limits().quotas() {
		return nil
	}
	if err := s.knowUploads(ctx); err != nil {
		return err
	}
	open := s.sessions.openIn(repo.row.ID, repo.name.id)
	open.repository++
	open.registry++
	return s.view(ctx, func(r storage.Reader) error { return s.checkOpen(r, repo, open) })
}

// reserveTries is how often room is asked for: what another request has reserved and is
// about to give back, or has just become a layer, may have been in the way.
const reserveTries = 3

// reserve counts bytes that an upload is about to get: all of them or, if part says so,
// as many as there is room for, and at least one. They are counted before the rows
// are read, and what a finished upload was is counted in a row before it is no open
// one any more: so of requests at the same time none sees too little, and two that do
// not fit together are not both let in.
func (s *Service) reserve(ctx context.Context, u *session, want int64, part bool) (err error) {
	had := u.counted
	for range reserveTries {
		open := s.sessions.count(u, u.row.Offset+want)
		fits, refused := s.fits(ctx, u, want, part, open)
		if refused == nil {
			s.sessions.count(u, u.row.Offset+fits)
			return nil
		}
		s.sessions.count(u, had)
		if err = refused; CodeOf(err) != QuotaExceeded {
			return err
		}
	}
	return err
}

// fits is how many of the bytes that an upload wants have room, open being all that
// are counted with them.
func (s *Service) fits(ctx context.Context, u *session, want int64, part bool, open openBytes) (int64, error) {
	limits := s.Limits()
	if !limits.quotas() {
		return want, nil
	}
	err := s.view(ctx, func(r storage.Reader) error {
		of, err := sizesOf(r, u.name, u.repo)
		if err != nil {
			return err
		}
		if short := -limits.room(of, open); part && short > 0 && short < want {
			want -= short
			return nil
		}
		return limits.over(u.name, of, open)
	})
	return want, err
}

// reserved is how many bytes more the upload may get without another question.
func (u *session) reserved() int64 { return u.counted - u.row.Offset }

// refuseWhole takes back what a request sent that went beyond a quota.
func (s *Service) refuseWhole(ctx context.Context, u *session, before mark) error {
	if err := u.reset(before); err != nil {
		return err
	}
	if err := s.trim(ctx, u); err != nil {
		return err
	}
	if u.saved == nil || u.unsaved() == 0 {
		return nil
	}
	u.dirty = true
	return s.checkpoint(ctx, u)
}
