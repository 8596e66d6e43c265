package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
)

// found is what a journal says at its opening, as cheaply as can be told: of
// the files but the last only the beginnings are read, and of a journal that was
// closed in order not even that one's records.
type found struct {
	listing
	last uint64   // update up to which it reaches
	end  int64    // size of the sound part of the last segment
	cut  string   // what was not sound
	junk []uint64 // last segments whose making was cut short: they have no records
	// whole says that from the last snapshot, or from nothing, to the end no update
	// is missing.
	whole bool
}

// look finds out how far the journal reaches, and changes nothing of it.
func (k *keeper) look() (err error) {
	x := k.x
	if err := makeFolder(x.o.Disk, x.dir); err != nil {
		return err
	}
	f, err := look(x.dir)
	if err != nil {
		return err
	}
	k.found, k.index, k.number, k.sizes = f, x.inner.Last(), f.newest(), map[uint64]int64{}
	if k.index < f.last {
		return fmt.Errorf("%w: it is at update %d, the journal at %d", ErrBehind, k.index, f.last)
	}
	if k.index == 0 {
		if k.nothing, err = isEmpty(x.inner); err != nil {
			return err
		}
	}
	if k.follows() {
		x.status.Broken, x.synced = !f.whole, f.last
	} else {
		x.status.Broken = !k.nothing
	}
	if f.whole {
		x.status.Safe = f.last
	}
	return nil
}

// follows says whether the journal reaches up to the index.
func (k *keeper) follows() bool { return k.index == k.found.last && len(k.found.segments) > 0 }

// runWhenSound is run, once it is known that the index is sound.
func (k *keeper) runWhenSound() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-k.x.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := k.x.o.Sound(ctx)
	if err != nil {
		k.stayAway(err)
		return
	}
	if err := k.goOn(); err != nil {
		k.giveUp(err)
	}
	k.run()
}

// stayAway leaves the journal as it is, for the index is bad.
func (k *keeper) stayAway(why error) {
	x := k.x
	x.mu.Lock()
	x.down = true
	x.dropArrived()
	x.status.Failure, x.status.Failed = why.Error(), x.o.Now().UTC()
	x.announce()
	x.mu.Unlock()
	<-x.stop
	close(x.stopped)
}

// goOn begins to write where the journal ends.
func (k *keeper) goOn() error {
	x, f := k.x, k.found
	if err := removeDrafts(x.o.Disk, x.dir); err != nil {
		return err
	}
	if err := f.tidy(x.o.Disk, x.dir); err != nil {
		return err
	}
	if err := k.takeUp(f); err != nil {
		return err
	}
	if f.cut != "" {
		x.o.Log.Warn("journal: cut to the last sound record", "cut", f.cut, "update", f.last)
	}
	return k.noteFound(f)
}

// takeUp goes on with the last segment, or begins one if updates are missing.
func (k *keeper) takeUp(f found) error {
	switch {
	case k.follows():
		return k.append(f)
	case k.nothing:
		return k.begin(0, fromNothing)
	case f.last > 0:
		k.x.o.Log.Info("journal: behind the index; a new snapshot is begun", "journal", f.last, "index", k.index)
	}
	return k.begin(k.index, 0)
}

// append opens the last segment to append to it.
func (k *keeper) append(f found) error {
	n := f.newest()
	s := &segment{path: segmentPath(k.x.dir, n), number: n, size: f.end, last: f.last}
	var err error
	if s.file, err = extend(k.x.o.Disk, s.path, f.end); err != nil {
		return err
	}
	k.seg, k.next = s, f.last+1
	return k.sync()
}

// noteFound fills in what status says before anything has happened.
func (k *keeper) noteFound(f found) error {
	x := k.x
	since, snapshot, size := uint64(0), SnapshotEnd{}, int64(0)
	damaged := false
	if len(f.snapshots) > 0 {
		since = f.snapshots[len(f.snapshots)-1]
		info, err := os.Stat(snapshotPath(x.dir, since))
		if err != nil {
			return err
		}
		size = info.Size()
		if snapshot, err = readEnd(snapshotPath(x.dir, since)); err != nil {
			x.o.Log.Error("journal: the snapshot is damaged; a new one is begun", "error", err)
			damaged = true
		}
	}
	for _, n := range newer(f.segments, since) {
		info, err := os.Stat(segmentPath(x.dir, n))
		if err != nil {
			return err
		}
		k.sizes[n] = info.Size()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.synced = k.next - 1
	x.status.Cut, x.status.Snapshot, x.status.Size, x.status.Records = f.cut, snapshot, size, k.total()
	if x.status.Safe = f.last; damaged || !f.whole {
		x.status.Safe = 0
	}
	x.status.Broken = x.status.Broken || damaged
	if x.status.Safe < k.index && x.status.Since.IsZero() {
		x.status.Since = x.o.Now().UTC()
	}
	return nil
}

// isEmpty says whether an index has no rows.
func isEmpty(x storage.Index) (empty bool, err error) {
	err = x.View(context.Background(), func(r storage.Reader) error {
		empty = true
		for _, err := range r.Scan(storage.Range{Limit: 1}) {
			empty = false
			return err
		}
		return nil
	})
	return empty, err
}

// look reads what there is of a journal.
func look(dir string) (f found, err error) {
	if f.listing, err = list(dir); err != nil || len(f.segments) == 0 {
		return f, err
	}
	begins, err := f.readHeaders(dir)
	if err != nil || len(f.segments) == 0 {
		return f, err
	}
	if err := f.readLast(dir); err != nil {
		return f, err
	}
	f.whole = f.connected(begins)
	return f, nil
}

// readHeaders reads the beginnings that are sound, and sorts out the junk.
func (f *found) readHeaders(dir string) (map[uint64]header, error) {
	begins := map[uint64]header{}
	for _, n := range f.segments {
		h, err := readHeader(segmentPath(dir, n))
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		begins[n] = h
	}
	for n := len(f.segments); n > 0; n-- {
		last := f.segments[n-1]
		if _, ok := begins[last]; ok {
			break
		}
		f.junk, f.segments = append(f.junk, last), f.segments[:n-1]
		f.cut += segmentPath(dir, last) + ": its making was cut short; "
	}
	return begins, nil
}

// tidy removes what is of no use any more.
func (f found) tidy(fsys disk.FS, dir string) error {
	errs := []error{removeIfThere(fsys, filepath.Join(dir, closedFile))}
	for _, n := range f.junk {
		errs = append(errs, removeIfThere(fsys, segmentPath(dir, n)))
	}
	if f.whole && len(f.snapshots) > 0 && len(f.segments) > 0 { // the newest segment is gone on with
		errs = append(errs, f.removeBefore(fsys, dir, min(f.snapshots[len(f.snapshots)-1], f.newest())))
	}
	return errors.Join(errs...)
}

func readHeader(path string) (header, error) {
	file, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	r, err := NewRecordReader(io.LimitReader(file, headerBytes))
	if err := errors.Join(err, file.Close()); err != nil {
		return header{}, err
	}
	return r.frames.first, nil
}

// connected says that no update is missing since the last root.
func (f *found) connected(begins map[uint64]header) bool {
	var rooted, whole bool
	for _, n := range f.segments {
		h, ok := begins[n]
		switch {
		case !ok:
			rooted, whole = false, false
		case h.flags&fromNothing != 0:
			rooted, whole = true, true
		case h.flags&follows == 0:
			rooted, whole = false, true
		}
		for _, s := range f.snapshots {
			if s == n && ok {
				rooted, whole = true, true
			}
		}
	}
	return rooted && whole
}

// readLast finds out where the last segment ends: by the note that is left when a
// journal is closed in order, else by reading it.
func (f *found) readLast(dir string) error {
	last := f.segments[len(f.segments)-1]
	if note, ok := readClosed(dir, last); ok {
		f.last, f.end = note.last, note.size
		return nil
	}
	return f.readSegment(segmentPath(dir, last))
}

// readSegment reads one to its end, whose beginning is sound.
func (f *found) readSegment(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	r, err := NewRecordReader(file)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = r.Next()
	}
	f.last, f.end = r.Last(), r.Good()
	if err == io.EOF {
		return nil
	}
	f.cut += fmt.Sprintf("%s: %v; %d bytes after update %d are cut off", path, err, info.Size()-f.end, f.last)
	return unlessDamaged(err)
}

// The note of a journal that was closed in order: a frame with the number of the
// last segment, its size and its last record.
type closedNote struct {
	segment uint64
	size    int64
	last    uint64
}

func (k *keeper) markClosed() error {
	b := make([]byte, frameHead, frameHead+24)
	b = binary.LittleEndian.AppendUint64(b, k.seg.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(k.seg.size))
	b = binary.LittleEndian.AppendUint64(b, k.seg.last)
	sealFrame(b)
	return os.WriteFile(filepath.Join(k.x.dir, closedFile), b, 0o600)
}

// readClosed reads the note, which is of use if the segment is as it was then.
func readClosed(dir string, segment uint64) (n closedNote, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, closedFile))
	if err != nil || len(b) != frameHead+24 {
		return n, false
	}
	sum := binary.LittleEndian.Uint32(b)
	sealFrame(b)
	n.segment = binary.LittleEndian.Uint64(b[frameHead:])
	n.size = int64(binary.LittleEndian.Uint64(b[frameHead+8:]))
	n.last = binary.LittleEndian.Uint64(b[frameHead+16:])
	info, err := os.Stat(segmentPath(dir, segment))
	return n, sum == binary.LittleEndian.Uint32(b) && n.segment == segment && err == nil && info.Size() == n.size
}

// readEnd reads the end of a snapshot alone.
func readEnd(path string) (end SnapshotEnd, err error) {
	const tail = frameHead + endSize
	f, err := os.Open(path)
	if err != nil {
		return end, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return end, err
	}
	if info.Size() < headerBytes+tail {
		return end, fmt.Errorf("%s: %w: it is cut short", path, ErrDamaged)
	}
	begin := io.NewSectionReader(f, 0, headerBytes)
	r, err := NewSnapshotReader(io.MultiReader(begin, io.NewSectionReader(f, info.Size()-tail, tail)))
	if err == nil {
		err = r.Verify()
	}
	if err != nil {
		return end, fmt.Errorf("%s: %w", path, err)
	}
	return r.End(), nil
}

func removeDrafts(fsys disk.FS, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), draftSuffix) {
			if err := removeIfThere(fsys, filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
