package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// keeper is the goroutine that alone writes the segments. What it has is its own
// but where Index says otherwise.
type keeper struct {
	x       *Index
	found   found             // when it was opened
	index   uint64            // the index's last update then
	nothing bool              // it had no rows
	next    uint64            // number of the next record to be written
	early   map[uint64]record // came before it
	gap     time.Time         // since when the next one is missing that later ones came before
	number  uint64            // of the newest file
	seg     *segment          // nil while there is none
	sizes   map[uint64]int64  // of segments since the last snapshot
	dirty   time.Time         // since when there is something to sync
	oldest  time.Time         // when the oldest came of what is not synced

	retry  time.Time     // when to begin again, if there is no segment
	pause  time.Duration // before the next time
	shots  chan shot     // a snapshot that has ended
	cancel context.CancelFunc
	again  time.Time // not before that is a snapshot tried
}

// patience is how long a record may be missing while later ones are there.
const patience = 10 * time.Second

const maxPause = time.Minute

// segment is the file that records are appended to.
type segment struct {
	file   disk.File
	path   string
	number uint64
	named  bool  // the folder is synced since it was made
	size   int64 // written
	synced int64
	last   uint64 // record that was written
	out    []byte // of records that are about to be
}

func (k *keeper) run() {
	x := k.x
	defer close(x.stopped)
	for {
		timer := time.NewTimer(k.idle())
		select {
		case <-x.wake:
		case <-timer.C:
		case done := <-k.shots:
			k.snapshotEnded(done)
		case <-x.stop:
			timer.Stop()
			k.end()
			return
		}
		timer.Stop()
		k.work()
	}
}

// idle is how long there is nothing to do unless something comes.
func (k *keeper) idle() time.Duration {
	d := time.Hour
	if !k.dirty.IsZero() {
		d = min(d, time.Until(k.dirty.Add(k.x.o.SyncEvery)))
	}
	if k.seg == nil {
		d = min(d, time.Until(k.retry))
	} else if k.cancel == nil && (k.broken() || k.large()) {
		d = min(d, time.Until(k.again))
	}
	if !k.gap.IsZero() {
		d = min(d, time.Until(k.gap.Add(patience)))
	}
	return max(d, 0)
}

func (k *keeper) broken() bool {
	k.x.mu.Lock()
	defer k.x.mu.Unlock()
	return k.x.status.Broken
}

// work does whatever is due.
func (k *keeper) work() {
	batch, down := k.take()
	if down && k.seg != nil {
		k.giveUp(errors.New("more records wait for the disk than memory is set aside for"))
	}
	if k.seg == nil && !time.Now().Before(k.retry) {
		k.restart()
	}
	if k.seg == nil {
		return
	}
	k.sort(batch)
	if err := k.write(); err != nil {
		k.giveUp(err)
		return
	}
	urgent := k.urgent()
	if !k.dirty.IsZero() && (urgent || time.Since(k.dirty) >= k.x.o.SyncEvery) {
		if err := k.sync(); err != nil {
			k.giveUp(err)
			return
		}
	}
	if !k.gap.IsZero() && time.Since(k.gap) > patience {
		k.giveUp(fmt.Errorf("update %d left no record", k.next))
		return
	}
	k.compact()
}

func (k *keeper) urgent() bool {
	k.x.mu.Lock()
	defer k.x.mu.Unlock()
	urgent := k.x.urgent
	k.x.urgent = urgent && k.x.inner.Last() >= k.next // a record is on its way
	return urgent
}

// take takes what has come.
func (k *keeper) take() (batch []record, down bool) {
	x := k.x
	x.mu.Lock()
	defer x.mu.Unlock()
	batch, x.arrived = x.arrived, nil
	if len(batch) > 0 && k.oldest.IsZero() {
		k.oldest = x.oldest
		if x.status.Since.IsZero() {
			x.status.Since = k.oldest
		}
	}
	if k.seg != nil && !x.down {
		x.oldest = time.Time{}
	}
	return batch, x.down
}

// sort puts records where the next one is found.
func (k *keeper) sort(batch []record) {
	for _, r := range batch {
		if r.number < k.next {
			k.forget(r) // the snapshot that was begun since has it
			continue
		}
		k.early[r.number] = r
	}
}

// forget is done with a record.
func (k *keeper) forget(r record) {
	k.x.mu.Lock()
	k.x.waiting -= int64(len(*r.frame))
	k.x.mu.Unlock()
	k.x.free(r.frame)
}

// writeSize is about how many bytes are written at once.
const writeSize = 256 << 10

// write writes all records that are next.
func (k *keeper) write() error {
	now := k.x.o.Now().UTC()
	for {
		r, ok := k.early[k.next]
		if !ok {
			break
		}
		delete(k.early, k.next)
		sealRecord(*r.frame, r.number, now)
		k.seg.out = append(k.seg.out, *r.frame...)
		k.forget(r)
		k.next++
		if len(k.seg.out) >= writeSize {
			if err := k.flush(); err != nil {
				return err
			}
		}
	}
	k.noteGap()
	return k.flush()
}

func (k *keeper) noteGap() {
	switch {
	case len(k.early) == 0:
		k.gap = time.Time{}
	case k.gap.IsZero():
		k.gap = time.Now()
	}
}

// flush writes what is ready, and begins a new segment when this one is full.
func (k *keeper) flush() error {
	s := k.seg
	if len(s.out) == 0 {
		return nil
	}
	if k.dirty.IsZero() {
		k.dirty = time.Now()
	}
	n, err := s.file.Write(s.out)
	failpoint.Hit(failpoint.RecordsWritten)
	s.size += int64(n)
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	s.last, s.out = k.next-1, s.out[:0]
	if cap(s.out) > 4*writeSize {
		s.out = nil
	}
	k.sizes[s.number] = s.size
	if s.size >= k.x.o.Segment {
		return k.turn()
	}
	return nil
}

// sync makes safe what was written.
func (k *keeper) sync() error {
	s := k.seg
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	failpoint.Hit(failpoint.RecordsSynced)
	if !s.named {
		if err := disk.Sync(k.x.o.Disk, k.x.dir); err != nil {
			return fmt.Errorf("sync %s: %w", k.x.dir, err)
		}
		failpoint.Hit(failpoint.SegmentNamed)
		s.named = true
	}
	s.synced, k.dirty, k.oldest = s.size, time.Time{}, time.Time{}
	x := k.x
	x.mu.Lock()
	defer x.mu.Unlock()
	x.synced = s.last
	x.status.Records = k.total()
	if !x.status.Broken {
		x.status.Safe, x.status.Since = s.last, time.Time{}
	}
	x.announce()
	return nil
}

// turn ends the segment and begins the next, which follows it.
func (k *keeper) turn() error {
	if err := k.sync(); err != nil {
		return err
	}
	old := k.seg
	next, err := k.create(header{number: old.last, flags: follows})
	if err != nil {
		return err
	}
	k.seg = next
	if err := old.file.Close(); err != nil {
		k.x.o.Log.Warn("journal: a segment could not be closed", "path", old.path, "error", err)
	}
	return nil
}

// create makes the next segment.
func (k *keeper) create(h header) (*segment, error) {
	k.number++
	s := &segment{path: segmentPath(k.x.dir, k.number), number: k.number, last: h.number}
	var err error
	if s.file, err = create(k.x.o.Disk, s.path); err != nil {
		return nil, fmt.Errorf("begin a segment: %w", err)
	}
	failpoint.Hit(failpoint.SegmentMade)
	h.time = k.x.o.Now()
	n, err := s.file.Write(h.appendTo(nil, recordMagic))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin segment %s: %w", s.path, err), s.file.Close(), removeIfThere(k.x.o.Disk, s.path))
	}
	s.size = int64(n)
	k.sizes[s.number] = s.size
	k.dirty = time.Now()
	return s, nil
}

// total is how many bytes of records there are since the last snapshot.
func (k *keeper) total() (n int64) {
	for _, size := range k.sizes {
		n += size
	}
	return n
}

// giveUp is done with the segment after a failure: nothing that was not synced
// counts, and what is not written is dropped.
func (k *keeper) giveUp(cause error) {
	x := k.x
	if s := k.seg; s != nil {
		// What was synced stays of use if the rest, whose state is unknown, is gone.
		if err := errors.Join(s.file.Truncate(s.synced), s.file.Close()); err != nil {
			x.o.Log.Warn("journal: a segment could not be ended", "path", s.path, "error", err)
		}
	}
	k.seg, k.dirty, k.gap = nil, time.Time{}, time.Time{}
	k.stopSnapshot()
	k.pause = min(max(2*k.pause, x.o.Retry), max(maxPause, x.o.Retry))
	k.retry = time.Now().Add(k.pause)
	x.o.Log.Error("journal: given up for now, the index alone is kept", "error", cause, "again", k.pause)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.down = true
	x.dropArrived()
	for _, r := range k.early {
		x.waiting -= int64(len(*r.frame))
	}
	clear(k.early)
	x.status.Broken = true
	x.status.Failure, x.status.Failed = cause.Error(), x.o.Now().UTC()
	if x.status.Since.IsZero() {
		x.status.Since = cmp.Or(k.oldest, x.oldest, x.o.Now())
	}
	x.announce()
}

// restart begins again after a failure: with a segment of all updates from now on,
// and a snapshot of what was before.
func (k *keeper) restart() {
	x := k.x
	x.mu.Lock()
	x.down, x.oldest = false, time.Time{}
	x.mu.Unlock()
	// Every update whose record was dropped has been reached by Last.
	if err := k.begin(x.inner.Last(), 0); err != nil {
		k.giveUp(err)
		return
	}
	k.again = time.Time{}
}

// begin begins a run of segments after an update.
func (k *keeper) begin(after uint64, flags byte) (err error) {
	k.seg, err = k.create(header{number: after, flags: flags})
	k.next = after + 1
	return err
}

// end is the keeper's last act.
func (k *keeper) end() {
	k.stopSnapshot()
	batch, down := k.take()
	if k.seg == nil || down {
		return
	}
	k.sort(batch)
	err := k.write()
	if err == nil {
		err = k.sync()
	}
	if err != nil {
		k.giveUp(err)
		return
	}
	if err := errors.Join(k.seg.file.Close(), k.markClosed()); err != nil {
		k.x.o.Log.Warn("journal: not closed in order; the next start reads its last segment", "error", err)
	}
}

// forgetBefore takes out of the sizes what a snapshot made needless.
func (k *keeper) forgetBefore(n uint64) {
	for old := range k.sizes {
		if old < n {
			delete(k.sizes, old)
		}
	}
}

// newer returns those numbers that are not below n.
func newer(all []uint64, n uint64) []uint64 {
	i, _ := slices.BinarySearch(all, n)
	return all[i:]
}
