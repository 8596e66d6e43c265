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
	due := sequenceKey(uint64(s.now().Add(after).UnixNano()))
	return restores.Put(tx, restoreRow{repo.name.path, img.row.ArchivedAt}, append([]string{due}, repo.key(img.digest.String())...)...)
}

// finishRestores makes active what is due, in batches.
func (s *Service) finishRestores(ctx context.Context) error {
	for {
		n := 0
		err := s.update(ctx, func(tx storage.Tx) error {
			n = 0
			for f, err := range restores.Scan(tx, table.Select{Limit: batch}) {
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
				if err := s.finishRestore(ctx, tx, f); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil || n < batch {
			return err
		}
	}
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
