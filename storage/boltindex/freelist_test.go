package boltindex_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// BenchmarkFreelist is what it costs to keep the list of free pages with each commit, or
// without that to look for them when the file is opened: the choice that options makes.
func BenchmarkFreelist(b *testing.B) {
	for _, free := range []int{1_000, 100_000} {
		for _, kept := range []bool{true, false} {
			o := &bbolt.Options{NoFreelistSync: !kept, FreelistType: bbolt.FreelistMapType, InitialMmapSize: 1 << 30}
			path := hollowed(b, free, o)
			name := fmt.Sprintf("%d pages, kept %t", free, kept)
			b.Run("commit/"+name, func(b *testing.B) { commits(b, path, o) })
			b.Run("open/"+name, func(b *testing.B) {
				for b.Loop() {
					must(b, openAndClose(path, o))
				}
			})
		}
	}
}

// hollowed makes a file with as many pages that are free, and as many that are not.
func hollowed(b *testing.B, free int, o *bbolt.Options) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "index.db")
	db, err := bbolt.Open(path, 0o600, o)
	must(b, err)
	db.NoSync = true
	must(b, db.Update(func(tx *bbolt.Tx) error {
		rows, err := tx.CreateBucket([]byte("rows"))
		if err != nil {
			return err
		}
		rows.FillPercent = 1
		for i := range 2 * free { // a page each
			if err := rows.Put(fmt.Appendf(nil, "%08d", i), make([]byte, 3800)); err != nil {
				return err
			}
		}
		return nil
	}))
	must(b, db.Update(func(tx *bbolt.Tx) error {
		for i := range free {
			if err := tx.Bucket([]byte("rows")).Delete(fmt.Appendf(nil, "%08d", 2*i)); err != nil {
				return err
			}
		}
		return nil
	}))
	must(b, errors.Join(db.Sync(), db.Close()))
	return path
}

func commits(b *testing.B, path string, o *bbolt.Options) {
	db, err := bbolt.Open(path, 0o600, o)
	must(b, err)
	defer db.Close()
	for n := 0; b.Loop(); n++ {
		must(b, db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("rows")).Put(fmt.Appendf(nil, "%08d", n%1000*2+1), make([]byte, 3800))
		}))
	}
}

func openAndClose(path string, o *bbolt.Options) error {
	db, err := bbolt.Open(path, 0o600, o)
	if err != nil {
		return err
	}
	return db.Close()
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
