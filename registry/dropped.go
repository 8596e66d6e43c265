package registry

import (
	"context"
	"errors"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/failpoint"
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
		failpoint.Hit(failpoint.DroppedFound)
		for _, repo := range repos {
			if err := s.clear(ctx, repo); err != nil {
				return err
			}
		}
	}
}

// clear removes the rows of one deleted repository, its mark last.
func (s *Service) clear(ctx context.Context, repo []string) error {
	_, err := s.dropUploads(ctx, table.Select{Prefix: repo}, func(uploadRow) bool { return true })
	if err != nil {
		return err
	}
	return s.clearBy(ctx, repo, s.clearSteps(), func(tx storage.Tx, key ...string) error {
		return errors.Join(repositorySizes.Delete(tx, key[2]), dropped.Delete(tx, key...))
	})
}

// clearBy takes steps under a key, a batch of rows in a transaction, and then
// removes the row that says that they are to be taken.
func (s *Service) clearBy(ctx context.Context, key []string, steps []clearStep, done func(storage.Tx, ...string) error) error {
	for {
		left := batch
		err := s.update(ctx, func(tx storage.Tx) error {
			left = batch
			for _, step := range steps {
				n, err := step(tx, key, left)
				if err != nil {
					return err
				}
				if left -= n; left == 0 {
					return nil
				}
			}
			return done(tx, key...)
		})
		if err != nil || left > 0 {
			return err
		}
	}
}

// clearStep removes at most limit rows under a key from one table.
type clearStep func(tx storage.Tx, key []string, limit int) (n int, err error)

func (s *Service) clearSteps() []clearStep {
	return []clearStep{
		clearTable(images, deleteRow(images)),
		clearTable(manifests, deleteRow(manifests)),
		clearTable(manifestDamages, deleteRow(manifestDamages)),
		clearTable(tags, deleteRow(tags)),
		clearTable(imageTags, deleteRow(imageTags)),
		clearTable(layerUses, deleteRow(layerUses)),
		clearTable(idleUses, deleteRow(idleUses)),
		clearTable(trashUses, deleteRow(trashUses)),
		clearTable(trash, func(tx storage.Tx, f table.Found[trashRow]) error {
			return errors.Join(trashDue.Delete(tx, trashDueKey(f.Row.At, f.Key[:3], f.Key[3])...), trash.Delete(tx, f.Key...))
		}),
		clearTable(children, deleteRow(children)),
		clearTable(referrers, deleteRow(referrers)),
		clearTable(pendings, deleteRow(pendings)),
		clearTable(pendingChunks, deleteRow(pendingChunks)),
		clearTable(pendingLayers, deleteRow(pendingLayers)),
		clearTable(absentChildren, deleteRow(absentChildren)),
		clearTable(mirroredImages, deleteRow(mirroredImages)),
		clearTable(mirroredTags, deleteRow(mirroredTags)),
		clearTable(repositoryDocuments, deleteRow(repositoryDocuments)),
		clearTable(replications, deleteReplication),
		clearTable(signings, deleteSigning),
		clearTable(scans, s.deleteScan),
		clearTable(lifecycles, func(tx storage.Tx, f table.Found[lifecycleRow]) error {
			return errors.Join(lifecyclesDue.Delete(tx, dueKey(f.Row.Since, f.Key)...), lifecycles.Delete(tx, f.Key...))
		}),
		clearTable(previews, func(tx storage.Tx, f table.Found[previewRow]) error {
			return errors.Join(previewsDue.Delete(tx, dueKey(f.Row.Due, f.Key)...), previews.Delete(tx, f.Key...))
		}),
		clearTable(decisions, deleteRow(decisions)),
		clearTable(decided, deleteRow(decided)),
		clearTable(oldPlans, deleteRow(oldPlans)),
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
