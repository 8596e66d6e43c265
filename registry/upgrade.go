package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// upgrades has what tells how far the upgrade of a store has come. Once all is done
// the row stays: what was counted once is not to be counted again.
var upgrades = table.New[upgradeRow]("upgrade", 1) // name

type upgradeRow struct {
	Step  int
	After []string `json:",omitempty"` // key of the last row that the step has seen
	Done  bool     `json:",omitempty"`
}

// sizesUpgrade is the name of the upgrade to format 2 of the data folder.
const sizesUpgrade = "sizes"

// upgradeStep looks at the rows behind a key, at most a batch of them, and returns the
// key of the last one, nil if there are none.
type upgradeStep func(tx storage.Tx, after []string) (last []string, err error)

// Upgrade brings a store that was written before sizes were counted into today's form:
// it counts them. It goes in batches, each of one transaction, and goes on where one
// before it ended or died; once it is done it does nothing. Nobody else may change the
// store meanwhile. Log is told how far it is; nil means nobody.
func Upgrade(ctx context.Context, index storage.Index, blobs storage.Blobs, log *slog.Logger) error {
	setDefault(&log, slog.New(slog.DiscardHandler))
	if err := deleteAllCondemned(ctx, index, blobs); err != nil {
		return fmt.Errorf("delete what was to be deleted: %w", err)
	}
	told, rows := time.Now(), 0
	for {
		var row upgradeRow
		err := index.Update(ctx, func(tx storage.Tx) (err error) {
			row, err = upgradeBatch(tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("count sizes: %w", err)
		}
		if row.Done {
			log.Info("sizes are counted")
			return nil
		}
		if rows += batch; time.Since(told) > upgradeTells {
			told = time.Now()
			log.Info("counting sizes", "step", row.Step+1, "of", len(upgradeSteps), "rows", rows)
		}
	}
}

// upgradeTells is how often an upgrade says how far it is.
const upgradeTells = 5 * time.Second

// upgradeSteps are what an upgrade does, one after the other.
var upgradeSteps = []upgradeStep{markDropped, countImages, countHolders, countContents, countUploadRows}

func upgradeBatch(tx storage.Tx) (upgradeRow, error) {
	row, err := upgrades.Get(tx, sizesUpgrade)
	if ignoreNotFound(err) != nil || row.Done {
		return row, err
	}
	if row.After, err = upgradeSteps[row.Step](tx, row.After); err != nil {
		return row, err
	}
	if row.After == nil {
		row.Step++
		row.Done = row.Step == len(upgradeSteps)
	}
	return row, upgrades.Put(tx, row, sizesUpgrade)
}

// eachAfter calls fn for at most a batch of rows behind a key, and returns the key of
// the last one.
func eachAfter[Row any](tx storage.Tx, t table.Table[Row], after []string, fn func(table.Found[Row]) error) (last []string, err error) {
	var page []table.Found[Row]
	for f, err := range t.Scan(tx, table.Select{After: after, Limit: batch}) {
		if err != nil {
			return nil, err
		}
		f.Key = slices.Clone(f.Key)
		page = append(page, f)
	}
	for _, f := range page {
		if err := fn(f); err != nil {
			return nil, err
		}
		last = f.Key
	}
	return last, nil
}

func markDropped(tx storage.Tx, after []string) ([]string, error) {
	return eachAfter(tx, dropped, after, func(f table.Found[droppedRow]) error {
		return repositorySizes.Put(tx, sizeRow{Account: f.Key[0], Region: f.Key[1], Dropped: true}, f.Key[2])
	})
}

func countImages(tx storage.Tx, after []string) ([]string, error) {
	sums := newSizeSums()
	last, err := eachAfter(tx, images, after, func(f table.Found[imageRow]) error {
		row, err := countLayers(tx, f)
		if err != nil {
			return err
		}
		gone, err := dropped.Has(tx, f.Key[:3]...)
		if err == nil && !gone {
			sums.add(f.Key, row.counted())
		}
		return err
	})
	return last, errors.Join(err, sums.put(tx))
}

// countLayers notes in the row of an image how much it uses. A manifest that cannot be
// read is not the upgrade's to tell of: what looks for damage does.
func countLayers(tx storage.Tx, f table.Found[imageRow]) (imageRow, error) {
	repo := repository{Name{id: ID{f.Key[0], f.Key[1]}}, repositoryRow{ID: f.Key[2]}}
	d, err := digest.Parse(f.Key[3])
	if err != nil {
		return f.Row, fmt.Errorf("key of image: %w", err)
	}
	body, err := repo.manifestBytes(tx, stored{d, f.Row})
	if err != nil {
		return f.Row, err
	}
	m, err := manifest.Reread(f.Row.MediaType, body)
	if err != nil {
		return f.Row, nil
	}
	for layer := range layersOf(m) {
		used, err := usesBy(f.Row.status()).Has(tx, repo.key(layer.String(), f.Key[3])...)
		if err != nil {
			return f.Row, err
		}
		if !used {
			continue
		}
		row, err := held.Get(tx, repo.key(layer.String())...)
		if ignoreNotFound(err) != nil {
			return f.Row, err
		}
		f.Row.Layers += row.Size
	}
	return f.Row, images.Put(tx, f.Row, f.Key...)
}

// countHolders goes by holders, in which the repositories of a registry that hold the
// same layer stand together.
func countHolders(tx storage.Tx, after []string) ([]string, error) {
	sums, before := newSizeSums(), after
	last, err := eachAfter(tx, holders, after, func(f table.Found[holderRow]) error {
		content, err := contents.Get(tx, f.Key[2])
		if err != nil {
			return fmt.Errorf("content of %s: %w", f.Key[2], err)
		}
		if content.By, err = content.By.with(f.Key[3]); err != nil {
			return err
		}
		first := before == nil || !slices.Equal(before[:3], f.Key[:3])
		before = f.Key
		sums.addHolder([]string{f.Key[0], f.Key[1], f.Key[3]}, content, first)
		return contents.Put(tx, content, f.Key[2])
	})
	return last, errors.Join(err, sums.put(tx))
}

func countContents(tx storage.Tx, after []string) ([]string, error) {
	var sum storeSizeRow
	last, err := eachAfter(tx, contents, after, func(f table.Found[contentRow]) error {
		sum.Contents += f.Row.Size
		return nil
	})
	return last, errors.Join(err, resizeStore(tx, sum))
}

func countUploadRows(tx storage.Tx, after []string) ([]string, error) {
	var sum storeSizeRow
	last, err := eachAfter(tx, uploads, after, func(f table.Found[uploadRow]) error {
		sum.Uploads += f.Row.Offset
		return nil
	})
	return last, errors.Join(err, resizeStore(tx, sum))
}

// deleteAllCondemned finishes what a server would: rows of condemned blobs without a
// size are not kept on.
func deleteAllCondemned(ctx context.Context, index storage.Index, blobs storage.Blobs) error {
	for {
		var ids []string
		err := index.View(ctx, func(r storage.Reader) (err error) {
			ids, err = firstParts(condemned, r, 0, table.Select{Limit: batch})
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := blobs.Delete(ctx, id); err != nil {
				return err
			}
		}
		if err := index.Update(ctx, func(tx storage.Tx) error { return forgetCondemned(tx, ids) }); err != nil {
			return err
		}
	}
}
