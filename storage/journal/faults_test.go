package journal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/journal"
	"github.com/seed-78150930/berth/storage/memory"
)

// failing is a disk that fails while it is told to.
type failing struct {
	disk.OS
	write, sync, create atomic.Pointer[error]
	syncs               atomic.Int64 // of files that failed once
}

func fail(p *atomic.Pointer[error], err error) { p.Store(&err) }

func failure(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

func (d *failing) OpenFile(name string, flag int, mode fs.FileMode) (disk.File, error) {
	if err := failure(&d.create); err != nil && flag&os.O_CREATE != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := d.OS.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	return &failingFile{File: f, disk: d}, nil
}

type failingFile struct {
	disk.File
	disk   *failing
	failed bool
}

func (f *failingFile) Write(b []byte) (int, error) {
	if err := failure(&f.disk.write); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

func (f *failingFile) Sync() error {
	if f.failed {
		f.disk.syncs.Add(1)
	}
	if err := failure(&f.disk.sync); err != nil {
		f.failed = true
		return err
	}
	return f.File.Sync()
}

// TestFailuresStopNoUpdate lets writes, syncs and the making of files fail. Updates
// go on, the status says what is, no sync is asked again, and when the disk is well
// the journal has all there is.
func TestFailuresStopNoUpdate(t *testing.T) {
	tests := map[string]struct {
		where func(*failing) *atomic.Pointer[error]
		err   error
	}{
		"full disk":   {func(d *failing) *atomic.Pointer[error] { return &d.write }, syscall.ENOSPC},
		"failed sync": {func(d *failing) *atomic.Pointer[error] { return &d.sync }, syscall.EIO},
		"read-only":   {func(d *failing) *atomic.Pointer[error] { return &d.create }, syscall.EROFS},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &failing{}
			dir := filepath.Join(t.TempDir(), "journal")
			o := quick
			o.Disk, o.Segment = d, 2<<10
			h := newHistory(21)
			inner := memory.NewIndex()
			x := over(t, inner, dir, o)
			h.run(t, x, 50)
			must(t, x.Sync(ctx))
			safe := uint64(len(h.states) - 1)
			at := tt.where(d)
			fail(at, tt.err)
			for x.Status().Failure == "" {
				h.run(t, x, 20)
			}
			st := x.Status()
			if !strings.Contains(st.Failure, tt.err.Error()) || !st.Broken || st.Since.IsZero() || st.Safe < safe || st.Behind() == 0 {
				t.Errorf("status %+v, want a failure of %v after update %d", st, tt.err, safe)
			}
			if err := x.Sync(ctx); err == nil {
				t.Error("Sync says that all is safe")
			}
			behind := st.Safe
			if _, r := replayed(t, copyFolder(t, dir), journal.At{}); r.Number < behind {
				t.Errorf("while it fails the journal reaches to %d, and said %d", r.Number, behind)
			}
			at.Store(nil)
			for x.Sync(ctx) != nil {
				h.run(t, x, 1)
			}
			h.run(t, x, 50)
			must(t, x.Close())
			wantReplay(t, dir, journal.At{}, h.last(), uint64(len(h.states)-1))
			if n := d.syncs.Load(); n > 0 {
				t.Errorf("%d syncs of files whose sync had failed", n)
			}
		})
	}
}

// TestMemoryIsBounded has more records come than may wait.
func TestMemoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	o := quick
	o.Memory = 3000
	x := over(t, memory.NewIndex(), dir, o)
	h := newHistory(22)
	h.run(t, x, 300)
	update(t, x, put("large", strings.Repeat("x", 4000)))
	h.last()["large"] = strings.Repeat("x", 4000)
	h.states = append(h.states, h.last())
	for x.Sync(ctx) != nil {
		h.run(t, x, 1)
	}
	if st := x.Status(); !strings.Contains(st.Failure, "more records wait") {
		t.Errorf("status %+v, want that records were dropped", st)
	}
	must(t, x.Close())
	wantReplay(t, dir, journal.At{}, h.last(), uint64(len(h.states)-1))
}

// TestNoRoomForASnapshot writes none, and says so.
func TestNoRoomForASnapshot(t *testing.T) {
	inner := memory.NewIndex()
	update(t, inner, put("a", "1"))
	var full atomic.Bool
	full.Store(true)
	o := quick
	o.Room = func() error {
		if full.Load() {
			return storage.ErrFull
		}
		return nil
	}
	dir := t.TempDir()
	x := over(t, inner, dir, o)
	update(t, x, put("b", "2")) // the journal may have failed before
	for !strings.Contains(x.Status().Failure, storage.ErrFull.Error()) {
		update(t, x, put("b", "2"))
	}
	if _, err := journal.Open(dir, journal.At{}); !errors.Is(err, journal.ErrNothing) {
		t.Errorf("without a snapshot: %v, want ErrNothing", err)
	}
	full.Store(false)
	must(t, x.Sync(ctx))
	last := x.Last()
	must(t, x.Close())
	wantReplay(t, dir, journal.At{}, rows{"a": "1", "b": "2"}, last)
}

// TestSnapshotThatFails leaves the old one until the disk is well.
func TestSnapshotThatFails(t *testing.T) {
	dir := t.TempDir()
	d := &snapless{}
	o := quick
	o.Disk, o.Compact = d, 4<<10
	x := over(t, memory.NewIndex(), dir, o)
	h := newHistory(23)
	d.fails.Store(true)
	for !strings.Contains(x.Status().Failure, "no snapshot") {
		h.run(t, x, 20)
	}
	must(t, x.Sync(ctx))
	if st := x.Status(); st.Broken || st.Snapshot.Number != 0 {
		t.Errorf("status %+v, want a whole journal without a snapshot", st)
	}
	if drafts := files(t, dir, ".new"); len(drafts) > 1 {
		t.Errorf("drafts %v stay", drafts)
	}
	d.fails.Store(false)
	for x.Status().Snapshot.Number == 0 {
		h.run(t, x, 20)
	}
	must(t, x.Close())
	wantReplay(t, dir, journal.At{}, h.last(), uint64(len(h.states)-1))
}

// snapless is a disk on which no snapshot can be made while it fails.
type snapless struct {
	disk.OS
	fails atomic.Bool
}

var errNoSnapshot = errors.New("not this one")

func (d *snapless) Rename(from, to string) error {
	if d.fails.Load() {
		return errNoSnapshot
	}
	return d.OS.Rename(from, to)
}
