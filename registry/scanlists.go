package registry

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// WaitingScan is a scan that waits, or is under way.
type WaitingScan struct {
	Name        Name
	Digest      digest.Digest
	Type        scan.Type
	RequestedAt time.Time
	// Due is when it may be begun: at once, after a rest, or when the lease of whoever is
	// at it has ended, which Running says.
	Due      time.Time
	Running  bool
	Attempts int // that were begun
	// Behind says that it makes way for those that somebody asked for or pushed, and
	// Rematch that what was found before is held against the database again.
	Behind, Rematch bool
}

// WaitingScans lists scans in the order in which they are begun, at most limit.
func (s *Service) WaitingScans(ctx context.Context, limit int) (list []WaitingScan, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		list = nil
		for f, err := range scansDue.Scan(r, table.Select{Limit: limit}) {
			if err != nil {
				return err
			}
			row, err := scans.Get(r, f.Key[2:]...)
			if err != nil || row.Waiting == nil {
				if err = ignoreNotFound(err); err != nil {
					return err
				}
				continue
			}
			repo, d, t, err := scanOf(f.Key[2:], row.Repository)
			if err != nil {
				return err
			}
			w := row.Waiting
			list = append(list, WaitingScan{
				Name: repo.name, Digest: d, Type: t, RequestedAt: row.RequestedAt, Due: w.Due, Running: w.Holder != "" && w.Due.After(s.now()),
				Attempts: w.Attempts, Behind: w.Class == scanBehind, Rematch: w.Rematch,
			})
		}
		return nil
	})
	return list, err
}

// ScansWaiting counts the scans that wait or are under way, by type, up to MostCounted in
// all.
func (s *Service) ScansWaiting(ctx context.Context) (n map[scan.Type]int, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		n = map[scan.Type]int{}
		for f, err := range scansDue.Scan(r, table.Select{Limit: MostCounted}) {
			if err != nil {
				return err
			}
			n[scan.Type(f.Key[6])]++
		}
		return nil
	})
	return n, err
}

// FailedScan is a scan that came to nothing.
type FailedScan struct {
	Name   Name
	Digest digest.Digest
	Type   scan.Type
	At     time.Time
	Status scan.Status
	Text   string
}

// FailedScans lists the last scans that came to nothing, the newest first, at most
// MostScanFailures.
func (s *Service) FailedScans(ctx context.Context) (list []FailedScan, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		list = nil
		for f, err := range scanFailures.Scan(r, table.Select{}) {
			if err != nil {
				return err
			}
			row := f.Row
			list = append(list, FailedScan{Name{ID{row.Account, row.Region}, row.Repository}, row.Digest, row.Type, row.At, row.Status, row.Text})
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b FailedScan) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Digest.String(), b.Digest.String()))
	})
	return list, err
}
