package boltindex_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
)

func TestOpenCreates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "index.db")
	// What a creation that was cut short leaves behind.
	if err := os.WriteFile(path+".new", []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	x, err := boltindex.Open(path, boltindex.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, error %v; want the index alone", files, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600", info.Mode(), err)
	}
	if !strings.Contains(log.String(), "took=") {
		t.Errorf("the log does not say how long opening took: %s", &log)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	inUse, noBolt, empty, foreign := filepath.Join(dir, "inuse"), filepath.Join(dir, "text"), filepath.Join(dir, "empty"), filepath.Join(dir, "foreign")
	x, err := boltindex.Open(inUse, boltindex.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := os.WriteFile(noBolt, bytes.Repeat([]byte("text\n"), 10000), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(foreign, 0o600, nil)
	if err := errors.Join(err, db.Close(), os.Mkdir(empty, 0o700)); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"in use", inUse, "another process has it open"},
		{"not bbolt's", noBolt, "invalid database"},
		{"bbolt's, but not ours", foreign, "something else"},
		{"folder", empty, "is a directory"},
		{"absent folder", filepath.Join(dir, "absent", "index.db"), "no such file"},
	}
	for _, tt := range tests {
		_, err := boltindex.Open(tt.path, boltindex.Options{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: error %v, want %q and the path", tt.name, err, tt.want)
		}
	}
	if err := x.Update(ctx, put("a", "")); err != nil {
		t.Errorf("the one who has it open: %v", err)
	}
}

// freelistKept reads from the file whether the newer of bbolt's two meta pages
// names a list of free pages: after a page's header of 16 bytes, the list is 32
// bytes on, and the transaction's number 48.
func freelistKept(t *testing.T, path string) bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := func(page, off int) uint64 {
		return binary.NativeEndian.Uint64(data[page*os.Getpagesize()+16+off:])
	}
	newer := 0
	if at(1, 48) > at(0, 48) {
		newer = 1
	}
	return at(newer, 32) != 1<<64-1
}

func TestFreelistIsKeptAtCloseAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "index.db")
	for round := range 2 {
		x := open(t, dir)
		if err := x.Update(ctx, put(fmt.Sprint(round), "")); err != nil {
			t.Fatal(err)
		}
		if freelistKept(t, path) {
			t.Error("a commit kept the list of free pages")
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if !freelistKept(t, path) {
			t.Error("Close did not keep the list of free pages")
		}
	}
}

// TestOpenAfterACrash copies the file of an index that is in use.
func TestOpenAfterACrash(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	x := open(t, dir)
	defer x.Close()
	for i := range 5 {
		if err := x.Update(ctx, put(fmt.Sprint(i), strings.Repeat("v", 9000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	y := open(t, crashed)
	defer y.Close()
	if got := len(content(t, y)); got != 5 {
		t.Errorf("%d rows after a crash, want 5", got)
	}
	if err := y.Update(ctx, put("more", "")); err != nil {
		t.Errorf("Update after a crash: %v", err)
	}
}

// fill puts so many rows that they lie on many pages.
func fill(t *testing.T, x *boltindex.Index) {
	t.Helper()
	err := x.Update(ctx, func(tx storage.Tx) error {
		for i := range 300 {
			if err := tx.Put(fmt.Sprintf("row/%04d", i), bytes.Repeat([]byte("v"), 500)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantDamaged expects every use of the row to find the damage, and the index
// to be alive after it.
func wantDamaged(t *testing.T, x *boltindex.Index, key string) {
	t.Helper()
	uses := map[string]func(storage.Tx) error{
		"Get":    func(tx storage.Tx) error { _, err := tx.Get(key); return err },
		"Put":    put(key, "new"),
		"Delete": func(tx storage.Tx) error { return tx.Delete(key) },
		"Scan": func(tx storage.Tx) error {
			for _, err := range tx.Scan(storage.Range{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	for what, use := range uses {
		if err := x.Update(ctx, use); !errors.Is(err, boltindex.ErrDamaged) {
			t.Errorf("%s in an update: %v, want ErrDamaged", what, err)
		}
	}
	err := x.View(ctx, func(r storage.Reader) error { _, err := r.Get(key); return err })
	if !errors.Is(err, boltindex.ErrDamaged) {
		t.Errorf("Get in a view: %v, want ErrDamaged", err)
	}
}

func TestDamagedPage(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir)
	fill(t, x)
	path := filepath.Join(dir, "index.db")
	clearPages(t, path, "row/0150")
	if x.Damage() != nil {
		t.Errorf("damage %v before any was met", x.Damage())
	}
	wantDamaged(t, x, "row/0150")
	if !errors.Is(x.Damage(), boltindex.ErrDamaged) {
		t.Errorf("damage %v, want ErrDamaged", x.Damage())
	}
	err := x.View(ctx, func(r storage.Reader) error { _, err := r.Get("row/0000"); return err })
	if err != nil {
		t.Errorf("Get of a row elsewhere: %v", err)
	}
	_ = x.Close() // whatever it says, it returns
	if _, err := boltindex.Open(path, boltindex.Options{}); !errors.Is(err, boltindex.ErrDamaged) {
		t.Errorf("Open after that: %v, want ErrDamaged", err)
	}
}

// clearPages writes zeros over the pages of rows in which a key is.
func clearPages(t *testing.T, path, key string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const leaf = 2 // flag of bbolt's pages that hold rows, after eight bytes of number
	at := 0
	for page := range slices.Chunk(data, os.Getpagesize()) {
		if page[8] == leaf && bytes.Contains(page, []byte(key)) {
			if _, err := f.WriteAt(make([]byte, len(page)), int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		at += len(page)
	}
}

// TestFileCutShort lets reads of the mapped file fault, as a failing disk does.
func TestFileCutShort(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir)
	fill(t, x)
	held := errors.New("not read")
	err := x.View(ctx, func(r storage.Reader) error {
		value, err := r.Get("row/0150")
		if err != nil {
			return err
		}
		if err := os.Truncate(filepath.Join(dir, "index.db"), int64(2*os.Getpagesize())); err != nil {
			return err
		}
		held = fmt.Errorf("read %d", value[0])
		return held
	})
	if !errors.Is(err, boltindex.ErrDamaged) {
		t.Errorf("reading a lent value of a file cut short: %v, want ErrDamaged", err)
	}
	err = x.View(ctx, func(r storage.Reader) error { _, err := r.Get("row/0150"); return err })
	if !errors.Is(err, boltindex.ErrDamaged) {
		t.Errorf("Get in a file cut short: %v, want ErrDamaged", err)
	}
	if err := x.Update(ctx, put("a", "")); !errors.Is(err, boltindex.ErrDamaged) {
		t.Errorf("Update of a file cut short: %v, want ErrDamaged", err)
	}
	_ = x.Close() // whatever it says, it returns
	if _, err := boltindex.Open(filepath.Join(dir, "index.db"), boltindex.Options{}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a file cut short: %v", err)
	}
}
