package registry

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/failpoint"
	"github.com/seed-78150930/berth/storage/table"
)

// How often the janitor looks, and how much it does in one transaction.
const (
	idleTime   = time.Second // after which an upload is checkpointed
	sweepPause = time.Minute // between looks at what has expired
	batch      = 500
)

// Run does the domain's own work in the background until ctx ends: idle
// uploads are checkpointed after a second and removed at their expiry, images are
// brought back from the archive, the times of pulls written, condemned bytes, what
// deleted repositories held and old events are cleared away. It returns nil when
// ctx ends; what fails is logged and tried again.
func (s *Service) Run(ctx context.Context) error {
	var done sync.WaitGroup
	done.Go(func() { s.try(ctx, "count open uploads", s.knowUploads) })                  // before somebody waits for it
	done.Go(func() { s.every(ctx, idleTime/4, "checkpoint uploads", s.checkpointIdle) }) // beside the rest, which may take long
	done.Go(func() { s.every(ctx, restorePause, "bring images back from the archive", s.finishRestores) })
	done.Go(func() { s.runPulls(ctx) })
	s.runSweeps(ctx)
	done.Wait()
	return nil
}

// restorePause is between looks at what is due to come back from the archive.
const restorePause = time.Second

// every does something again and again until ctx ends.
func (s *Service) every(ctx context.Context, pause time.Duration, what string, fn func(context.Context) error) {
	look := time.NewTicker(pause)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			s.try(ctx, what, fn)
		}
	}
}

func (s *Service) runSweeps(ctx context.Context) {
	ctx = storage.UseReserve(ctx)
	sweep := time.NewTicker(sweepPause)
	defer sweep.Stop()
	s.wakeJanitor()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			s.try(ctx, "drop uploads to repositories in the trash", s.clearTrashedUploads)
			s.try(ctx, "clear deleted repositories", s.clearDropped)
			s.try(ctx, "delete condemned blobs", s.deleteCondemned)
		case <-sweep.C:
			s.wakeJanitor()      // for what failed before
			if s.held() == nil { // else the clock has moved, of which it tells by itself
				s.try(ctx, "expire uploads", s.expireUploads)
				s.try(ctx, "trim events", s.trimEvents)
			}
		}
	}
}

func (s *Service) try(ctx context.Context, what string, fn func(context.Context) error) {
	if err := fn(ctx); err != nil && ctx.Err() == nil && !storage.Refuses(err) {
		s.log.Error(what, "error", err)
	}
}

func (s *Service) wakeJanitor() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close checkpoints the uploads at hand and writes the times of pulls. Call it
// when no request is under way any more; Index and Blobs stay open. A store that takes
// no writes keeps neither, and that is no error.
func (s *Service) Close(ctx context.Context) error {
	s.proofs.stop()
	ctx = storage.UseReserve(ctx)
	err := errors.Join(s.checkpointAll(ctx, s.now()), s.FlushPulls(ctx))
	if storage.Refuses(err) {
		s.log.Warn("how far uploads came and when images were pulled is not kept", "why", err)
		return nil
	}
	return err
}

func (s *Service) checkpointIdle(ctx context.Context) error {
	return s.checkpointAll(ctx, s.now().Add(-idleTime))
}

func (s *Service) checkpointAll(ctx context.Context, since time.Time) error {
	ctx = storage.UseReserve(ctx) // a row for each, and bytes that are there already
	var failed []error
	for _, u := range s.sessions.idle(since) {
		failed = append(failed, s.checkpoint(ctx, u))
		s.sessions.leave(u)
	}
	return errors.Join(failed...)
}

// deleteCondemned deletes the bytes of condemned rows, then the rows, unless there is
// a hold on them.
func (s *Service) deleteCondemned(ctx context.Context) error {
	if err := s.endHolds(ctx); err != nil {
		return err
	}
	for {
		ids, err := s.keys(ctx, func(r storage.Reader) ([]string, error) {
			if keep, err := onHold(r); keep || err != nil {
				return nil, err
			}
			return firstParts(condemned, r, 0, table.Select{Limit: batch})
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		failpoint.Hit(failpoint.CondemnedFound)
		for _, id := range ids {
			if err := s.blobs.Delete(ctx, id); err != nil {
				return err
			}
		}
		failpoint.Hit(failpoint.CondemnedDeleted)
		err = s.update(ctx, func(tx storage.Tx) error {
			return forgetCondemned(tx, ids)
		})
		if err != nil {
			return err
		}
	}
}

// forgetCondemned removes the rows of blobs that are deleted.
func forgetCondemned(tx storage.Tx, ids []string) error {
	var gone int64
	for _, id := range ids {
		row, err := condemned.Get(tx, id)
		if ignoreNotFound(err) != nil {
			return err
		}
		if err := condemned.Delete(tx, id); err != nil {
			return err
		}
		gone += row.Size
	}
	return resizeStore(tx, storeSizeRow{Condemned: -gone})
}

func (s *Service) keys(ctx context.Context, fn func(storage.Reader) ([]string, error)) (list []string, err error) {
	err = s.view(ctx, func(r storage.Reader) (err error) {
		list, err = fn(r)
		return err
	})
	return list, err
}

// countRows counts what a scan finds.
func countRows[Row any](rows iter.Seq2[table.Found[Row], error]) (n int, err error) {
	for _, err := range rows {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// firstParts lists one part of the keys that a scan finds.
func firstParts[Row any](t table.Table[Row], r storage.Reader, part int, sel table.Select) (list []string, err error) {
	for f, err := range t.Scan(r, sel) {
		if err != nil {
			return nil, err
		}
		list = append(list, f.Key[part])
	}
	return list, nil
}

// expireUploads removes uploads that nobody has touched for too long.
func (s *Service) expireUploads(ctx context.Context) error {
	_, err := s.dropExpired(ctx)
	return err
}

func (s *Service) dropExpired(ctx context.Context) (droppedUploads, error) {
	limit := s.now().Add(-s.live.Load().UploadExpiry)
	return s.dropUploads(ctx, table.Select{}, func(row uploadRow) bool { return !row.TouchedAt.After(limit) })
}

// droppedUploads are uploads that were removed, and their bytes.
type droppedUploads struct{ n, bytes int64 }

// dropUploads removes the uploads at rest that gone says yes to, a run of rows in a
// transaction.
func (s *Service) dropUploads(ctx context.Context, sel table.Select, gone func(uploadRow) bool) (all droppedUploads, err error) {
	if err := s.knowUploads(ctx); err != nil {
		return all, err
	}
	for sel.Limit = batch; ; {
		var found []table.Found[uploadRow]
		var last []string
		rows := 0
		err := s.update(ctx, func(tx storage.Tx) error {
			found, rows = nil, 0
			for f, err := range uploads.Scan(tx, sel) {
				if err != nil {
					return err
				}
				rows, last = rows+1, f.Key[len(sel.Prefix):]
				if !gone(f.Row) || s.sessions.here(f.Key[3]) {
					continue
				}
				if err := s.dropUpload(tx, f.Key, f.Row.Blob, f.Row.Offset, f.Row.Offset); err != nil {
					return err
				}
				found = append(found, f)
			}
			return nil
		})
		if err != nil {
			return all, err
		}
		for _, f := range found {
			all.n++
			all.bytes += f.Row.Offset
			s.sessions.close(ending{f.Key[3], f.Row.Owner, f.Key[2], ID{f.Key[0], f.Key[1]}, f.Row.Offset})
		}
		if sel.After = last; rows < batch {
			s.wakeJanitor()
			return all, nil
		}
	}
}

// trimEvents removes events older than their retention.
func (s *Service) trimEvents(ctx context.Context) error {
	limit := s.now().Add(-s.live.Load().EventRetention)
	for {
		n := 0
		err := s.update(ctx, func(tx storage.Tx) error {
			n = 0
			for f, err := range events.Scan(tx, table.Select{Limit: batch}) {
				if err != nil {
					return err
				}
				if f.Row.At.After(limit) {
					return nil
				}
				if err := events.Delete(tx, f.Key...); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil || n < batch {
			return err
		}
	}
}
