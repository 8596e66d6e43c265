package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// shot is a snapshot that has ended, or could not be made.
type shot struct {
	number uint64 // of its file
	end    SnapshotEnd
	size   int64
	err    error
}

// large says that a new snapshot is due.
func (k *keeper) large() bool { return k.total() > max(k.x.o.Compact, k.lastSize()) }

func (k *keeper) lastSize() int64 {
	k.x.mu.Lock()
	defer k.x.mu.Unlock()
	return k.x.status.Size
}

// compact begins a snapshot if one is due and none is under way.
func (k *keeper) compact() {
	if k.cancel != nil || time.Now().Before(k.again) || !k.broken() && !k.large() {
		return
	}
	if k.seg.size > headerBytes {
		if err := k.turn(); err != nil {
			k.giveUp(err)
			return
		}
	}
	if !k.seg.named { // before what is older goes, though no record may come
		if err := k.sync(); err != nil {
			k.giveUp(err)
			return
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel, k.shots = cancel, make(chan shot, 1)
	k.tell(func(s *Status) { s.Snapshotting = true })
	go func(number, begin uint64, done chan<- shot) {
		defer cancel()
		made := shot{number: number}
		made.end, made.size, made.err = k.x.snapshot(ctx, number, begin)
		done <- made
	}(k.seg.number, k.seg.last, k.shots)
}

// tell changes the status.
func (k *keeper) tell(change func(*Status)) {
	k.x.mu.Lock()
	defer k.x.mu.Unlock()
	change(&k.x.status)
	k.x.announce()
}

// stopSnapshot ends the one under way, if there is one.
func (k *keeper) stopSnapshot() {
	if k.cancel == nil {
		return
	}
	k.cancel()
	k.snapshotEnded(<-k.shots)
}

// snapshotEnded takes over what became of a snapshot.
func (k *keeper) snapshotEnded(s shot) {
	k.cancel, k.shots = nil, nil
	x := k.x
	if s.err != nil {
		k.pause = min(max(2*k.pause, x.o.Retry), max(maxPause, x.o.Retry))
		k.again = time.Now().Add(k.pause)
		if !errors.Is(s.err, context.Canceled) {
			x.o.Log.Error("journal: no snapshot", "error", s.err, "again", k.pause)
		}
		k.tell(func(st *Status) {
			st.Snapshotting = false
			if !errors.Is(s.err, context.Canceled) {
				st.Failure, st.Failed = fmt.Sprintf("no snapshot: %v", s.err), x.o.Now().UTC()
			}
		})
		return
	}
	x.o.Log.Info("journal: snapshot", "rows", s.end.Rows, "bytes", s.size, "update", s.end.Number)
	k.pause = 0
	k.forgetBefore(s.number)
	total := k.total()
	k.tell(func(st *Status) {
		st.Snapshotting, st.Broken = false, false
		st.Snapshot, st.Size, st.Records = s.end, s.size, total
		if st.Safe = x.synced; k.dirty.IsZero() {
			st.Since = time.Time{}
		}
	})
}

// snapshot writes one that begins with a segment, and when it and all that it
// needs is safe removes what is older.
func (x *Index) snapshot(ctx context.Context, number, begin uint64) (end SnapshotEnd, size int64, err error) {
	if err := x.o.Room(); err != nil {
		return end, 0, err
	}
	path := snapshotPath(x.dir, number)
	draft := path + draftSuffix
	f, err := create(x.o.Disk, draft)
	if err != nil {
		return end, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(x.o.Disk, draft))
		}
	}()
	end, size, err = x.writeRows(ctx, f, begin)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return end, 0, err
	}
	failpoint.Hit(failpoint.SnapshotSynced)
	if err := x.await(ctx, end.Number); err != nil {
		return end, 0, err
	}
	if err := x.o.Disk.Rename(draft, path); err != nil {
		return end, 0, err
	}
	failpoint.Hit(failpoint.SnapshotRenamed)
	if err := disk.Sync(x.o.Disk, x.dir); err != nil {
		return end, 0, err
	}
	failpoint.Hit(failpoint.SnapshotNamed)
	if err := x.removeBefore(number); err != nil {
		x.o.Log.Warn("journal: old files stay", "error", err)
	}
	failpoint.Hit(failpoint.JournalTrimmed)
	return end, size, nil
}

// writeRows writes the rows of the index, not faster than is set.
func (x *Index) writeRows(ctx context.Context, f disk.File, begin uint64) (SnapshotEnd, int64, error) {
	buffered := bufio.NewWriterSize(f, 2*blockSize)
	w, err := NewSnapshotWriter(buffered, begin)
	if err != nil {
		return SnapshotEnd{}, 0, err
	}
	number := begin
	start := time.Now()
	for after := ""; ; {
		page, n, err := readPage(ctx, x.inner, after)
		if err != nil {
			return SnapshotEnd{}, 0, err
		}
		number = max(number, n)
		for _, e := range page {
			if err := w.Put(e.Key, e.Value); err != nil {
				return SnapshotEnd{}, 0, err
			}
			after = e.Key
		}
		if len(page) == 0 {
			break
		}
		due := time.Duration(float64(w.Size()) / float64(x.o.Rate) * float64(time.Second))
		if err := pause(ctx, due-time.Since(start)); err != nil {
			return SnapshotEnd{}, 0, err
		}
	}
	end, err := w.Finish(number, x.o.Now())
	return end, w.Size(), errors.Join(err, buffered.Flush())
}

// pause waits for a time that is worth it.
func pause(ctx context.Context, d time.Duration) error {
	if d < 5*time.Millisecond {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await waits until the records up to a number are synced, or the run of segments
// that they belong to has ended.
func (x *Index) await(ctx context.Context, number uint64) error {
	for {
		x.mu.Lock()
		synced, moved := x.synced, x.moved
		x.mu.Unlock()
		if synced >= number {
			return ctx.Err()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// removeBefore removes the files that a snapshot makes needless, unless somebody
// reads: then the next snapshot does.
func (x *Index) removeBefore(number uint64) error {
	if !x.files.TryLock() {
		return nil
	}
	defer x.files.Unlock()
	l, err := list(x.dir)
	if err != nil {
		return err
	}
	return l.removeBefore(x.o.Disk, x.dir, number)
}

func (l listing) removeBefore(fsys disk.FS, dir string, number uint64) error {
	var errs []error
	for _, n := range l.segments {
		if n < number {
			errs = append(errs, fsys.Remove(segmentPath(dir, n)))
		}
	}
	for _, n := range l.snapshots {
		if n < number {
			errs = append(errs, fsys.Remove(snapshotPath(dir, n)))
		}
	}
	return errors.Join(errs...)
}
