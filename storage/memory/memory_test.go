package memory_test

import (
	"testing"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
	"github.com/seed-78150930/berth/storage/storagetest"
)

func TestIndex(t *testing.T) {
	storagetest.Index(t, func(t testing.TB) storage.Index {
		x := memory.NewIndex()
		t.Cleanup(func() { _ = x.Close() })
		return x
	})
}

func TestBlobs(t *testing.T) {
	storagetest.Blobs(t, func(testing.TB) storage.Blobs { return memory.NewBlobs() })
}
