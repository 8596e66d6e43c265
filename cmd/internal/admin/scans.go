package admin

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/scan"
)

// ListScans asks which scans wait, and which came to nothing.
var ListScans = Call[None, ScanQueue]{"list-scans"}

// ScanQueue is what waits to be scanned on the whole server, and the last scans that came
// to nothing. Its JSON form is what `scan queue --json` prints.
type ScanQueue struct {
	// Total is how many wait, of which Waiting has the first ones. It is counted up to
	// registry.MostCounted.
	Total   int           `json:"total"`
	Waiting []WaitingScan `json:"waiting"`
	Failed  []FailedScan  `json:"failed"` // the newest first
}

// ScannedImage is an image, and which scan of it.
type ScannedImage struct {
	Account    string `json:"registryId"`
	Region     string `json:"region"`
	Repository string `json:"repository"`
	Digest     string `json:"imageDigest"`
	Type       string `json:"scanType"`
}

// WaitingScan is a scan that waits or is under way.
type WaitingScan struct {
	ScannedImage
	Requested time.Time `json:"requestedAt"`
	Due       time.Time `json:"due"`      // when it may be begun, or is taken for dead
	Running   bool      `json:"running"`  // it is under way
	Attempts  int       `json:"attempts"` // that were begun
	Behind    bool      `json:"behind"`   // nobody asked for it
	Rematch   bool      `json:"rematch"`  // what was found before is held against the database again
}

// FailedScan is a scan that came to nothing.
type FailedScan struct {
	ScannedImage
	At     time.Time `json:"at"`
	Status string    `json:"status"`
	Reason string    `json:"reason"`
}

// scansListed is how many scans that wait are listed.
const scansListed = 1000

func (c *Clerk) answerScans(all answers) { answered(all, ListScans, c.listScans) }

func (c *Clerk) listScans(ctx context.Context, _ None) (q ScanQueue, err error) {
	r, err := c.Registry(ctx)
	if err != nil {
		return q, err
	}
	waiting, err := r.WaitingScans(ctx, scansListed)
	if err != nil {
		return q, err
	}
	counts, err := r.ScansWaiting(ctx)
	if err != nil {
		return q, err
	}
	for _, n := range counts {
		q.Total += n
	}
	failed, err := r.FailedScans(ctx)
	q.Waiting = each(waiting, func(w registry.WaitingScan) WaitingScan {
		return WaitingScan{scannedImage(w.Name, w.Digest.String(), w.Type), w.RequestedAt, w.Due, w.Running, w.Attempts, w.Behind, w.Rematch}
	})
	q.Failed = each(failed, func(f registry.FailedScan) FailedScan {
		return FailedScan{scannedImage(f.Name, f.Digest.String(), f.Type), f.At, string(f.Status), f.Text}
	})
	return q, err
}

func scannedImage(name registry.Name, d string, t scan.Type) ScannedImage {
	return ScannedImage{name.ID().Account, name.ID().Region, name.String(), d, string(t)}
}
