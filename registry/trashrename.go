package registry

import (
	"context"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// renameTrashed gives the rows of a repository in the trash the name that it is to come
// back under, in batches. It is noted first, so that whoever restores it after a
// crash, under whatever name, does it again.
func (s *Service) renameTrashed(ctx context.Context, repo repository, as Name) error {
	rename := false
	err := s.update(ctx, func(tx storage.Tx) error {
		row, err := trashedRepositories.Get(tx, repo.trashKey()...)
		if err != nil {
			return ignoreNotFound(err)
		}
		rename = row.Renamed || as != repo.name
		if row.Renamed || !rename {
			return nil
		}
		row.Renamed = true
		return trashedRepositories.Put(tx, row, repo.trashKey()...)
	})
	if err != nil || !rename {
		return err
	}
	err = renameBy(ctx, s, held, repo, func(tx storage.Tx, f table.Found[heldRow]) error {
		return holders.Put(tx, holderRow{as.path}, f.Key[0], f.Key[1], f.Key[3], f.Key[2])
	})
	if err != nil {
		return err
	}
	err = renameBy(ctx, s, signings, repo, func(tx storage.Tx, f table.Found[signingRow]) error {
		if f.Row.State != SigningInProgress {
			return nil
		}
		return signingsDue.Put(tx, dueRow{as.path}, dueKey(f.Row.Due, f.Key)...)
	})
	if err != nil {
		return err
	}
	err = renameBy(ctx, s, scans, repo, func(tx storage.Tx, f table.Found[scanRow]) error {
		f.Row.Repository = as.path
		return f.Row.put(tx, f.Key)
	})
	if err != nil {
		return err
	}
	return renameBy(ctx, s, trash, repo, func(tx storage.Tx, f table.Found[trashRow]) error {
		return trashDue.Put(tx, dueRow{as.path}, trashDueKey(f.Row.At, f.Key[:3], f.Key[3])...)
	})
}

// renameBy calls fn for the rows that a table has of a repository, a batch in a
// transaction.
func renameBy[Row any](ctx context.Context, s *Service, t table.Table[Row], repo repository, fn func(storage.Tx, table.Found[Row]) error) error {
	sel := table.Select{Prefix: repo.key(), Limit: batch}
	for {
		n := 0
		err := s.update(ctx, func(tx storage.Tx) error {
			n = 0
			var page []table.Found[Row]
			for f, err := range t.Scan(tx, sel) {
				if err != nil {
					return err
				}
				page = append(page, f)
			}
			for _, f := range page {
				if err := fn(tx, f); err != nil {
					return err
				}
			}
			if n = len(page); n > 0 {
				sel.After = page[n-1].Key[3:]
			}
			return nil
		})
		if err != nil || n < batch {
			return err
		}
	}
}

// planAgain has an image replicated with all its tags that was waiting to be.
func (s *Service) planAgain(tx storage.Tx, repo repository, f table.Found[replicationRow]) error {
	d, err := digest.Parse(f.Key[3])
	if err != nil {
		return err
	}
	lane := Lane{ID{f.Key[4], f.Key[5]}, repo.name.id, repo.row.ID}
	for _, number := range f.Row.Waiting {
		if err := replicas.Delete(tx, lane.key(number)...); err != nil {
			return err
		}
	}
	f.Row.Waiting = nil
	if err := replications.Put(tx, f.Row, f.Key...); err != nil {
		return err
	}
	named, err := repo.tagsOf(tx, d, "", 0)
	if err != nil {
		return err
	}
	if len(named) == 0 {
		named = []Tag{{}}
	}
	for _, tag := range named {
		r := Replica{Source: repo.name, RepositoryID: repo.row.ID, Digest: d, Tag: tag, To: lane.To}
		if err := s.planMoved(tx, repo, r); err != nil {
			return err
		}
	}
	return nil
}
