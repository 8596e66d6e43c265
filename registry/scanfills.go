package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Beside enhanced scans there are images that nobody pushes and that are to be scanned all
// the same: those that were there before a rule took them, and all that came lately when
// more is known of vulnerabilities. They are looked for a page at a time, in a transaction
// that also notes how far that came, so it goes on where it was after a restart.

// scanFillPage is how many images are looked at in one transaction.
const scanFillPage = 100

// FillScans has images scanned that were there before a rule of enhanced scans took them:
// once for each change of a registry's configuration.
func (s *Service) FillScans(ctx context.Context) error {
	ids, err := s.scanRegistries(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		for done := false; !done; {
			err := s.update(ctx, func(tx storage.Tx) (err error) {
				done, err = s.fillScansPage(tx, id)
				return err
			})
			if err = cmp.Or(err, ctx.Err()); err != nil {
				return fmt.Errorf("look for images to scan in %s of %s: %w", id.Account, id.Region, err)
			}
		}
	}
	return nil
}

// ScanFillDue says whether there is anything for FillScans to look at.
func (s *Service) ScanFillDue(ctx context.Context) (due bool, err error) {
	ids, err := s.scanRegistries(ctx)
	return len(ids) > 0, err
}

// scanRegistries are the registries whose images were not gone through since they were
// configured.
func (s *Service) scanRegistries(ctx context.Context) (ids []ID, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		ids = nil
		for f, err := range documents.Scan(r, table.Select{}) {
			if err != nil {
				return err
			}
			if f.Key[2] != scanningKind || f.Row.Text == "" {
				continue
			}
			id := ID{f.Key[0], f.Key[1]}
			c, err := scanningOf(r, id)
			if err != nil {
				return err
			}
			row, err := scanFills.Get(r, id.Account, id.Region)
			if ignoreNotFound(err) != nil {
				return err
			}
			if c.Type == scan.Enhanced && !(row.Done && row.Of == scanFillOf(c)) || c.Type == scan.Basic && err == nil {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids, err
}

// scanFillOf says in words what is scanned.
func scanFillOf(c scan.Settings) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("settings of scans: %v", err)) // plain structs always have a form
	}
	return string(text)
}

func (s *Service) fillScansPage(tx storage.Tx, id ID) (done bool, err error) {
	c, err := scanningOf(tx, id)
	if err != nil {
		return false, err
	}
	if c.Type != scan.Enhanced { // when it is again, all is looked at anew
		return true, scanFills.Delete(tx, id.Account, id.Region)
	}
	row, err := scanFills.Get(tx, id.Account, id.Region)
	if ignoreNotFound(err) != nil {
		return false, err
	}
	if of := scanFillOf(c); row.Of != of {
		row = scanFillRow{Of: of}
	}
	for left := scanFillPage; left > 0 && !row.Done; {
		n, err := s.fillScansOf(tx, id, c, &row, left)
		if err != nil {
			return false, err
		}
		left -= n
	}
	return row.Done, scanFills.Put(tx, row, id.Account, id.Region)
}

// fillScansOf looks at the next images, at most limit, of the repository at which the
// row is, or goes on to the next one. It returns how much that was.
func (s *Service) fillScansOf(tx storage.Tx, id ID, c scan.Settings, row *scanFillRow, limit int) (n int, err error) {
	if row.Digest == "" {
		next, more, err := pageOf(repositories.Scan(tx, id.selectAfter(row.Repository, 1)), 1, func(f table.Found[repositoryRow]) string { return f.Key[2] })
		if err != nil || len(next) == 0 {
			row.Done = err == nil && !more
			return 1, err
		}
		row.Repository = next[0]
	}
	repo, err := find(tx, Name{id, row.Repository})
	if CodeOf(err) == RepositoryNotFound || err == nil && repo.scanned(c).Frequency == scan.ByHand {
		row.Digest = ""
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	sel := table.Select{Prefix: repo.key(), Limit: limit}
	if row.Digest != "" {
		sel.After = []string{row.Digest}
	}
	var page []table.Found[imageRow]
	for f, err := range images.Scan(tx, sel) {
		if err != nil {
			return 0, err
		}
		page = append(page, f)
	}
	for _, f := range page {
		if err := s.fillScan(tx, repo, f); err != nil {
			return 0, err
		}
	}
	row.Digest = ""
	if len(page) == limit {
		row.Digest = page[limit-1].Key[3]
	}
	return len(page) + 1, nil
}

// fillScan has an image scanned that never was.
func (s *Service) fillScan(tx storage.Tx, repo repository, f table.Found[imageRow]) error {
	d, err := digest.Parse(f.Key[3])
	if err != nil {
		return fmt.Errorf("key of image: %w", err)
	}
	found := stored{d, f.Row}
	if img := found.row.public(repo.name, d); !img.scannable() || f.Row.status() != Active {
		return nil
	}
	key := repo.scanKey(d, scan.Enhanced)
	row, err := scans.Get(tx, key...)
	if ignoreNotFound(err) != nil {
		return err
	}
	if row.Waiting != nil || row.Status != "" || !s.inScanWindow(row, f.Row) {
		return nil
	}
	if ok, err := repo.isFileSystem(tx, found); err != nil || !ok {
		return err
	}
	row.Repository = repo.name.path
	setDefault(&row.Since, f.Row.PushedAt)
	return s.queueScan(tx, key, row, scanWaitingRow{Class: scanBehind})
}

// RematchScans has images scanned that a new database is for, which of is the name of:
// those that are scanned continuously have the packages that were found matched again, and
// those that came to nothing for want of a database, or by a fault of the server's, are
// scanned anew. Images that came longer ago than Options.RescanWindow are left alone. For
// the same database it does nothing twice, unless there was none meanwhile, as "" says.
func (s *Service) RematchScans(ctx context.Context, of string) error {
	for done := false; !done; {
		err := s.update(ctx, func(tx storage.Tx) (err error) {
			done, err = s.rematchPage(tx, of)
			return err
		})
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return fmt.Errorf("look for images that a new database is for: %w", err)
		}
	}
	return nil
}

// RematchDue says whether there is anything for RematchScans to look at.
func (s *Service) RematchDue(ctx context.Context, of string) (due bool, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		row, err := scanRematch.Get(r, "")
		due = row.Of != of || !row.Done && of != ""
		return ignoreNotFound(err)
	})
	return due, err
}

func (s *Service) rematchPage(tx storage.Tx, of string) (done bool, err error) {
	at, err := scanRematch.Get(tx, "")
	if ignoreNotFound(err) != nil || at.Of == of && at.Done {
		return true, ignoreNotFound(err)
	}
	if of == "" {
		return true, scanRematch.Put(tx, scanRematchRow{Done: true}, "")
	}
	if at.Of != of {
		at = scanRematchRow{Of: of}
	}
	at.After, err = eachAfter(tx, scans, at.After, func(f table.Found[scanRow]) error { return s.rematch(tx, f) })
	if err != nil {
		return false, err
	}
	at.Done = at.After == nil
	return at.Done, scanRematch.Put(tx, at, "")
}

// rematch has an image scanned for which a new database may say more.
func (s *Service) rematch(tx storage.Tx, f table.Found[scanRow]) error {
	row := f.Row
	if f.Key[4] != string(scan.Enhanced) {
		return nil
	}
	if w := row.Waiting; w != nil {
		w.Again = w.Holder != "" // it has the database that was before
		return row.put(tx, f.Key)
	}
	repo, d, t, err := scanOf(f.Key, row.Repository)
	if err != nil {
		return err
	}
	found, err := find(tx, repo.name)
	if err != nil || found.row.ID != repo.row.ID {
		if CodeOf(err) == RepositoryNotFound {
			err = nil
		}
		return err
	}
	wanted, err := found.wantsScan(tx, d, t)
	if err != nil || !wanted {
		return err
	}
	c, err := scanningOf(tx, found.name.id)
	if err != nil {
		return err
	}
	img, err := images.Get(tx, found.key(d.String())...)
	if err != nil || !s.inScanWindow(row, img) {
		return err
	}
	again := row.Answer != nil && found.scanned(c).Frequency == scan.Continuously
	if !again && !row.Ours {
		return nil
	}
	return s.queueScan(tx, f.Key, row, scanWaitingRow{Class: scanBehind, Rematch: row.Answer != nil})
}
