package boltindex_test

import (
	"path/filepath"
	"testing"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/storagetest"
)

func open(t testing.TB, dir string) *boltindex.Index {
	t.Helper()
	x, err := boltindex.Open(filepath.Join(dir, "index.db"), boltindex.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestIndex(t *testing.T) {
	storagetest.Index(t, func(t testing.TB) storage.Index {
		x := open(t, t.TempDir())
		t.Cleanup(func() { _ = x.Close() })
		return x
	})
	storagetest.DurableIndex(t, func(t testing.TB, dir string) storage.Index { return open(t, dir) })
}
