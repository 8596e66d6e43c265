package registry

import (
	"context"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// clearDropped removes what deleted repositories held, in batches. Nobody can
// reach it any more, so it may take its time and begin again after a crash.
func (s *Service) clearDropped(ctx context.Context) error {
	for {
		var repos [][]string
		err := s.view(ctx, func(r storage.Reader) error {
			repos = nil
			for f, err := range dropped.Scan(r, table.Select{Limit: batch}) {
				if err != nil {
					return err
				}
				repos = append(repos, f.Key)
			}
			return nil
		})
		if err != nil || len(repos) == 0 {
			return err
		}
		for _, repo := range repos {
			if err := s.clear(ctx, repo); err != nil {
				return err
			}
		}
	}
}

// clear removes the rows of one deleted repository, its mark last.
func (s *Service) clear(ctx context.Context, repo []string) error {
	err := s.dropUploads(ctx, table.Select{Prefix: repo}, func(uploadRow) bool { return true })
	if err != nil {
		return err
	}
	for {
		left := batch
		err := s.update(ctx, func(tx storage.Tx) error {
			left = batch
			for _, step := range s.clearSteps() {
				n, err := step(tx, repo, left)
				if err != nil {
					return err
				}
				if left -= n; left == 0 {
					return nil
				}
			}
			return dropped.Delete(tx, repo...)
		})
		if err != nil || left > 0 {
			return err
		}
	}
}

// clearStep removes at most limit rows of a repository from one table.
type clearStep func(tx storage.Tx, repo []string, limit int) (n int, err error)

func (s *Service) clearSteps() []clearStep {
	return []clearStep{
		clearTable(images, deleteRow(images)),
		clearTable(manifests, deleteRow(manifests)),
		clearTable(tags, deleteRow(tags)),
		clearTable(imageTags, deleteRow(imageTags)),
		clearTable(layerUses, deleteRow(layerUses)),
		clearTable(children, deleteRow(children)),
		clearTable(referrers, deleteRow(referrers)),
		clearTable(repositoryDocuments, deleteRow(repositoryDocuments)),
		clearTable(replications, deleteReplication),
		clearTable(held, func(tx storage.Tx, f table.Found[heldRow]) error {
			return s.letGo(tx, f.Key[:3], f.Key[3])
		}),
	}
}

func clearTable[Row any](t table.Table[Row], remove func(storage.Tx, table.Found[Row]) error) clearStep {
	return func(tx storage.Tx, repo []string, limit int) (n int, err error) {
		for f, err := range t.Scan(tx, table.Select{Prefix: repo, Limit: limit}) {
			if err != nil {
				return n, err
			}
			if err := remove(tx, f); err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
}

func deleteRow[Row any](t table.Table[Row]) func(storage.Tx, table.Found[Row]) error {
	return func(tx storage.Tx, f table.Found[Row]) error { return t.Delete(tx, f.Key...) }
}
