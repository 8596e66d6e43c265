package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// ScrubRun is one look at all bytes, of layers and then of manifests.
type ScrubRun struct {
	ID        string
	StartedAt time.Time
	EndedAt   time.Time // zero while it is not done
	// Layers and Manifests were hashed, Bytes are theirs.
	Layers, Manifests, Bytes int64
	// Damaged were found not to have their digests, known ones among them.
	Damaged int64
	// Done says about how much of it is done: 1 is all.
	Done float64
}

// scrubRow is a run with the place where it goes on.
type scrubRow struct {
	ScrubRun
	LayersDone bool `json:",omitempty"`
	// ManifestsDone says that those of images in sight are done, and the trash is left.
	ManifestsDone bool     `json:",omitempty"`
	After         []string `json:",omitempty"` // key of the last content, or name of a repository and digest, that is done
}

// scrubs has one row: the last run.
var scrubs = table.New[scrubRow]("scrub", 1)

const (
	lastScrub = "last"
	// scrubPage is how many rows are read at a time.
	scrubPage = 100
	// scrubSave is how much a kill may have done twice.
	scrubSave = 5 * time.Second
)

// errReplaced says that another run was begun.
var errReplaced = errors.New("registry: another scrub was begun")

// Scrub says how to look at all bytes.
type Scrub struct {
	// Rate is how many bytes are read in a second; 0 means as many as can be.
	Rate int64
	// Anew begins a run from the first layer on; else one goes on that was not done.
	// A run that is under way ends then.
	Anew bool
}

// LastScrub is the last run, the zero one before the first.
func (s *Service) LastScrub(ctx context.Context) (ScrubRun, error) {
	row, err := s.scrubRow(ctx)
	if err == nil && row.EndedAt.IsZero() {
		row.Done = row.done()
	}
	return row.ScrubRun, err
}

func (s *Service) scrubRow(ctx context.Context) (row scrubRow, err error) {
	err = s.view(ctx, func(r storage.Reader) (err error) {
		row, err = scrubs.Get(r, lastScrub)
		return ignoreNotFound(err)
	})
	return row, err
}

// done is about how much of a run is done. Digests lie evenly, so that the first digits
// of one say how far it is among all.
func (row scrubRow) done() float64 {
	const layers = 0.99 // manifests are few bytes
	if row.LayersDone {
		return layers
	}
	if len(row.After) == 0 {
		return 0
	}
	_, hex, _ := strings.Cut(row.After[0], ":")
	n, err := strconv.ParseUint(hex[:min(4, len(hex))], 16, 32)
	if err != nil {
		return 0
	}
	return layers * float64(n) / 0x10000
}

// ScrubDue says whether a run is to begin, or one to go on that nobody goes on with.
func (s *Service) ScrubDue(ctx context.Context) (bool, error) {
	every := s.live.Load().ScrubInterval
	if s.scrubbing.Load() > 0 || every <= 0 {
		return false, nil
	}
	row, err := s.scrubRow(ctx)
	return row.EndedAt.IsZero() || s.now().Sub(row.StartedAt) >= every || row.StartedAt.After(s.now()), err
}

// RunScrub is Scrub at the rate of Options.ScrubRate.
func (s *Service) RunScrub(ctx context.Context) error {
	_, err := s.Scrub(ctx, Scrub{Rate: s.live.Load().ScrubRate})
	return err
}

// Scrub reads all bytes and holds them against their digests. What is damaged is noted
// and told, what was noted and is right again is healed. How far it came is kept, so
// that it goes on there after a stop.
func (s *Service) Scrub(ctx context.Context, o Scrub) (ScrubRun, error) {
	s.scrubbing.Add(1)
	defer s.scrubbing.Add(-1)
	w := &scrubbing{s: s, pace: &byteRate{rate: o.Rate}, saved: time.Now()}
	err := w.begin(ctx, o.Anew)
	for _, step := range []func(context.Context) error{w.layers, w.manifests, w.trash, w.end} {
		if err == nil {
			err = step(ctx)
		}
	}
	if errors.Is(err, errReplaced) && !o.Anew {
		err = nil
	}
	return w.row.ScrubRun, err
}

// scrubbing is a run under way.
type scrubbing struct {
	s     *Service
	row   scrubRow
	pace  *byteRate
	saved time.Time
}

func (w *scrubbing) begin(ctx context.Context, anew bool) error {
	return w.s.update(ctx, func(tx storage.Tx) error {
		row, err := scrubs.Get(tx, lastScrub)
		if ignoreNotFound(err) != nil {
			return err
		}
		if anew || err != nil || !row.EndedAt.IsZero() {
			row = scrubRow{ScrubRun: ScrubRun{ID: newID(), StartedAt: w.s.now().UTC()}}
		}
		w.row = row
		return scrubs.Put(tx, row, lastScrub)
	})
}

// save keeps how far the run is, if that is a while ago or must be.
func (w *scrubbing) save(ctx context.Context, must bool) error {
	if !must && time.Since(w.saved) < scrubSave {
		return nil
	}
	w.saved = time.Now()
	return w.s.update(ctx, func(tx storage.Tx) error {
		row, err := scrubs.Get(tx, lastScrub)
		if err != nil || row.ID != w.row.ID {
			return errReplaced
		}
		return scrubs.Put(tx, w.row, lastScrub)
	})
}

func (w *scrubbing) end(ctx context.Context) error {
	w.row.EndedAt, w.row.Done, w.row.After = w.s.now().UTC(), 1, nil
	return w.save(ctx, true)
}

// layers looks at all contents.
func (w *scrubbing) layers(ctx context.Context) error {
	for !w.row.LayersDone {
		page, err := w.page(ctx)
		if err != nil {
			return err
		}
		for _, f := range page {
			if err := w.layer(ctx, f); err != nil {
				return err
			}
			w.row.After = f.Key
			if err := w.save(ctx, false); err != nil {
				return err
			}
		}
		if len(page) < scrubPage {
			w.row.LayersDone, w.row.After = true, nil
		}
	}
	return w.save(ctx, true)
}

func (w *scrubbing) page(ctx context.Context) (page []table.Found[contentRow], err error) {
	err = w.s.view(ctx, func(r storage.Reader) error {
		page = nil
		for f, err := range contents.Scan(r, table.Select{After: w.row.After, Limit: scrubPage}) {
			if err != nil {
				return err
			}
			page = append(page, f)
		}
		return nil
	})
	return page, err
}

// layer hashes a content and notes what comes of it. One that went meanwhile, or has
// other bytes by now, is left for the next run.
func (w *scrubbing) layer(ctx context.Context, f table.Found[contentRow]) error {
	d, err := digest.Parse(f.Key[0])
	if err != nil {
		return fmt.Errorf("scrub content %q: %w", f.Key[0], err)
	}
	r, err := w.s.openContent(ctx, f.Row.Blob)
	if errors.Is(err, storage.ErrNotFound) {
		now, err := w.s.contentOf(ctx, d)
		if err != nil || now.Blob != f.Row.Blob {
			return ignoreNotFound(err)
		}
		w.row.Damaged++
		return ignoreDamage(w.s.noteLost(ctx, d, f.Row))
	}
	if err != nil {
		return fmt.Errorf("scrub layer %s: %w", d, err)
	}
	defer r.Close()
	return w.hash(ctx, d, f.Row, r)
}

func (w *scrubbing) hash(ctx context.Context, d digest.Digest, row contentRow, r io.ReadSeekCloser) error {
	stamp, err := w.s.stamp(r)
	if err != nil {
		return err
	}
	counted := &paced{ReadSeeker: r, ctx: ctx, pace: w.pace}
	got, err := w.s.hashFrom(ctx, counted, d.Algorithm())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.row.Layers++
	w.count(counted.n)
	if err != nil || got != d {
		w.row.Damaged++
		return w.s.noteDamage(ctx, d, row.Blob, damageRow{Found: foundInstead(got, err), Stamp: stamp})
	}
	w.s.noteStamp(ctx, d, row, stamp)
	return w.s.foundRight(ctx, d, row.Blob)
}

func (w *scrubbing) count(n int64) {
	w.row.Bytes += n
	w.s.integrity.scrubbed.Add(1)
	w.s.integrity.scrubBytes.Add(n)
}

// ignoreDamage is err, but for what has been noted.
func ignoreDamage(err error) error {
	if errors.Is(err, errDamaged) && !storage.Refuses(err) {
		return nil
	}
	return err
}

// foundRight ends the damage of a content whose bytes are right.
func (s *Service) foundRight(ctx context.Context, d digest.Digest, blob string) error {
	known := false
	err := s.view(ctx, func(r storage.Reader) (err error) {
		known, err = damages.Has(r, d.String())
		return err
	})
	if err != nil || !known {
		return err
	}
	return s.update(ctx, func(tx storage.Tx) error {
		content, err := contents.Get(tx, d.String())
		if err != nil || content.Blob != blob {
			return ignoreNotFound(err)
		}
		return s.liftDamage(ctx, tx, d, "the bytes were found to be right")
	})
}
