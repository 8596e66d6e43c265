package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Scans that wait are rows in the order in which they are due. Who takes one is noted in
// the row, with the attempt, and the row goes behind those that are due before the
// attempt's lease ends: so an image with which the whole server dies holds up no other.
// A row goes in the transaction that keeps what the scan came to, and in no other but
// those by which nobody wants to know it any more.

// MaxScanAttempts is how often a scan is begun that does not come to an end.
const MaxScanAttempts = 3

// ScanJob is an attempt to scan an image.
type ScanJob struct {
	Name         Name
	RepositoryID string
	Digest       digest.Digest
	Type         scan.Type
	// Rematch says that the packages that were found before are held against the database
	// again.
	Rematch     bool
	Attempt     int // 1 for the first
	RequestedAt time.Time
	// Platform is what the image turned out to be of: see ScanImage.
	Platform scan.Platform
	holder   string
}

func (j ScanJob) key() []string {
	return []string{j.Name.id.Account, j.Name.id.Region, j.RepositoryID, j.Digest.String(), string(j.Type)}
}

// Last says that the attempt is the last one.
func (j ScanJob) Last() bool { return j.Attempt >= MaxScanAttempts }

// NextScan takes the next scan that is due, for the time of a lease. Without one ok is
// false, and next is when there may be one, zero if that is not known. What nobody wants
// any more, and what has been begun too often, is settled on the way.
func (s *Service) NextScan(ctx context.Context, lease time.Duration) (job ScanJob, ok bool, next time.Time, err error) {
	for ctx.Err() == nil {
		due, next, err := s.nextScanDue(ctx)
		if err != nil || !due {
			return job, false, next, err
		}
		err = s.update(ctx, func(tx storage.Tx) error {
			job, ok = ScanJob{}, false
			f, _, err := s.firstScan(tx)
			if err != nil || f.Key == nil {
				return err
			}
			job, ok, err = s.takeScan(ctx, tx, f, lease)
			return err
		})
		if err != nil || ok {
			return job, ok, time.Time{}, err
		}
	}
	return job, false, next, ctx.Err()
}

// AwaitScans returns when a scan is due, or with ctx's error.
func (s *Service) AwaitScans(ctx context.Context) error {
	return s.await(ctx, func() (bool, error) {
		due, _, err := s.nextScanDue(ctx)
		return due, err
	})
}

func (s *Service) nextScanDue(ctx context.Context) (due bool, next time.Time, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		f, at, err := s.firstScan(r)
		due, next = f.Key != nil, at
		return err
	})
	return due, next, err
}

// firstScan is the scan to be begun next: without a key if none is due, and then next is
// when the first one is, zero if none waits.
func (s *Service) firstScan(rd storage.Reader) (first table.Found[dueRow], next time.Time, err error) {
	now := s.now()
	for _, class := range []string{scanAsked, scanBehind} {
		for f, err := range scansDue.Scan(rd, table.Select{Prefix: []string{class}, Limit: 1}) {
			if err != nil {
				return first, next, err
			}
			at, err := scanDueAt(f.Key)
			if err != nil {
				return first, next, err
			}
			if !at.After(now) {
				return f, at, nil
			}
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	return first, next, nil
}

func scanDueAt(key []string) (time.Time, error) {
	at, err := strconv.ParseInt(key[1], 16, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("key of a scan that waits: %w", err)
	}
	return time.Unix(0, at).UTC(), nil
}

// takeScan begins an attempt, or settles a scan that is not to be begun.
func (s *Service) takeScan(ctx context.Context, tx storage.Tx, f table.Found[dueRow], lease time.Duration) (job ScanJob, ok bool, err error) {
	if err := scansDue.Delete(tx, f.Key...); err != nil {
		return job, false, err
	}
	key := f.Key[2:]
	row, err := scans.Get(tx, key...)
	if err != nil || row.Waiting == nil {
		return job, false, ignoreNotFound(err)
	}
	repo, d, t, err := scanOf(key, row.Repository)
	if err != nil {
		return job, false, err
	}
	found, err := find(tx, repo.name)
	if CodeOf(err) == RepositoryNotFound || err == nil && found.row.ID != repo.row.ID {
		return job, false, nil // it is in the trash, and waits on when it comes back, or is being cleared away
	}
	if err != nil {
		return job, false, err
	}
	wanted, err := found.wantsScan(tx, d, t)
	if err != nil {
		return job, false, err
	}
	w := row.Waiting
	switch {
	case !wanted:
		return job, false, s.withdrawScan(tx, key, row)
	case w.Attempts >= MaxScanAttempts:
		_, err := s.settleScan(ctx, tx, found, d, t, row, scanned{outcome: scan.Judge(t, scan.Report{}, scan.ErrDied)})
		return job, false, err
	}
	w.Attempts++
	w.Due, w.Holder = s.now().UTC().Add(lease), newID()
	job = ScanJob{
		Name: found.name, RepositoryID: found.row.ID, Digest: d, Type: t, Rematch: w.Rematch, Attempt: w.Attempts,
		RequestedAt: row.RequestedAt, holder: w.Holder,
	}
	return job, true, row.put(tx, key)
}

// wantsScan says whether an image is still to be scanned: it is there, and the registry
// is set to the type, and beside enhanced scans a rule takes the repository.
func (r repository) wantsScan(rd storage.Reader, d digest.Digest, t scan.Type) (bool, error) {
	row, err := images.Get(rd, r.key(d.String())...)
	if err != nil || row.status() != Active {
		return false, ignoreNotFound(err)
	}
	c, err := scanningOf(rd, r.name.id)
	if err != nil || c.Type != t {
		return false, err
	}
	return t == scan.Basic || r.scanned(c).Frequency != scan.ByHand, nil
}

// withdrawScan ends a scan that nobody wants any more, as if it had never been asked for.
func (s *Service) withdrawScan(tx storage.Tx, key []string, row scanRow) error {
	row.Waiting = nil
	if row.Status == "" {
		return scans.Delete(tx, key...)
	}
	return row.put(tx, key)
}

// held finds the row of a job that is still its holder's.
func (j ScanJob) held(tx storage.Tx) (row scanRow, ok bool, err error) {
	row, err = scans.Get(tx, j.key()...)
	ok = err == nil && row.Waiting != nil && row.Waiting.Holder == j.holder
	return row, ok, ignoreNotFound(err)
}

// RenewScan has a job last for the time of a lease from now on. It is false if the job is
// not its holder's any more, whose work nobody wants then.
func (s *Service) RenewScan(ctx context.Context, j ScanJob, lease time.Duration) (ok bool, err error) {
	err = s.moveScan(ctx, j, func(w *scanWaitingRow) {
		ok = true
		w.Due = s.now().UTC().Add(lease)
	})
	return ok, err
}

// RestScan gives a job back whose attempt failed. Another one may begin after a rest.
func (s *Service) RestScan(ctx context.Context, j ScanJob, rest time.Duration) error {
	return s.moveScan(ctx, j, func(w *scanWaitingRow) { w.Due, w.Holder = s.now().UTC().Add(rest), "" })
}

// GiveBackScan gives a job back whose attempt did not fail, but has to end, as before
// an orderly stop. It does not count.
func (s *Service) GiveBackScan(ctx context.Context, j ScanJob) error {
	return s.moveScan(ctx, j, func(w *scanWaitingRow) {
		w.Attempts--
		w.Due, w.Holder = j.RequestedAt, ""
	})
}

// moveScan changes what waits, if the job is still its holder's.
func (s *Service) moveScan(ctx context.Context, j ScanJob, change func(*scanWaitingRow)) error {
	return s.update(storage.UseReserve(ctx), func(tx storage.Tx) error {
		row, ok, err := j.held(tx)
		if err != nil || !ok {
			return err
		}
		if err := scansDue.Delete(tx, row.Waiting.dueKey(j.key())...); err != nil {
			return err
		}
		change(row.Waiting)
		return row.put(tx, j.key())
	})
}

// ScanImage is what a scanner is to look at. It is false if the image is gone. A
// *scan.Problem says that the image cannot be scanned.
func (s *Service) ScanImage(ctx context.Context, j ScanJob) (img scan.Image, ok bool, err error) {
	var m manifest.Manifest
	var inventory scanPageRow
	err = s.view(ctx, func(r storage.Reader) error {
		img, ok, inventory = scan.Image{SystemOnly: j.Type == scan.Basic}, false, scanPageRow{}
		repo, err := find(r, j.Name)
		if CodeOf(err) == RepositoryNotFound || err == nil && repo.row.ID != j.RepositoryID {
			return nil
		}
		if err != nil {
			return err
		}
		found, err := repo.image(r, Ref{Digest: j.Digest})
		if err != nil {
			if CodeOf(err) == ImageNotFound {
				err = nil
			}
			return err
		}
		if m, err = repo.parsed(r, found); err != nil {
			return err
		}
		for _, l := range m.Layers {
			here, err := held.Has(r, repo.key(l.Digest.String())...)
			if err != nil {
				return err
			}
			img.Layers = append(img.Layers, scan.Layer{Digest: l.Digest, MediaType: l.MediaType, Size: l.Size, Foreign: l.Foreign && !here})
		}
		if inventory, err = scanPages.Get(r, append(j.key(), inventoryPage)...); ignoreNotFound(err) != nil {
			return err
		}
		ok = true
		return nil
	})
	if err = s.noteManifest(ctx, err); CodeOf(err) == ImageDamaged {
		return img, true, scan.NewProblem(scan.Damaged, "the manifest of the image is damaged on the server")
	}
	if err != nil || !ok {
		return img, ok, err
	}
	img.Open = func(ctx context.Context, l scan.Layer) (io.ReadCloser, error) { return s.openScanned(ctx, j.Name, l) }
	img.Platform = s.platform(ctx, j.Name, m)
	if j.Rematch && inventory.Blob != "" {
		known, err := s.readInventory(ctx, inventory)
		if err != nil {
			s.log.Error("read what is known of an image, which is scanned anew", "digest", j.Digest.String(), "error", err)
		} else {
			img.Known = &known
		}
	}
	return img, true, nil
}

// openScanned opens a layer for a scanner.
func (s *Service) openScanned(ctx context.Context, name Name, l scan.Layer) (io.ReadCloser, error) {
	if l.Foreign {
		return nil, scan.NewProblem(scan.NotHere, "layer %s is not in this registry", l.Digest)
	}
	_, r, err := s.OpenLayer(ctx, name, l.Digest)
	switch CodeOf(err) {
	case LayerNotFound:
		return nil, scan.NewProblem(scan.NotHere, "layer %s is not in this registry", l.Digest)
	case LayerDamaged:
		return nil, scan.NewProblem(scan.Damaged, "layer %s is damaged on the server", l.Digest)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// maxConfig bounds the config of an image that is read.
const maxConfig = 4 << 20

// platform is what an image's config says that it runs on, the zero value if it says
// nothing that can be read.
func (s *Service) platform(ctx context.Context, name Name, m manifest.Manifest) (p scan.Platform) {
	if m.Config == nil || m.Config.Size > maxConfig {
		return p
	}
	_, r, err := s.OpenLayer(ctx, name, m.Config.Digest)
	if err != nil {
		return p
	}
	defer r.Close()
	var config struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	}
	if err := json.NewDecoder(io.LimitReader(r, maxConfig)).Decode(&config); err != nil {
		return p
	}
	return scan.Platform(config)
}

// scanned is what a scan came to.
type scanned struct {
	outcome scan.Outcome
	pages   []scanPage    // if it is finished,
	answer  scanAnswerRow // as well as this
}

// FinishScan keeps what a job came to: a report, or the error of a scanner. What was found
// before makes way for what a finished scan found, and for nothing else. Kept is false if
// nobody wants to know it any more: the image is gone, or was scanned by others.
func (s *Service) FinishScan(ctx context.Context, j ScanJob, report scan.Report, failed error) (outcome scan.Outcome, kept bool, err error) {
	done := scanned{outcome: scan.Judge(j.Type, report, failed)}
	if done.outcome.Finished {
		done.answer = scanAnswerRow{
			ID: newID(), Status: done.outcome.Status, Text: done.outcome.Text, Database: report.Database.UTC(),
			System: report.Inventory.System, Architecture: j.Platform.Architecture,
			Counts: scan.Count(report.Findings), Findings: len(report.Findings),
		}
		if done.pages, err = s.keepReport(ctx, report); err != nil {
			return done.outcome, false, err // its blobs are nobody's, and are collected
		}
	}
	err = s.update(ctx, func(tx storage.Tx) error {
		kept = false
		row, ok, err := j.held(tx)
		if err != nil {
			return err
		}
		repo, missing := find(tx, j.Name)
		if missing != nil && CodeOf(missing) != RepositoryNotFound {
			return missing
		}
		if !ok || missing != nil || repo.row.ID != j.RepositoryID {
			return s.condemnPages(tx, done.pages)
		}
		if err := scansDue.Delete(tx, row.Waiting.dueKey(j.key())...); err != nil {
			return err
		}
		kept, err = s.settleScan(ctx, tx, repo, j.Digest, j.Type, row, done)
		return err
	})
	s.wakeJanitor()
	return done.outcome, kept, err
}

func (s *Service) condemnPages(tx storage.Tx, pages []scanPage) error {
	for _, p := range pages {
		if err := s.condemn(tx, p.row.Blob, p.row.Size); err != nil {
			return err
		}
	}
	return nil
}

// settleScan keeps what a scan came to in the row of its image, which does not wait any
// more, and tells of it.
func (s *Service) settleScan(ctx context.Context, tx storage.Tx, repo repository, d digest.Digest, t scan.Type, row scanRow, done scanned) (kept bool, err error) {
	key := repo.scanKey(d, t)
	found, err := repo.image(tx, Ref{Digest: d})
	if err != nil {
		if CodeOf(err) == ImageNotFound {
			err = s.condemnPages(tx, done.pages)
		}
		return false, err
	}
	quiet := row.Waiting.Rematch && row.Answer != nil
	before := row
	now := s.now().UTC()
	row.Waiting, row.EndedAt = nil, now
	row.Status, row.Text, row.Ours = done.outcome.Status, done.outcome.Text, done.outcome.Ours
	if row.Ours {
		row.UsedAt = time.Time{}
	}
	if done.outcome.Finished {
		if err := s.replaceAnswer(tx, key, &row, done, now); err != nil {
			return false, err
		}
	} else if err := s.noteScanFailure(tx, repo, d, t, row); err != nil {
		return false, err
	}
	if err := s.settleRow(tx, key, row, before.Waiting.Again); err != nil || quiet && row.sameAs(before) {
		return true, err
	}
	return true, s.recordScan(ctx, tx, repo, found, row, done)
}

// settleRow writes the row of a scan that came to an end. One that has to be matched again
// waits on for that.
func (s *Service) settleRow(tx storage.Tx, key []string, row scanRow, again bool) error {
	if again && (row.Answer != nil || row.Ours) {
		return s.queueScan(tx, key, row, scanWaitingRow{Class: scanBehind, Rematch: row.Answer != nil})
	}
	return row.put(tx, key)
}

// sameAs says whether nothing changed that an event would tell of.
func (row scanRow) sameAs(before scanRow) bool {
	if row.Status != before.Status || row.Answer == nil || before.Answer == nil {
		return false
	}
	for _, severity := range scan.Severities() {
		if row.Answer.Counts[severity] != before.Answer.Counts[severity] {
			return false
		}
	}
	return true
}

// replaceAnswer has the pages of a scan take the place of those of the one before.
func (s *Service) replaceAnswer(tx storage.Tx, key []string, row *scanRow, done scanned, now time.Time) error {
	if err := s.dropScanPages(tx, key); err != nil {
		return err
	}
	for _, p := range done.pages {
		at := append(slices.Clone(key), p.key)
		if err := errors.Join(scanPages.Put(tx, p.row, at...), owners.Put(tx, ownerRow{Scan: at}, p.row.Blob)); err != nil {
			return err
		}
	}
	done.answer.EndedAt = now
	row.Answer = &done.answer
	return nil
}

// recordScan writes the event that tells what a scan came to.
func (s *Service) recordScan(ctx context.Context, tx storage.Tx, repo repository, found stored, row scanRow, done scanned) error {
	d := ScanDetail{Status: string(row.Status), Counts: map[string]int{}}
	for severity, n := range done.answer.Counts {
		d.Counts[string(severity)] = n
	}
	named, err := repo.tagsOf(tx, found.digest, "", 0)
	if err != nil {
		return err
	}
	for _, tag := range named {
		d.Tags = append(d.Tags, tag.s)
	}
	return s.record(ctx, tx, ImageScanned, repo, eventRow{Digest: found.digest, MediaType: found.row.MediaType, Detail: detail(d)})
}

// scanFailureSequence numbers scans that came to nothing.
const scanFailureSequence = "scanfailure"

// MostScanFailures is how many scans that came to nothing are remembered.
const MostScanFailures = 100

// noteScanFailure remembers a scan that came to nothing in place of the oldest one.
func (s *Service) noteScanFailure(tx storage.Tx, repo repository, d digest.Digest, t scan.Type, row scanRow) error {
	n, err := nextNumber(tx, scanFailureSequence)
	if err != nil {
		return err
	}
	failure := scanFailureRow{row.EndedAt, repo.name.id.Account, repo.name.id.Region, repo.name.path, d, t, row.Status, row.Text}
	return scanFailures.Put(tx, failure, fmt.Sprintf("%03d", n%MostScanFailures))
}
