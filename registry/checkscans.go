package registry

import (
	"errors"
	"slices"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// scans: what waits has its place in the queue, unless it is in the trash, and what was
// found is of an image and whole.
func (a *audit) scans() {
	for f := range rowsOf(a, scans) {
		row := "scan " + join(f.Key)
		a.ofImage(FaultScan, row, f.Key[:3], f.Key[3])
		if a.nameDiffers(f.Key, f.Row.Repository) {
			a.fault(FaultScan, row, "it is of %q and should be of %q", f.Row.Repository, a.alive[join(f.Key[:3])])
		}
		if w := f.Row.Waiting; w != nil && a.isAlive(f.Key) && !a.isTrashed(f.Key) && !has(a, scansDue, w.dueKey(f.Key)...) {
			a.fault(FaultScan, row, "it waits, and its turn never comes")
		}
		a.answered(row, f)
	}
	for f := range rowsOf(a, scansDue) {
		of, ok := get(a, scans, f.Key[2:]...)
		if !ok || of.Waiting == nil || !slices.Equal(of.Waiting.dueKey(f.Key[2:]), f.Key) {
			a.fault(FaultScan, "scandue "+join(f.Key), "no scan waits for its turn then")
		}
	}
	for f := range rowsOf(a, scanPages) {
		if of, ok := get(a, scans, f.Key[:5]...); !ok || of.Answer == nil {
			a.fault(FaultScan, "scanpage "+join(f.Key), "it is of no scan")
		}
	}
}

// answered: a scan that was finished has as many pages as it needs.
func (a *audit) answered(row string, f table.Found[scanRow]) {
	want, n := 0, 0
	if f.Row.Answer != nil {
		want = f.Row.Answer.pages() + 1 // and the inventory
	}
	for range rowsOf(a, scanPages, f.Key...) {
		n++
	}
	if n != want {
		a.fault(FaultScan, row, "what it found has %d pages and should have %d", n, want)
	}
}

// scanned: the pages of what scans found have their bytes.
func (a *audit) scanned() error {
	for after := []string(nil); ; {
		var page []table.Found[scanPageRow]
		err := a.s.index.View(a.ctx, func(r storage.Reader) error {
			page = nil
			for f, err := range scanPages.Scan(r, table.Select{After: after, Limit: batch}) {
				if err != nil && len(f.Key) == 0 {
					return err
				}
				page = append(page, f) // the zero row for one that cannot be read, which ends the scan
			}
			return nil
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, f := range page {
			if err := a.scannedPage(f); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Key
	}
}

// scannedPage: one page has its bytes, unless it made way for another one meanwhile.
func (a *audit) scannedPage(f table.Found[scanPageRow]) error {
	if f.Row == (scanPageRow{}) {
		return nil // it has been told of
	}
	fault, bad := a.lookAt(f.Row.Digest.String(), contentRow{Blob: f.Row.Blob, Size: f.Row.Size})
	if err := a.ended(); err != nil || !bad {
		return err
	}
	var now scanPageRow
	err := a.s.index.View(a.ctx, func(r storage.Reader) (err error) {
		now, err = scanPages.Get(r, f.Key...)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) || err == nil && now != f.Row {
		return nil
	}
	a.fault(fault.Kind, "scanpage "+join(f.Key), "%s", fault.Text)
	return errors.Join(err, a.err)
}
