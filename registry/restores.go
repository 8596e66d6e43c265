package registry

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// restoreLater has an image brought back after a time.
func (s *Service) restoreLater(tx storage.Tx, repo *repository, img *stored, after time.Duration) error {
	img.row.Status = Activating
	if err := images.Put(tx, img.row, repo.key(img.digest.String())...); err != nil {
		return err
	}
	return s.putRestore(tx, *repo, img.digest.String(), img.row, after)
}

// putRestore notes when an image that is on its way is to be back.
func (s *Service) putRestore(tx storage.Tx, repo repository, d string, img imageRow, after time.Duration) error {
	due := sequenceKey(uint64(s.now().Add(after).UnixNano()))
	return restores.Put(tx, restoreRow{repo.name.path, img.ArchivedAt}, append([]string{due}, repo.key(d)...)...)
}

// finishRestores makes active what is due, in batches. It writes only then: it
// looks often, and a write costs the disk something even if it changes nothing.
func (s *Service) finishRestores(ctx context.Context) error {
	for {
		due := false
		err := s.view(ctx, func(r storage.Reader) error {
			return s.eachDue(r, 1, func(table.Found[restoreRow]) error {
				due = true
				return nil
			})
		})
		if err != nil || !due {
			return err
		}
		err = s.update(ctx, func(tx storage.Tx) error {
			return s.eachDue(tx, batch, func(f table.Found[restoreRow]) error { return s.finishRestore(ctx, tx, f) })
		})
		if err != nil {
			return err
		}
	}
}

// eachDue calls fn for restores whose time has come, at most limit.
func (s *Service) eachDue(rd storage.Reader, limit int, fn func(table.Found[restoreRow]) error) error {
	for f, err := range restores.Scan(rd, table.Select{Limit: limit}) {
		if err != nil {
			return err
		}
		due, err := strconv.ParseInt(f.Key[0], 16, 64)
		if err != nil {
			return fmt.Errorf("key of a restore: %w", err)
		}
		if due > s.now().UnixNano() {
			return nil
		}
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

// finishRestore makes an image active whose time has come, if it is still there
// and on its way.
func (s *Service) finishRestore(ctx context.Context, tx storage.Tx, f table.Found[restoreRow]) error {
	if err := restores.Delete(tx, f.Key...); err != nil {
		return err
	}
	repo, err := find(tx, Name{ID{f.Key[1], f.Key[2]}, f.Row.Repository})
	if CodeOf(err) == RepositoryNotFound || err == nil && repo.row.ID != f.Key[3] {
		return nil
	}
	if err != nil {
		return err
	}
	d, err := digest.Parse(f.Key[4])
	if err != nil {
		return fmt.Errorf("key of a restore: %w", err)
	}
	img, err := repo.image(tx, Ref{Digest: d})
	if CodeOf(err) == ImageNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	// It may have come back by a push, and gone into the archive again.
	if img.row.status() != Activating || !img.row.ArchivedAt.Equal(f.Row.ArchivedAt) {
		return nil
	}
	return s.bringBack(ctx, tx, &repo, &img)
}
