package boltindex_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
)

// worn makes a file whose pages are branches, leaves, free, and of rows that take
// several. Those that it has in reserve are cut off.
func worn(t *testing.T) (rows map[string]string, file []byte) {
	t.Helper()
	dir := t.TempDir()
	x := open(t, dir)
	for round := range 3 {
		err := x.Update(ctx, func(tx storage.Tx) error {
			for i := range 600 {
				if err := tx.Put(fmt.Sprintf("row/%05d", i*7+round), bytes.Repeat([]byte("v"), i%500)); err != nil {
					return err
				}
				if err := tx.Delete(fmt.Sprintf("row/%05d", i*21)); err != nil {
					return err
				}
			}
			return tx.Put(fmt.Sprint("large/", round), bytes.Repeat([]byte("large"), 5000))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows = content(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	return rows, file[:(len(bytes.TrimRight(file, "\x00"))+page-1)/page*page]
}

func TestFoundAsLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "index.db")
	opened := func(want boltindex.Found) *boltindex.Index {
		t.Helper()
		x := open(t, dir)
		if x.Found() != want {
			t.Errorf("found %q, want %q", x.Found(), want)
		}
		return x
	}
	shut := func(x *boltindex.Index) {
		t.Helper()
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	x := opened(boltindex.New)
	crashed := func() string {
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		return copied
	}
	if err := x.Update(ctx, put("a", "1")); err != nil {
		t.Fatal(err)
	}
	y := open(t, crashed())
	if y.Found() != boltindex.Unclosed {
		t.Errorf("found %q after a crash", y.Found())
	}
	shut(y)
	shut(x)
	shut(opened(boltindex.Closed))
	x = opened(boltindex.Closed) // nothing was written the time before
	if err := x.Update(ctx, put("a", "2")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".closed"); err == nil {
		t.Error("the mark is there after a write")
	}
	shut(x)
	x = opened(boltindex.Closed)
	shut(x)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte{0}, 12) // a place without a meaning
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	shut(opened(boltindex.Touched))
	shut(opened(boltindex.Closed))
}

// TestRandomDamage overwrites pages, clears them and cuts the file. Damage to a
// page that is in use is found when the file is opened; no other does any harm.
func TestRandomDamage(t *testing.T) {
	want, sound := worn(t)
	page := os.Getpagesize()
	random := func(r *rand.Rand, b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	damages := map[string]func(*rand.Rand, []byte) []byte{
		"overwritten": func(r *rand.Rand, b []byte) []byte {
			at := r.IntN(len(b)/page) * page
			random(r, b[at:at+page])
			return b
		},
		"cleared": func(r *rand.Rand, b []byte) []byte {
			at := r.IntN(len(b)/page) * page
			clear(b[at:min(len(b), at+page*(1+r.IntN(3)))])
			return b
		},
		"cut short": func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] },
		"no metas": func(r *rand.Rand, b []byte) []byte {
			clear(b[:2*page])
			return b
		},
		"two pages changed places": func(r *rand.Rand, b []byte) []byte {
			one, two := r.IntN(len(b)/page)*page, r.IntN(len(b)/page)*page
			copied := bytes.Clone(b[one : one+page])
			copy(b[one:one+page], b[two:two+page])
			copy(b[two:two+page], copied)
			return b
		},
	}
	found := 0
	for what, damage := range damages {
		for seed := range uint64(15) {
			b := damage(rand.New(rand.NewPCG(seed, 7)), bytes.Clone(sound))
			got, err := readFile(t, b)
			if err != nil {
				found++
				if !errors.Is(err, boltindex.ErrDamaged) {
					t.Errorf("%s, seed %d: error %v, want ErrDamaged", what, seed, err)
				}
				continue
			}
			if diff := cmp.Diff(without(want, "large/"), without(got, "large/")); diff != "" {
				t.Errorf("%s, seed %d: opened, and other rows (-want +got):\n%s", what, seed, diff)
			}
		}
	}
	if found < 40 {
		t.Errorf("of 75 damages %d were found", found)
	}
}

// without leaves out rows that go on over pages which have no head, so that
// nothing tells whose they are.
func without(rows map[string]string, prefix string) map[string]string {
	few := maps.Clone(rows)
	maps.DeleteFunc(few, func(key, _ string) bool { return strings.HasPrefix(key, prefix) })
	return few
}

// TestScatteredDamage changes single bytes, of which those of rows are not known
// to the file. Whatever they are, nothing panics, and what opened can be read.
func TestScatteredDamage(t *testing.T) {
	_, sound := worn(t)
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 8))
		b := bytes.Clone(sound)
		for range 1 + r.IntN(8) {
			at := r.IntN(len(b)/os.Getpagesize())*os.Getpagesize() + r.IntN(200) // heads and elements
			b[at] ^= byte(1 << r.IntN(8))
		}
		if _, err := readFile(t, b); err != nil && !errors.Is(err, boltindex.ErrDamaged) {
			t.Errorf("seed %d: error %v, want ErrDamaged", seed, err)
		}
	}
}

// readFile is the content of a file as an index.
func readFile(t *testing.T, b []byte) (rows map[string]string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := boltindex.Open(path, boltindex.Options{Bulk: true}) // which spares the disk
	if err != nil {
		return nil, err
	}
	defer func() {
		if err2 := x.Close(); err == nil {
			err = err2
		}
	}()
	rows = map[string]string{}
	return rows, x.View(ctx, func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			rows[e.Key] = string(e.Value)
		}
		return nil
	})
}
