package fsblob_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/fsblob"
	"github.com/seed-78150930/berth/storage/storagetest"
)

// syncs stands for a disk: it notes what is synced, and may refuse. What the
// real sync does shows after a power cut alone, so most tests save its time.
type syncs struct {
	disk.OS
	mu   sync.Mutex
	seen []string // "file" or "folder"
	fail map[string]error
}

// noted is a file whose syncs are noted.
type noted struct {
	disk.File
	syncs *syncs
}

func (f noted) Sync() error { return f.syncs.sync(f) }

func (s *syncs) OpenFile(name string, flag int, mode fs.FileMode) (disk.File, error) {
	f, err := s.OS.OpenFile(name, flag, mode)
	return noted{f, s}, err
}

func (s *syncs) sync(f disk.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	what := "file"
	if info.IsDir() {
		what = "folder"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, what)
	return s.fail[what]
}

// taken returns what was synced since it was last called.
func (s *syncs) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.seen = nil }()
	return s.seen
}

func open(t testing.TB, dir string, s *syncs) *fsblob.Store {
	t.Helper()
	store, err := fsblob.OpenOn(s, filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestBlobs(t *testing.T) {
	storagetest.Blobs(t, func(t testing.TB) storage.Blobs { return open(t, t.TempDir(), &syncs{}) })
}

func TestDurableBlobs(t *testing.T) {
	storagetest.DurableBlobs(t, func(t testing.TB, dir string) storage.Blobs {
		s, err := fsblob.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// add appends data, and reports an error other than want.
func add(t testing.TB, s *fsblob.Store, id string, off int64, data string, want error) {
	t.Helper()
	size, err := s.Append(context.Background(), id, off, strings.NewReader(data))
	if !errors.Is(err, want) {
		t.Errorf("Append(%s, %d): error %v, want %v", id, off, err, want)
	}
	if wantSize := off + int64(len(data)); err == nil && size != wantSize {
		t.Errorf("Append(%s, %d) = %d, want %d", id, off, size, wantSize)
	}
}

func TestSyncsOfALife(t *testing.T) {
	dir, disk := t.TempDir(), &syncs{}
	s := open(t, dir, disk)
	ctx := context.Background()
	steps := []struct {
		name string
		do   func()
		want []string
	}{
		{"open", func() {}, []string{"folder", "folder"}},
		{"new blob", func() { add(t, s, "a0", 0, "one", nil) }, []string{"file", "folder"}},
		{"append", func() { add(t, s, "a0", 3, "two", nil) }, []string{"file"}},
		{"append again", func() { add(t, s, "a0", 3, "three", nil) }, []string{"file"}},
		{"gap", func() { add(t, s, "a0", 9, "gap", storage.ErrGap) }, nil},
		{"open store", func() { s = open(t, dir, disk) }, []string{"folder", "folder"}},
		// The process that made the name may have died before it synced it.
		{"append in another process", func() { add(t, s, "a0", 3, "", nil) }, []string{"file", "folder"}},
		{"append in it again", func() { add(t, s, "a0", 3, "", nil) }, []string{"file"}},
		{"seal", func() { _ = s.Seal(ctx, "a0") }, nil},
		{"append after seal", func() { add(t, s, "a0", 3, "", storage.ErrSealed) }, nil},
		{"delete", func() { _ = s.Delete(ctx, "a0") }, nil},
	}
	for _, step := range steps {
		step.do()
		if diff := cmp.Diff(step.want, disk.taken()); diff != "" {
			t.Errorf("syncs of %s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestFailedSyncLosesTheBlob(t *testing.T) {
	ctx := context.Background()
	for _, what := range []string{"file", "folder"} {
		dir, disk := t.TempDir(), &syncs{}
		s := open(t, dir, disk)
		disk.fail = map[string]error{what: syscall.EIO}
		add(t, s, "a0", 0, "data", syscall.EIO)
		disk.fail = nil
		add(t, s, "a0", 0, "data", syscall.EIO) // not asked again
		if err := s.Seal(ctx, "a0"); !errors.Is(err, syscall.EIO) {
			t.Errorf("Seal after a failed sync of the %s: %v", what, err)
		}
		if _, err := s.Open(ctx, "a0"); !errors.Is(err, syscall.EIO) {
			t.Errorf("Open after a failed sync of the %s: %v", what, err)
		}
		add(t, s, "a1", 0, "others go on", nil)
		add(t, open(t, dir, disk), "a0", 0, "anew", nil)
		if err := s.Delete(ctx, "a0"); err != nil {
			t.Errorf("Delete after a failed sync of the %s: %v", what, err)
		}
		add(t, s, "a0", 0, "data", nil)
	}
}

// TestAppendLater goes on with a blob before its first bytes are on disk.
func TestAppendLater(t *testing.T) {
	ctx := context.Background()
	for _, fails := range []error{nil, syscall.EIO} {
		dir, disk := t.TempDir(), &syncs{}
		s := open(t, dir, disk)
		disk.taken()
		var settles []func() error
		for off, data := range []string{"a", "b"} {
			size, settle, err := s.AppendLater(ctx, "a0", int64(off), strings.NewReader(data))
			if size != int64(off)+1 || err != nil {
				t.Fatalf("AppendLater(%d) = %d, %v", off, size, err)
			}
			settles = append(settles, settle)
		}
		if seen := disk.taken(); seen != nil {
			t.Errorf("synced before it was asked for: %v", seen)
		}
		disk.fail = map[string]error{"file": fails}
		for n, settle := range settles {
			if err := settle(); !errors.Is(err, fails) {
				t.Errorf("settling append %d: %v, want %v", n, err, fails)
			}
			disk.fail = nil // a disk says once that it failed
		}
		if fails == nil {
			if diff := cmp.Diff([]string{"file", "folder", "file"}, disk.taken()); diff != "" {
				t.Errorf("syncs (-want +got):\n%s", diff)
			}
		}
		if err := s.Seal(ctx, "a0"); !errors.Is(err, fails) {
			t.Errorf("Seal: %v, want %v", err, fails)
		}
	}
}

func TestFullDisk(t *testing.T) {
	for _, no := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		disk := &syncs{}
		s := open(t, t.TempDir(), disk)
		disk.fail = map[string]error{"file": &os.PathError{Op: "sync", Path: "x", Err: no}}
		add(t, s, "a0", 0, "data", storage.ErrFull)
		add(t, s, "a0", 0, "data", storage.ErrFull)
		disk.fail["folder"] = no
		if _, err := fsblob.OpenOn(disk, t.TempDir()); !errors.Is(err, storage.ErrFull) {
			t.Errorf("OpenOn on a full disk: %v, want ErrFull", err)
		}
	}
}

func TestModes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &syncs{})
	add(t, s, "a0", 0, "open", nil)
	add(t, s, "b0", 0, "sealed", nil)
	if err := s.Seal(context.Background(), "b0"); err != nil {
		t.Fatal(err)
	}
	files, dirs := 0, 0
	err := filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700 | fs.ModeDir
			dirs++
		} else {
			files++
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil || files != 2 || dirs != 257 {
		t.Errorf("%d files, %d folders, error %v; want 2, 257", files, dirs, err)
	}
}

// TestBadIDsTouchNothing plants files where a careless join would lead.
func TestBadIDsTouchNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, &syncs{})
	planted := []string{"secret", "blobs/secret", "blobs/aa/SECRET", "blobs/aa/secret.open", "blobs/00/g"}
	for _, name := range planted {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, dir)
	ctx := context.Background()
	ids := []string{"../secret", "../../secret", "aa/../../../secret", "/secret", "SECRET", "secret", "g", "", "..", ".", "aa/SECRET"}
	for _, id := range ids {
		_, appendErr := s.Append(ctx, id, 0, strings.NewReader("overwritten"))
		_, openErr := s.Open(ctx, id)
		for what, err := range map[string]error{
			"Append": appendErr, "Open": openErr, "Seal": s.Seal(ctx, id), "Delete": s.Delete(ctx, id),
		} {
			if !errors.Is(err, storage.ErrBadID) {
				t.Errorf("%s(%q): error %v, want ErrBadID", what, id, err)
			}
		}
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
	for b, err := range s.List(ctx, "") {
		t.Errorf("List shows %q, %v; the files are not of the store", b.ID, err)
	}
}

// tree reads all files under dir.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestOpenGivesAFile(t *testing.T) {
	s := open(t, t.TempDir(), &syncs{})
	add(t, s, "a0", 0, "data", nil)
	if err := s.Seal(context.Background(), "a0"); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(context.Background(), "a0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("Open gives a %T, which cannot be sent without copying", r)
	}
}

func TestOpenNeedsTheParent(t *testing.T) {
	if _, err := fsblob.Open(filepath.Join(t.TempDir(), "absent", "blobs")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open in an absent folder: %v, want fs.ErrNotExist", err)
	}
}

// TestMemoryOfAppend shows that an Append takes no memory by the length of
// what it reads.
func TestMemoryOfAppend(t *testing.T) {
	s := open(t, t.TempDir(), &syncs{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := s.Append(context.Background(), "a0", 0, io.LimitReader(zeros{}, 8<<20)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("an Append of 8 MiB takes %d bytes of memory", got)
	}
}

// zeros gives zero bytes for ever.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int64{1 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, err := fsblob.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			for n := 0; b.Loop(); n++ {
				id := fmt.Sprintf("%08x", n*2654435761%(1<<32))
				if _, err := s.Append(context.Background(), id, 0, io.LimitReader(zeros{}, size)); err != nil {
					b.Fatal(err)
				}
				if err := s.Delete(context.Background(), id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
