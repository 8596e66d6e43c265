package vulndb_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/scantest"
	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

// openBytes opens a database that a file would be.
func openBytes(t testing.TB, content []byte) (*vulndb.DB, error) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "db")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return vulndb.Open(f)
}

func contentOf(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A file that ends anywhere before its end is not complete.
func TestHalfWritten(t *testing.T) {
	whole := contentOf(t, scantest.Database(t))
	for _, size := range []int{0, 1, 100, 4096, len(whole) / 4, len(whole) / 2, len(whole) - 500, len(whole) - 20, len(whole) - 1} {
		if _, err := openBytes(t, whole[:size]); !errors.Is(err, vulndb.ErrIncomplete) {
			t.Errorf("%d of %d bytes: %v", size, len(whole), err)
		}
	}
	if _, err := openBytes(t, append(bytes.Clone(whole), 0)); !errors.Is(err, vulndb.ErrIncomplete) {
		t.Errorf("with a byte more: %v", err)
	}
	if _, err := openBytes(t, whole[1:]); err == nil {
		t.Error("without its first byte it is opened")
	}
}

func TestForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	other, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		content []byte
		want    error
	}{
		"a text":              {[]byte(strings.Repeat("no database\n", 1000)), vulndb.ErrForeign},
		"a short text":        {[]byte("no"), vulndb.ErrForeign},
		"a zip":               {append([]byte("PK\x03\x04"), make([]byte, 1000)...), vulndb.ErrForeign},
		"bbolt's of another":  {contentOf(t, path), vulndb.ErrIncomplete},
		"nothing but zeroes":  {make([]byte, 1<<20), vulndb.ErrIncomplete},
		"a seal over nothing": {end(contentOf(t, scantest.Database(t))), vulndb.ErrDamaged},
	}
	for name, tt := range tests {
		if _, err := openBytes(t, tt.content); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// sealSize is how much of a file is its end: two lengths, two checksums, the format, their
// checksum, and a magic number.
const sealSize = 2*8 + 4*4 + 16

func end(b []byte) []byte { return b[len(b)-sealSize:] }

func TestOtherFormat(t *testing.T) {
	for _, format := range []uint32{0, 2, 1 << 31} {
		b := contentOf(t, scantest.Database(t))
		seal := end(b)
		binary.BigEndian.PutUint32(seal[24:], format)
		binary.BigEndian.PutUint32(seal[28:], crc32.Checksum(seal[:28], crc32.MakeTable(crc32.Castagnoli)))
		if _, err := openBytes(t, b); !errors.Is(err, vulndb.ErrFormat) {
			t.Errorf("format %d: %v", format, err)
		}
	}
}

// inventory has a package of each kind of record.
var inventory = scan.Inventory{Packages: []scan.Package{
	{Ecosystem: "Alpine:v3.18", Name: "openssl", Version: "3.1.1-r1"},
	{Ecosystem: "Debian:11", Name: "openssl", Version: "1.1.1n-0+deb11u4"},
	{Ecosystem: "Debian:12", Name: "tar", Version: "1.34"},
	{Ecosystem: "Go", Name: "golang.org/x/net", Version: "v0.6.0"},
	{Ecosystem: "Maven", Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1"},
	{Ecosystem: "npm", Name: "minimist", Version: "1.2.5"},
}}

// A byte that is not as it was written is found by Verify, wherever it is, and whoever
// reads it has an error or what was to be read, and is alive.
func TestFlippedBytes(t *testing.T) {
	whole := contentOf(t, scantest.Database(t))
	db, err := openBytes(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := db.Match(t.Context(), inventory)
	if err != nil || len(want) == 0 {
		t.Fatal(len(want), err)
	}
	_ = db.Close()
	random := rand.New(rand.NewPCG(1, 2))
	opened, failed := 0, 0
	for range 400 {
		at, bit := random.IntN(len(whole)), byte(1)<<random.IntN(8)
		b := bytes.Clone(whole)
		b[at] ^= bit
		path := filepath.Join(t.TempDir(), "db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := verify(t, path); err == nil {
			t.Errorf("byte %d ^ %d: it is as it was", at, bit)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		db, err := vulndb.Open(f)
		if err != nil {
			failed++
			continue
		}
		opened++
		if _, _, err := db.Match(t.Context(), inventory); err != nil && !errors.Is(err, vulndb.ErrDamaged) {
			t.Errorf("byte %d ^ %d: %v", at, bit, err)
		}
		_ = db.Close()
	}
	if opened == 0 || failed == 0 {
		t.Errorf("of 400 files %d were opened and %d were not", opened, failed)
	}
}

func verify(t testing.TB, path string) error {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = vulndb.Verify(f)
	return err
}

func TestVerifySound(t *testing.T) {
	path := scantest.Database(t)
	if err := verify(t, path); err != nil {
		t.Error(err)
	}
}

// manyRecords are more than are written at once.
func manyRecords(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"id":"GHSA-%d","modified":"2026-01-01T00:00:00Z","details":%q,"affected":[{"package":{"ecosystem":"npm","name":"p%d"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.%d.0"}]}]}]}`,
			i, strings.Repeat(fmt.Sprint(i, " is a number. "), 100), i%5000, i)
	}
	return list
}

const killed = "BERTH_TEST_COMPILE"

// TestKilledCompiler has a process that compiles killed at different times: what it was to
// replace is there, and whole, and what it left goes.
func TestKilledCompiler(t *testing.T) {
	if from, to, ok := strings.Cut(os.Getenv(killed), "|"); ok {
		for { // again and again, so that a kill falls into each of its steps
			if _, err := vulndb.Compile(context.Background(), from, to, vulndb.CompileOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	from, home := t.TempDir(), t.TempDir()
	if err := scantest.WriteZip(from, "npm", manyRecords(10_000)...); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(home, "vulnerabilities.db")
	halves := 0
	for i := range 4 {
		c := exec.Command(os.Args[0], "-test.run=^TestKilledCompiler$")
		c.Env = append(os.Environ(), killed+"="+from+"|"+to)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(100+150*i) * time.Millisecond)
		_ = c.Process.Kill()
		_ = c.Wait()
		halves += lookAfterKill(t, home, to)
	}
	if halves == 0 {
		t.Error("no kill left a file that was not complete")
	}
	k, err := vulndb.NewKeeper(vulndb.KeeperOptions{Folder: home, Settings: func() vulndb.Settings { return vulndb.Settings{} }})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Info(); !ok {
		_, err := os.Stat(to)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the keeper has no database: %v", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(home, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// lookAfterKill says how many files there are that are not complete, and that they are
// known for that.
func lookAfterKill(t *testing.T, home, to string) (halves int) {
	t.Helper()
	if _, err := os.Stat(to); err == nil {
		if err := verify(t, to); err != nil {
			t.Errorf("the database: %v", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(home, ".unfinished-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		db, err := vulndb.Open(f)
		switch {
		case err == nil: // it was about to be renamed
			_ = db.Close()
		case errors.Is(err, vulndb.ErrIncomplete):
			halves++
		default:
			t.Errorf("what a kill left: %v", err)
		}
	}
	return halves
}

// Readers go on with the database that they have while others take its place.
func TestSwapWhileReading(t *testing.T) {
	one, two, to := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "vulnerabilities.db")
	for folder, fixed := range map[string]string{one: "1.0", two: "2.0"} {
		if err := scantest.WriteZip(folder, "npm", recordOf("GHSA-1", "npm", "", ranged("introduced 0", "fixed "+fixed))); err != nil {
			t.Fatal(err)
		}
	}
	swap := func(from string) {
		if _, err := vulndb.Compile(t.Context(), from, to, vulndb.CompileOptions{}); err != nil {
			t.Error(err)
		}
	}
	swap(one)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	seen := make([]map[string]bool, 4)
	for i := range seen {
		seen[i] = map[string]bool{}
		all.Go(func() {
			for ctx.Err() == nil {
				f, err := os.Open(to)
				if err != nil {
					t.Error(err)
					return
				}
				db, err := vulndb.Open(f)
				if err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					findings, _, err := db.Match(context.WithoutCancel(ctx), scan.Inventory{Packages: []scan.Package{{Ecosystem: "npm", Name: "p", Version: "0.1.0"}}})
					if err != nil || len(findings) != 1 {
						t.Errorf("%v, %v", findings, err)
						continue
					}
					seen[i][findings[0].FixedIn] = true
				}
				_ = db.Close()
			}
		})
	}
	for range 10 {
		swap(two)
		swap(one)
	}
	stop()
	all.Wait()
	both := map[string]bool{}
	for _, s := range seen {
		for fixed := range s {
			both[fixed] = true
		}
	}
	if !reflect.DeepEqual(both, map[string]bool{"1.0": true, "2.0": true}) {
		t.Errorf("what was read: %v", both)
	}
}

// A database is read through the file that was handed over: its name may be gone.
func TestOpenWithoutAName(t *testing.T) {
	path := scantest.Database(t)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	db, err := vulndb.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if findings, _ := match(t, db, inventory.Packages...); len(findings) == 0 {
		t.Error("nothing is found")
	}
}

func TestMatchEndsWithItsContext(t *testing.T) {
	db := open(t, scantest.Database(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := db.Match(ctx, inventory); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
