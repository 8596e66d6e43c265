package power_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/internal/crash/power"
	"github.com/seed-78150930/berth/storage/disk"
)

// tries are the images that are made of each disk.
const tries = 80

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 0)) }

// images does the same to many disks, and returns how often a file came out as what:
// its bytes, or "absent".
func images(t *testing.T, o power.Options, name string, do func(t *testing.T, d *power.Disk, root string)) map[string]int {
	t.Helper()
	seen, dir := map[string]int{}, t.TempDir()
	for n := range uint64(tries) {
		root, next := filepath.Join(dir, fmt.Sprint(n)), filepath.Join(dir, fmt.Sprint(n, " after"))
		must(t, errors.Join(os.Mkdir(root, 0o700), os.Mkdir(next, 0o700)))
		o.Random = seeded(n)
		d := power.New(root, o)
		do(t, d, root)
		d.Off()
		if _, err := d.Image(next, o); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(next, name))
		if errors.Is(err, fs.ErrNotExist) {
			text, err = []byte("absent"), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		seen[string(text)]++
	}
	return seen
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a file, or goes on at its beginning, and syncs what is asked.
func write(t *testing.T, d *power.Disk, path, text string, syncs ...power.Sync) {
	t.Helper()
	f, err := d.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	must(t, err)
	_, err = f.WriteAt([]byte(text), 0)
	must(t, err)
	for _, s := range syncs {
		if s == power.FileSync {
			must(t, f.Sync())
		} else {
			must(t, disk.Sync(d, filepath.Dir(path)))
		}
	}
	must(t, f.Close())
}

func TestWhatIsLeft(t *testing.T) {
	a, b := strings.Repeat("a", 600), strings.Repeat("b", 600)
	tests := []struct {
		name   string
		syncs  []power.Sync
		always string   // what every image has; "" if they differ
		some   []string // what some image has
	}{
		{"nothing synced", nil, "", []string{a, "absent", ""}},
		{"the file alone", []power.Sync{power.FileSync}, "", []string{a, "absent"}},
		{"the folder alone", []power.Sync{power.FolderSync}, "", []string{a, ""}},
		{"both", []power.Sync{power.FileSync, power.FolderSync}, a, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := images(t, power.Options{}, "f", func(t *testing.T, d *power.Disk, root string) {
				write(t, d, filepath.Join(root, "f"), a, tt.syncs...)
			})
			if tt.always != "" && seen[tt.always] != tries {
				t.Errorf("images: %v, want always %.5q", seen, tt.always)
			}
			for _, text := range tt.some {
				if seen[text] == 0 {
					t.Errorf("no image has %.5q", text)
				}
			}
		})
	}
	torn := images(t, power.Options{}, "f", func(t *testing.T, d *power.Disk, root string) {
		write(t, d, filepath.Join(root, "f"), a, power.FileSync, power.FolderSync)
		write(t, d, filepath.Join(root, "f"), b)
	})
	for _, text := range []string{a, b, a[:512] + b[512:], b[:512] + a[512:]} {
		if torn[text] == 0 {
			t.Errorf("no image has %.3q...%.3q", text, text[590:])
		}
	}
	if len(torn) != 4 {
		t.Errorf("%d different images; only sectors may tear", len(torn))
	}
}

func TestRenameIsOneChange(t *testing.T) {
	seen := images(t, power.Options{}, "new", func(t *testing.T, d *power.Disk, root string) {
		write(t, d, filepath.Join(root, "old"), "text", power.FileSync, power.FolderSync)
		must(t, d.Rename(filepath.Join(root, "old"), filepath.Join(root, "new")))
	})
	if seen["text"] == 0 || seen["absent"] == 0 || len(seen) != 2 {
		t.Errorf("images of the new name: %v", seen)
	}
	gone := images(t, power.Options{}, "old", func(t *testing.T, d *power.Disk, root string) {
		write(t, d, filepath.Join(root, "old"), "text", power.FileSync, power.FolderSync)
		must(t, d.Remove(filepath.Join(root, "old")))
	})
	if gone["text"] == 0 || gone["absent"] == 0 || len(gone) != 2 {
		t.Errorf("images of a name that was removed: %v", gone)
	}
}

// TestFailedSync has a sync fail and the next one work: what the first was for may be
// lost all the same.
func TestFailedSync(t *testing.T) {
	failed := false
	o := power.Options{Fail: func(kind power.Sync, _ string) error {
		if failed || kind != power.FileSync {
			return nil
		}
		failed = true
		return syscall.EIO
	}}
	seen := images(t, o, "f", func(t *testing.T, d *power.Disk, root string) {
		failed = false
		f, err := d.OpenFile(filepath.Join(root, "f"), os.O_WRONLY|os.O_CREATE, 0o600)
		must(t, err)
		_, err = f.Write([]byte("text"))
		must(t, err)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("the sync: %v", err)
		}
		must(t, f.Sync())
		must(t, disk.Sync(d, root))
	})
	if seen["text"] == 0 || seen[""] == 0 {
		t.Errorf("images: %v, want some with the text and some without", seen)
	}
}

func TestSyncsThatAreLeftOut(t *testing.T) {
	o := power.Options{Forget: func(kind power.Sync, _ string) bool { return kind == power.FileSync }}
	seen := images(t, o, "f", func(t *testing.T, d *power.Disk, root string) {
		write(t, d, filepath.Join(root, "f"), "text", power.FileSync, power.FolderSync)
	})
	if seen[""] == 0 || seen["absent"] != 0 {
		t.Errorf("images: %v", seen)
	}
}

func TestNothingWorksWithoutPower(t *testing.T) {
	root := t.TempDir()
	d := power.New(root, power.Options{Random: seeded(1)})
	f, err := d.OpenFile(filepath.Join(root, "f"), os.O_WRONLY|os.O_CREATE, 0o600)
	must(t, err)
	defer f.Close()
	d.Off()
	_, writeErr := f.Write([]byte("x"))
	_, openErr := d.OpenFile(filepath.Join(root, "g"), os.O_WRONLY|os.O_CREATE, 0o600)
	for what, err := range map[string]error{
		"Write": writeErr, "OpenFile": openErr, "Sync": f.Sync(), "Truncate": f.Truncate(0),
		"Mkdir": d.Mkdir(filepath.Join(root, "d"), 0o700), "Remove": d.Remove(filepath.Join(root, "f")),
	} {
		if !errors.Is(err, power.ErrGone) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestImageOfAnImage has what an image holds be durable.
func TestImageOfAnImage(t *testing.T) {
	o := power.Options{Random: seeded(2)}
	root, second, third := t.TempDir(), t.TempDir(), t.TempDir()
	d := power.New(root, o)
	must(t, d.Mkdir(filepath.Join(root, "sub"), 0o700))
	must(t, disk.Sync(d, root))
	write(t, d, filepath.Join(root, "sub", "f"), "text", power.FileSync, power.FolderSync)
	for _, next := range []string{second, third} {
		d.Off()
		var err error
		d, err = d.Image(next, o)
		must(t, err)
	}
	if text, err := os.ReadFile(filepath.Join(third, "sub", "f")); string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
}
