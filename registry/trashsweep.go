package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// purgeBatch is how many images go for good in a transaction. Each may use many
// layers.
const purgeBatch = 20

// TrashDue says whether SweepTrash has anything to do.
func (s *Service) TrashDue(ctx context.Context) (bool, error) {
	page, _, err := s.trashEntries(ctx, TrashFilter{Before: s.trashLimit()}, "", 1)
	return len(page) > 0, err
}

// trashLimit is the time since which deleted things lie in the trash.
func (s *Service) trashLimit() time.Time { return s.now().Add(-s.live.Load().TrashWindow).Add(1) }

// SweepTrash lets go for good what has lain in the trash for Options.TrashWindow. What
// fails keeps nothing else; it comes back in the error.
func (s *Service) SweepTrash(ctx context.Context) error {
	_, err := s.EmptyTrash(ctx, TrashFilter{Before: s.trashLimit()})
	return err
}

// EmptyTrash lets go for good what the filter takes of the trash, whatever is
// protected, and returns how much that was. Bytes that nothing else uses are deleted
// in the background, those of repositories too. Call it again after an error: what is gone
// is gone.
func (s *Service) EmptyTrash(ctx context.Context, filter TrashFilter) (gone TrashSize, err error) {
	ctx = storage.UseReserve(ctx) // it makes room
	var failed []error
	for after, more := "", true; more && ctx.Err() == nil; more = after != "" {
		var page []trashEntry
		if page, after, err = s.trashEntries(ctx, filter, after, purgeBatch); err != nil {
			return gone, errors.Join(append(failed, err)...)
		}
		n, err := s.purgeAll(ctx, page)
		gone.Images, gone.Repositories, gone.Bytes = gone.Images+n.Images, gone.Repositories+n.Repositories, gone.Bytes+n.Bytes
		failed = append(failed, err)
	}
	s.wakeJanitor()
	return gone, errors.Join(append(failed, ctx.Err())...)
}

// purgeAll lets entries go for good, in one transaction or, where that fails, each in
// its own, so that one which cannot go keeps no other.
func (s *Service) purgeAll(ctx context.Context, page []trashEntry) (gone TrashSize, err error) {
	if len(page) == 0 {
		return gone, nil
	}
	err = s.update(ctx, func(tx storage.Tx) error {
		gone = TrashSize{}
		for _, e := range page {
			if err := s.purge(tx, e, &gone); err != nil {
				return fmt.Errorf("let %s of %s go from the trash: %w", e.what, e.name, err)
			}
		}
		return nil
	})
	failpoint.Hit(failpoint.TrashPurged)
	if err == nil || len(page) == 1 {
		return gone, err
	}
	failed := []error{err}
	gone = TrashSize{}
	for i := range page {
		n, err := s.purgeAll(ctx, page[i:i+1])
		if err != nil {
			failed = append(failed, err)
			continue
		}
		gone.Images, gone.Repositories, gone.Bytes = gone.Images+n.Images, gone.Repositories+n.Repositories, gone.Bytes+n.Bytes
	}
	return gone, errors.Join(failed...)
}

// purge lets what is in the trash go for good, if it is still there.
func (s *Service) purge(tx storage.Tx, e trashEntry, gone *TrashSize) error {
	if due, err := trashDue.Has(tx, e.key...); err != nil || !due {
		return err
	}
	t, there, err := s.trashed(tx, e)
	if err != nil {
		return err
	}
	if there {
		gone.add(t)
	}
	repo := e.repository()
	if e.what == wholeRepository {
		return errors.Join(
			trashSizes(tx, repo, false), dropSizes(tx, repo),
			trashedRepositories.Delete(tx, repo.trashKey()...), trashedUploads.Delete(tx, repo.key()...),
			trashDue.Delete(tx, e.key...), dropped.Put(tx, droppedRow{s.now().UTC()}, repo.key()...),
		)
	}
	used, err := repo.forgetTrashed(tx, t.Digest)
	if err != nil {
		return err
	}
	for _, d := range used {
		if err := s.letGoHidden(tx, repo, d); err != nil {
			return err
		}
	}
	return nil
}

// letGoHidden lets a layer go that the trash does not use any more, if it is still out
// of sight. Others are for the collection of what no image uses.
func (s *Service) letGoHidden(tx storage.Tx, repo repository, d digest.Digest) error {
	row, err := held.Get(tx, repo.key(d.String())...)
	if err != nil || !row.Hidden {
		return ignoreNotFound(err)
	}
	if needed, err := repo.inTrash(tx, d); err != nil || needed {
		return err
	}
	return s.letGo(tx, repo.key(), d.String())
}

// placeInTrash reads the place where a list of the trash goes on.
func placeInTrash(after string) ([]string, error) {
	parts := strings.Split(after, " ")
	if len(parts) != 5 {
		return nil, refuse(PageInvalid, "%.150q is no place in the trash", after)
	}
	return parts, nil
}
