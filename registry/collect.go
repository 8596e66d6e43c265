package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/failpoint"
	"github.com/seed-78150930/berth/storage/table"
)

// A collection is a pass over what the store holds. Layers that no image uses are let
// go of when their grace is over, and with the last repository that holds them their
// bytes are condemned and deleted; before that goes what has lain in the trash for its
// window, and so do uploads that have expired, what deleted
// repositories held, and blobs that no row owns.
//
// It runs beside pushes without a lock. A page of rows is looked at in a view, and what
// may go is looked at once more in the transaction that lets it go: an image that came
// to use a layer in between has written a row there, and a layer that came back since
// has another blob, whose id no other ever had. Clocks decide only how long a client has
// between its upload and its image.

// collectionRow is how far a pass has come, so that a restart goes on there.
type collectionRow struct {
	Stage collectionStage
	After []string `json:",omitempty"` // key of the last thing that was looked at in the stage
	Done  Collected
}

type collectionStage string

// The stages of a pass, in order.
const (
	collectLayers  collectionStage = "layers"
	collectOrphans collectionStage = "orphans"
)

// Keys of collections.
const (
	passUnderWay = "pass"
	lastPass     = "last"
)

// Collected is what a pass of the collection did.
type Collected struct {
	StartedAt time.Time
	EndedAt   time.Time `json:",omitzero"` // zero while it is under way
	Looked    int64     `json:",omitempty"`
	Layers    int64     `json:",omitempty"` // that repositories let go of
	Blobs     int64     `json:",omitempty"` // whose bytes nobody has any more: the next three together
	Contents  int64     `json:",omitempty"` // of layers that no repository holds now
	Uploads   int64     `json:",omitempty"` // that had expired
	Orphans   int64     `json:",omitempty"` // that no row owned
	Bytes     int64     `json:",omitempty"` // of those blobs
}

func (c *Collected) add(d Collected) {
	c.Looked += d.Looked
	c.Layers += d.Layers
	c.Blobs += d.Blobs
	c.Contents += d.Contents
	c.Uploads += d.Uploads
	c.Orphans += d.Orphans
	c.Bytes += d.Bytes
}

// Collect goes on with the pass that was broken off, or makes a new one, and returns at
// its end, or soon after that of ctx: then the next call goes on. Two calls run one after the other.
func (s *Service) Collect(ctx context.Context) error {
	rate := func() int { return s.live.Load().GCRate }
	_, err := s.collectFrom(ctx, rate, func(tx storage.Tx) (collectionRow, error) {
		pass, err := collections.Get(tx, passUnderWay)
		if errors.Is(err, storage.ErrNotFound) {
			return s.newPass(), nil
		}
		return pass, err
	})
	return err
}

// CollectNow makes a whole pass from its beginning and says what it did: what was
// free to go when it was called is gone when it returns. It looks at rate rows and
// blobs a second, as many as it can if that is zero.
func (s *Service) CollectNow(ctx context.Context, rate int) (Collected, error) {
	return s.collectFrom(ctx, func() int { return rate }, func(storage.Tx) (collectionRow, error) { return s.newPass(), nil })
}

func (s *Service) newPass() collectionRow {
	return collectionRow{Stage: collectLayers, Done: Collected{StartedAt: s.now().UTC()}}
}

// collectFrom makes a pass from where begin says.
func (s *Service) collectFrom(ctx context.Context, rate func() int, begin func(storage.Tx) (collectionRow, error)) (Collected, error) {
	select {
	case s.collection.turn <- struct{}{}:
		defer func() { <-s.collection.turn }()
	case <-ctx.Done():
		return Collected{}, ctx.Err()
	}
	ctx = storage.UseReserve(ctx) // it makes room
	p := &pass{Service: s, pace: pace{rate: rate}}
	err := s.update(ctx, func(tx storage.Tx) (err error) {
		if p.row, err = begin(tx); err != nil {
			return err
		}
		return collections.Put(tx, p.row, passUnderWay)
	})
	if err == nil {
		s.collection.begin(p.row.Done)
		err = p.run(ctx)
		s.collection.end(p.row.Done, err)
	}
	return p.row.Done, err
}

// pass is one pass under way.
type pass struct {
	*Service
	row  collectionRow // as it is in the index, or ahead of that
	pace pace
}

func (p *pass) run(ctx context.Context) error {
	began := p.now()
	if err := p.clearDropped(ctx); err != nil {
		return fmt.Errorf("clear deleted repositories: %w", err)
	}
	if err := p.SweepTrash(ctx); err != nil {
		return fmt.Errorf("let go of what is in the trash: %w", err)
	}
	if err := p.uploads(ctx); err != nil {
		return fmt.Errorf("expire uploads: %w", err)
	}
	if p.row.Stage == collectLayers {
		if err := p.layers(ctx); err != nil {
			return fmt.Errorf("let go of layers: %w", err)
		}
	}
	if err := p.deleteCondemned(ctx); err != nil {
		return fmt.Errorf("delete condemned blobs: %w", err)
	}
	if err := p.orphans(ctx); err != nil {
		return fmt.Errorf("delete blobs without an owner: %w", err)
	}
	p.row.Done.EndedAt = p.now().UTC()
	p.log.Info("collection ended", "took", p.now().Sub(began), "looked at", p.row.Done.Looked, "layers", p.row.Done.Layers,
		"blobs", p.row.Done.Blobs, "bytes", p.row.Done.Bytes)
	return p.update(ctx, func(tx storage.Tx) error {
		return errors.Join(collections.Delete(tx, passUnderWay), collections.Put(tx, p.row, lastPass))
	})
}

// did counts what was done, for those who ask in the meantime, and waits as the rate asks.
func (p *pass) did(ctx context.Context, d Collected) error {
	p.row.Done.add(d)
	p.collection.progress(p.row.Done)
	return p.pace.wait(ctx, d.Looked)
}

// uploads removes the uploads that have expired.
func (p *pass) uploads(ctx context.Context) error {
	dropped, err := p.dropExpired(ctx)
	return errors.Join(err, p.did(ctx, Collected{Uploads: dropped.n, Blobs: dropped.n, Bytes: dropped.bytes}))
}

// notedEvery is how many rows are looked at without a note of how far the pass is.
const notedEvery = 20_000

// layers looks at all layers that repositories hold.
func (p *pass) layers(ctx context.Context) error {
	for unnoted := 0; ; {
		page, err := p.layerPage(ctx, p.row.After)
		if err != nil {
			return err
		}
		if page.rows > 0 {
			p.row.After = page.last
		}
		unnoted += page.rows
		end := page.rows < batch
		if end {
			p.row.Stage, p.row.After = collectOrphans, nil
		}
		d := Collected{Looked: int64(page.rows)}
		if len(page.free) > 0 || end || unnoted >= notedEvery {
			unnoted = 0
			if err := p.letGoOf(ctx, page.free, &d); err != nil {
				return err
			}
			failpoint.Hit(failpoint.LayersLetGo)
		}
		if d.Contents > 0 { // so that few of them wait at a time
			if err := p.deleteCondemned(ctx); err != nil {
				return err
			}
		}
		if err := p.did(ctx, d); err != nil || end {
			return err
		}
	}
}

// layerPage is a run of held rows.
type layerPage struct {
	rows int
	last []string   // key of the last of them
	free [][]string // keys of those that nothing keeps
}

func (s *Service) layerPage(ctx context.Context, after []string) (page layerPage, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		page = layerPage{}
		for f, err := range held.Scan(r, table.Select{After: after, Limit: batch}) {
			if err != nil {
				return err
			}
			page.rows++
			page.last = f.Key
			free, err := s.isFree(r, f)
			if err != nil {
				return err
			}
			if free {
				page.free = append(page.free, f.Key)
			}
		}
		return nil
	})
	return page, err
}

// isFree says whether a layer may be let go of: no image uses it, none in the trash or on
// its way among them, and its grace is over.
func (s *Service) isFree(r storage.Reader, f table.Found[heldRow]) (bool, error) {
	grace := s.live.Load().GCGrace
	if now := s.now(); f.Row.At.After(now.Add(-grace)) || s.asked.within(f.Key, now, grace) {
		return false, nil
	}
	used, err := isUsed(r, f.Key)
	if err == nil && !used {
		var n int
		n, err = countRows(pendingLayers.Scan(r, table.Select{Prefix: f.Key, Limit: 1}))
		used = n > 0
	}
	return !used && err == nil, err
}

// isUsed says whether an image uses a layer of a repository; key is that of its held row.
func isUsed(r storage.Reader, key []string) (bool, error) {
	for _, uses := range allUses {
		n, err := countRows(uses.Scan(r, table.Select{Prefix: key, Limit: 1}))
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// letGoOf lets go of those layers that still are free, and notes how far the pass is.
func (p *pass) letGoOf(ctx context.Context, keys [][]string, d *Collected) error {
	before := *d
	return p.update(ctx, func(tx storage.Tx) error {
		*d = before
		for _, key := range keys {
			if err := p.letGoOfOne(tx, key, d); err != nil {
				return err
			}
		}
		noted := p.row
		noted.Done.add(*d)
		return collections.Put(tx, noted, passUnderWay)
	})
}

func (p *pass) letGoOfOne(tx storage.Tx, key []string, d *Collected) error {
	row, err := held.Get(tx, key...)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	free, err := p.isFree(tx, table.Found[heldRow]{Key: key, Row: row})
	if err != nil || !free {
		return err
	}
	content, err := contents.Get(tx, key[3])
	if err != nil {
		return fmt.Errorf("content of %s: %w", key[3], err)
	}
	d.Layers++
	if content.Holders == 1 {
		d.Contents++
		d.Blobs++
		d.Bytes += content.Size
	}
	return p.letGo(tx, key[:3], key[3])
}
