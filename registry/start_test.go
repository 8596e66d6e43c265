package registry_test

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// rowCount is an index that counts the rows which are read.
type rowCount struct {
	storage.Index
	rows atomic.Int64
}

func (c *rowCount) View(ctx context.Context, fn func(storage.Reader) error) error {
	return c.Index.View(ctx, func(r storage.Reader) error { return fn(countingReader{r, c}) })
}

type countingReader struct {
	storage.Reader
	of *rowCount
}

func (r countingReader) Get(key string) ([]byte, error) {
	r.of.rows.Add(1)
	return r.Reader.Get(key)
}

func (r countingReader) Scan(sel storage.Range) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for e, err := range r.Reader.Scan(sel) {
			r.of.rows.Add(1)
			if !yield(e, err) {
				return
			}
		}
	}
}

// A start, and a first answer, read as many rows of a store that has much as of one
// that has little.
func TestStartReadsNoMoreOfMore(t *testing.T) {
	read := func(many int) int64 {
		x := &rowCount{Index: memory.NewIndex()}
		o := registry.Options{Index: x, Blobs: memory.NewBlobs()}
		s := open(t, o)
		for i := range many {
			n := create(t, s, fmt.Sprintf("team/app%d", i))
			_, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
			must(t, err)
		}
		must(t, s.Close(t.Context()))
		x.rows.Store(0)
		s = open(t, o)
		must(t, s.Ready(t.Context()))
		_, err := s.Repository(t.Context(), name(t, "team/app0"))
		must(t, err)
		return x.rows.Load()
	}
	if few, many := read(3), read(600); few != many || few == 0 {
		t.Errorf("%d rows are read of a store with little in it, %d of one with more", few, many)
	}
}

// An identity with as many uploads as it may have, which are many, gets no more of
// them, also after a restart, until they expire.
func TestManyUploadsOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 10_000 // by default
		o := registry.Options{
			Index: memory.NewIndex(), Blobs: memory.NewBlobs(), Limits: registry.Limits{RepositoryUploads: many + 1},
			UploadExpiry: time.Minute, // each look in between goes through all
		}
		s, err := registry.New(t.Context(), o)
		must(t, err)
		n := create(t, s, "team/app")
		refused := func() {
			t.Helper()
			_, err := s.StartUpload(alice(t), n, registry.NewUpload{})
			if e := wantCode(t, "one more", err, registry.TooManyUploads); e.Limit != many {
				t.Errorf("limit %d", e.Limit)
			}
			u, err := s.StartUpload(by(t, "bob"), n, registry.NewUpload{})
			must(t, err)
			must(t, s.CancelUpload(by(t, "bob"), n, u.ID))
		}
		for range many {
			start(t, s, n)
		}
		refused()
		must(t, s.Close(t.Context()))
		s, err = registry.New(t.Context(), o)
		must(t, err)
		refused()
		run(t, s)
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		start(t, s, n)
		if got := s.OpenUploads(); got != 1 {
			t.Errorf("%d uploads are open, want the new one alone", got)
		}
	})
}
