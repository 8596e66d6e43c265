package boltindex_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/storagetest"
)

func openAs(t testing.TB, dir string, o boltindex.Options) *boltindex.Index {
	t.Helper()
	x, err := boltindex.Open(filepath.Join(dir, "index.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// rowsPut puts many rows of about a page in one update; a part of them is deleted
// in the next.
func rowsPut(t testing.TB, x *boltindex.Index, count int, deleted func(n int) bool) {
	t.Helper()
	name := func(n int) string { return fmt.Sprintf("row/%06d", n) }
	err := errors.Join(
		x.Update(ctx, func(tx storage.Tx) error {
			for n := range count {
				if err := tx.Put(name(n), bytes.Repeat([]byte{byte(n)}, 3000)); err != nil {
					return err
				}
			}
			return nil
		}),
		x.Update(ctx, func(tx storage.Tx) error {
			for n := range count {
				if !deleted(n) {
					continue
				}
				if err := tx.Delete(name(n)); err != nil {
					return err
				}
			}
			return tx.Put("other", nil)
		}))
	if err != nil {
		t.Fatal(err)
	}
}

// hollow leaves a file of which little is in use.
func hollow(t testing.TB, x *boltindex.Index) {
	rowsPut(t, x, 600, func(n int) bool { return n%10 != 0 })
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	return info.Size()
}

func wantFiles(t testing.TB, dir string, want ...string) {
	t.Helper()
	var got []string
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got = append(got, f.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "index.db")
	x := openAs(t, dir, boltindex.Options{})
	hollow(t, x)
	rows, last, before := content(t, x), x.Last(), size(t, path)
	done, err := x.Compact(ctx)
	if err != nil {
		t.Fatal(err)
	}
	after := size(t, path)
	if done.Before != before || done.After != after || after >= before/2 || done.Rows != int64(len(rows)) || done.Held > done.Took {
		t.Errorf("%+v, from %d to %d bytes with %d rows", done, before, after, len(rows))
	}
	wantFiles(t, dir, "index.db")
	same := func(when string) {
		t.Helper()
		if diff := cmp.Diff(rows, content(t, x)); diff != "" {
			t.Errorf("rows %s (-want +got):\n%s", when, diff)
		}
		if x.Last() != last {
			t.Errorf("%s the last update is %d, want %d", when, x.Last(), last)
		}
	}
	same("after it")
	var number uint64
	err = x.Update(ctx, func(tx storage.Tx) error {
		number = tx.(storage.Numbering).Number()
		return tx.Put("more", []byte("1"))
	})
	if err != nil || number != last+1 {
		t.Errorf("the next update is %d, error %v; want %d", number, err, last+1)
	}
	rows["more"], last = "1", last+1
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = openAs(t, dir, boltindex.Options{})
	if x.Found() != boltindex.Closed {
		t.Errorf("found %q after a stop in order", x.Found())
	}
	same("after a start")
	if s := x.Space(); s.Free > s.Pages/4 || s.File < s.Pages {
		t.Errorf("space %+v after a compaction", s)
	}
}

// TestCompactUnwritten compacts a file that nothing was written to since it was opened.
func TestCompactUnwritten(t *testing.T) {
	dir := t.TempDir()
	x := openAs(t, dir, boltindex.Options{})
	hollow(t, x)
	rows := content(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	for _, found := range []boltindex.Found{boltindex.Closed, boltindex.Closed} {
		x = openAs(t, dir, boltindex.Options{})
		if x.Found() != found {
			t.Errorf("found %q, want %q", x.Found(), found)
		}
		if _, err := x.Compact(ctx); err != nil {
			t.Fatal(err)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(rows, content(t, openAs(t, dir, boltindex.Options{}))); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// TestIndexCompactedAllTheTime asks of an index that is compacted again and again what
// is asked of every index.
func TestIndexCompactedAllTheTime(t *testing.T) {
	storagetest.Index(t, func(t testing.TB) storage.Index {
		x := open(t, t.TempDir())
		var running sync.WaitGroup
		running.Go(func() {
			for n := 0; ; n++ {
				if _, err := x.Compact(ctx); err != nil { // it is closed
					return
				}
			}
		})
		t.Cleanup(func() {
			_ = x.Close()
			running.Wait()
		})
		return x
	})
}

// TestCompactBesideUpdates writes rows while they are copied, each goroutine its own.
func TestCompactBesideUpdates(t *testing.T) {
	dir := t.TempDir()
	x := openAs(t, dir, boltindex.Options{})
	rowsPut(t, x, 1500, func(n int) bool { return n%2 == 0 }) // to be copied in several steps
	want := content(t, x)
	const writers = 4
	wrote := make([]map[string]string, writers)
	enough := make(chan struct{})
	var running sync.WaitGroup
	for i := range writers {
		wrote[i] = map[string]string{}
		running.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for n := 0; ; n++ {
				select {
				case <-enough:
					return
				default:
				}
				key, value := fmt.Sprintf("row/%06d", r.IntN(1500)/writers*writers+i), fmt.Sprint(i, n)
				drop := r.IntN(3) == 0
				err := x.Update(ctx, func(tx storage.Tx) error {
					if drop {
						return tx.Delete(key)
					}
					return tx.Put(key, []byte(value))
				})
				if err != nil {
					t.Error(err)
					return
				}
				if wrote[i][key] = value; drop {
					wrote[i][key] = "none"
				}
			}
		})
	}
	for range 5 {
		if _, err := x.Compact(ctx); err != nil {
			t.Error(err)
		}
	}
	close(enough)
	running.Wait()
	for _, w := range wrote {
		maps.Copy(want, w)
	}
	maps.DeleteFunc(want, func(_, v string) bool { return v == "none" })
	check := func(when string) {
		t.Helper()
		if diff := cmp.Diff(want, content(t, x)); diff != "" {
			t.Errorf("rows %s (-want +got):\n%.2000s", when, diff)
		}
	}
	check("after it")
	last := x.Last()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = openAs(t, dir, boltindex.Options{})
	check("after a start")
	if x.Last() != last {
		t.Errorf("the last update is %d, want %d", x.Last(), last)
	}
}

// TestCompactWithAViewOpen has a view end on what it began with, while updates and
// other views go on in the new file.
func TestCompactWithAViewOpen(t *testing.T) {
	x := openTemp(t)
	hollow(t, x)
	compacted := make(chan error, 1)
	err := x.View(ctx, func(r storage.Reader) error {
		go func() {
			_, err := x.Compact(ctx)
			compacted <- err
		}()
		for x.Compactions() == 0 {
			time.Sleep(time.Millisecond)
		}
		if err := x.Update(ctx, put("row/000010", "new")); err != nil {
			return err
		}
		value, err := r.Get("row/000010")
		if err != nil || len(value) != 3000 {
			t.Errorf("the view sees %d bytes, error %v", len(value), err)
		}
		select {
		case err := <-compacted:
			t.Errorf("the old file is closed while a view has it: %v", err)
		default:
		}
		return nil
	})
	if err := errors.Join(err, <-compacted); err != nil {
		t.Fatal(err)
	}
	if got := content(t, x)["row/000010"]; got != "new" {
		t.Errorf("after it the row is %q", got)
	}
}

// TestCompactWhenDue has an index ask itself.
func TestCompactWhenDue(t *testing.T) {
	tests := []struct {
		name    string
		over    int64
		deleted func(n int) bool
		want    int64
	}{
		{"more than half free", 1 << 20, func(n int) bool { return n%4 != 0 }, 1},
		{"less than half free", 1 << 20, func(n int) bool { return n < 100 }, 0},
		{"small", 4 << 20, func(n int) bool { return n%4 != 0 }, 0},
		{"small for a server", 0, func(n int) bool { return n%4 != 0 }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			x := openAs(t, dir, boltindex.Options{}.CompactOver(tt.over))
			rowsPut(t, x, 600, tt.deleted)
			for range 2 {
				if err := x.CompactIfDue(); err != nil {
					t.Fatal(err)
				}
			}
			if got := x.Compactions(); got != tt.want {
				t.Errorf("compacted %d times, want %d; %+v", got, tt.want, x.Space())
			}
		})
	}
}

// TestCompactsByItself opens a file that is worth it.
func TestCompactsByItself(t *testing.T) {
	dir := t.TempDir()
	x := openAs(t, dir, boltindex.Options{})
	hollow(t, x)
	rows := content(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = openAs(t, dir, boltindex.Options{}.CompactOver(1<<20))
	for x.Compactions() == 0 {
		time.Sleep(time.Millisecond)
	}
	if diff := cmp.Diff(rows, content(t, x)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestSpace(t *testing.T) {
	dir := t.TempDir()
	x := openAs(t, dir, boltindex.Options{})
	rowsPut(t, x, 3000, func(n int) bool { return n < 2400 })
	if err := x.CompactIfDue(); err != nil {
		t.Fatal(err)
	}
	sampled := x.Space()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	counted := openAs(t, dir, boltindex.Options{}).Space()
	for what, s := range map[string]boltindex.Space{"sampled": sampled, "counted": counted} {
		share := float64(s.Free) / float64(s.Pages)
		if s.Pages < 9<<20 || s.File < s.Pages || share < 0.7 || share > 0.9 {
			t.Errorf("%s: %+v, %.2f free, want about 0.8", what, s, share)
		}
	}
}

// TestCompactWithoutRoom has the index go on with the file that it has.
func TestCompactWithoutRoom(t *testing.T) {
	asked := int64(0)
	tests := map[string]boltindex.Options{
		"found while copying": boltindex.Options{}.MaxCopy(300 << 10),
		"found before": {Room: func(n int64) error {
			asked = n
			return storage.ErrFull
		}},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			x := openAs(t, dir, o)
			hollow(t, x)
			rows := content(t, x)
			if _, err := x.Compact(ctx); !errors.Is(err, storage.ErrFull) {
				t.Errorf("Compact: %v, want ErrFull", err)
			}
			wantFiles(t, dir, "index.db")
			if err := x.Update(ctx, put("more", "")); err != nil {
				t.Errorf("Update after it: %v", err)
			}
			rows["more"] = ""
			if diff := cmp.Diff(rows, content(t, x)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
	if asked == 0 {
		t.Error("nobody was asked for room")
	}
}

// TestOpenRemovesACopy leaves what a death in a compaction leaves.
func TestOpenRemovesACopy(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.db.compacted"), []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	openAs(t, dir, boltindex.Options{})
	wantFiles(t, dir, "index.db")
}

// TestCloseEndsACompaction closes an index when its copy has just been made.
func TestCloseEndsACompaction(t *testing.T) {
	dir := t.TempDir()
	var x *boltindex.Index
	closed := make(chan error, 1)
	x = openAs(t, dir, boltindex.Options{}.Opened(func(f *os.File) {
		if !strings.HasSuffix(f.Name(), ".compacted") {
			return
		}
		go func() { closed <- x.Close() }()
		for x.View(ctx, func(storage.Reader) error { return nil }) == nil {
			time.Sleep(time.Millisecond)
		}
	}))
	hollow(t, x)
	if _, err := x.Compact(ctx); err == nil {
		t.Error("Compact of a closed index succeeds")
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	wantFiles(t, dir, "index.db", "index.db.closed")
}

// TestOpenOfAFileThatWasCompacted has a second process open the file, and get its
// lock when it has lost its name.
func TestOpenOfAFileThatWasCompacted(t *testing.T) {
	dir := t.TempDir()
	x := openAs(t, dir, boltindex.Options{})
	if err := x.Update(ctx, put("a", "1")); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = openAs(t, dir, boltindex.Options{}) // the file need not be locked to be read
	o := boltindex.Options{}.Opened(func(*os.File) {
		if _, err := x.Compact(ctx); err != nil {
			t.Error(err)
		}
	})
	_, err := boltindex.Open(filepath.Join(dir, "index.db"), o)
	if err == nil || !strings.Contains(err.Error(), "compacted it meanwhile") {
		t.Errorf("Open: %v", err)
	}
}

// snapping is a disk that has a copy made of a folder before and after each change of
// names and each sync, as if a process died there, and one of whose calls may fail.
type snapping struct {
	disk.OS
	t      *testing.T
	dir    string
	copies []string // nil while none are to be made
	fails  string
}

func (s *snapping) around(what string, do func() error) error {
	s.snap()
	defer s.snap()
	if what == s.fails {
		return &fs.PathError{Op: what, Path: s.dir, Err: syscall.EIO}
	}
	return do()
}

func (s *snapping) snap() {
	if s.copies == nil {
		return
	}
	to := filepath.Join(s.t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(s.dir)); err != nil {
		s.t.Error(err)
	}
	s.copies = append(s.copies, to)
}

func (s *snapping) Rename(from, to string) error {
	return s.around("rename", func() error { return s.OS.Rename(from, to) })
}

func (s *snapping) Remove(name string) error {
	return s.around("remove", func() error { return s.OS.Remove(name) })
}

func (s *snapping) OpenFile(name string, flag int, mode fs.FileMode) (disk.File, error) {
	f, err := s.OS.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	return snappingFile{f, s}, nil
}

type snappingFile struct {
	disk.File
	s *snapping
}

func (f snappingFile) Sync() error { return f.s.around("sync", f.File.Sync) }

// TestDeathInACompaction opens what is there at each step.
func TestDeathInACompaction(t *testing.T) {
	dir := t.TempDir()
	on := &snapping{t: t, dir: dir}
	x := openAs(t, dir, boltindex.Options{Disk: on})
	hollow(t, x)
	rows, last := content(t, x), x.Last()
	on.copies = []string{}
	if _, err := x.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	if len(on.copies) < 6 {
		t.Errorf("only %d steps", len(on.copies))
	}
	for n, dir := range on.copies {
		y := openAs(t, dir, boltindex.Options{})
		if diff := cmp.Diff(rows, content(t, y)); diff != "" || y.Last() != last {
			t.Errorf("step %d: update %d, want %d; rows (-want +got):\n%.500s", n, y.Last(), last, diff)
		}
		if _, err := os.Stat(filepath.Join(dir, "index.db.compacted")); err == nil {
			t.Errorf("step %d: the copy is still there", n)
		}
	}
}

// TestFailuresOfACompaction has a rename or the sync of its folder fail. After that
// sync nobody knows which file has the name, so there are no more updates.
func TestFailuresOfACompaction(t *testing.T) {
	for _, tt := range []struct {
		fails  string
		broken bool
	}{{"rename", false}, {"sync", true}} {
		t.Run(tt.fails, func(t *testing.T) {
			dir := t.TempDir()
			on := &snapping{t: t, dir: dir}
			x := openAs(t, dir, boltindex.Options{Disk: on})
			hollow(t, x)
			rows := content(t, x)
			on.fails = tt.fails
			_, err := x.Compact(ctx)
			if !errors.Is(err, syscall.EIO) || errors.Is(err, storage.ErrSync) != tt.broken {
				t.Errorf("Compact: %v", err)
			}
			err = x.Update(ctx, put("more", "1"))
			if errors.Is(err, storage.ErrReadOnly) != tt.broken || !tt.broken && err != nil {
				t.Errorf("Update after that: %v", err)
			}
			if !tt.broken {
				rows["more"] = "1"
			}
			if diff := cmp.Diff(rows, content(t, x)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			on.fails = ""
			_ = x.Close() // whatever it says, it returns
			if diff := cmp.Diff(rows, content(t, openAs(t, dir, boltindex.Options{}))); diff != "" {
				t.Errorf("rows after a start (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCompactOfADamagedFile does not put what is left in the place of the file.
func TestCompactOfADamagedFile(t *testing.T) {
	dir := t.TempDir()
	x := openAs(t, dir, boltindex.Options{})
	fill(t, x)
	clearPages(t, filepath.Join(dir, "index.db"), "row/0150")
	if _, err := x.Compact(ctx); !errors.Is(err, boltindex.ErrDamaged) {
		t.Errorf("Compact: %v, want ErrDamaged", err)
	}
	if x.Compactions() != 0 || !errors.Is(x.Damage(), boltindex.ErrDamaged) {
		t.Errorf("compacted %d times, damage %v", x.Compactions(), x.Damage())
	}
	wantFiles(t, dir, "index.db", "index.db.closed") // which says that it is bad
}

func TestCompactCancelled(t *testing.T) {
	x := openTemp(t)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := x.Compact(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Compact: %v", err)
	}
}
