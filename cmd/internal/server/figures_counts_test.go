package server_test

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"hash"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
)

// tally is what a server did, told by what stands between it and its store.
type tally struct {
	files, folders, journal atomic.Int64 // syncs
	views, updates          atomic.Int64 // transactions of the index
	gets, rows              atomic.Int64 // keys that were asked for, and entries that scans gave
	hashed                  atomic.Int64 // bytes that went through the hash of an upload's digest

	// before is called by each update, if it is set, before it begins; what it returns
	// is called inside.
	before func(context.Context) (inside func())
}

// watch has a server counted.
func (c *tally) watch() server.Watch {
	return server.Watch{
		Layers: countedDisk{disk.OS{}, c}, Facts: countedDisk{disk.OS{}, c},
		Index: func(x storage.Numbered) storage.Numbered { return &countedIndex{x, c} },
		Hash:  func(a digest.Algorithm) hash.Hash { return &countedHash{a.New(), c} },
	}
}

// during is how much a counter goes up while something is done.
func during(n *atomic.Int64, do func()) int64 {
	before := n.Load()
	do()
	return n.Load() - before
}

// least is the least by which a counter goes up when something is done several times:
// what the server does by itself in between only adds to it.
func least(n *atomic.Int64, do func()) int64 {
	most := during(n, do)
	for range 4 {
		most = min(most, during(n, do))
	}
	return most
}

type countedDisk struct {
	disk.FS
	c *tally
}

func (d countedDisk) OpenFile(name string, flag int, mode fs.FileMode) (disk.File, error) {
	f, err := d.FS.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	return &countedFile{f, d.c.syncsOf(f)}, nil
}

// syncsOf is where the syncs of a file or folder are counted.
func (c *tally) syncsOf(f disk.File) *atomic.Int64 {
	info, err := f.Stat()
	switch {
	case filepath.Base(filepath.Dir(f.Name())) == "journal":
		return &c.journal
	case err == nil && info.IsDir():
		return &c.folders
	}
	return &c.files
}

type countedFile struct {
	disk.File
	syncs *atomic.Int64
}

func (f *countedFile) Sync() error {
	f.syncs.Add(1)
	return f.File.Sync()
}

type countedIndex struct {
	storage.Numbered
	c *tally
}

// Unwrap is the index that is counted: see storage.As.
func (x *countedIndex) Unwrap() storage.Index { return x.Numbered }

func (x *countedIndex) View(ctx context.Context, fn func(storage.Reader) error) error {
	x.c.views.Add(1)
	return x.Numbered.View(ctx, func(r storage.Reader) error { return fn(countedReader{r, x.c}) })
}

func (x *countedIndex) Update(ctx context.Context, fn func(storage.Tx) error) error {
	inside := func() {}
	if x.c.before != nil {
		inside = x.c.before(ctx)
	}
	x.c.updates.Add(1)
	return x.Numbered.Update(ctx, func(tx storage.Tx) error {
		inside()
		return fn(countedTx{countedReader{tx, x.c}, tx})
	})
}

type countedReader struct {
	storage.Reader
	c *tally
}

// Number implements storage.Numbering.
func (r countedReader) Number() uint64 { return r.Reader.(storage.Numbering).Number() }

func (r countedReader) Get(key string) ([]byte, error) {
	r.c.gets.Add(1)
	return r.Reader.Get(key)
}

func (r countedReader) Scan(of storage.Range) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for e, err := range r.Reader.Scan(of) {
			r.c.rows.Add(1)
			if !yield(e, err) {
				return
			}
		}
	}
}

type countedTx struct {
	countedReader
	tx storage.Tx
}

func (t countedTx) Put(key string, value []byte) error { return t.tx.Put(key, value) }
func (t countedTx) Delete(key string) error            { return t.tx.Delete(key) }

type countedHash struct {
	hash.Hash
	c *tally
}

func (h *countedHash) Write(p []byte) (int, error) {
	h.c.hashed.Add(int64(len(p)))
	return h.Hash.Write(p)
}

func (h *countedHash) MarshalBinary() ([]byte, error) {
	return h.Hash.(encoding.BinaryMarshaler).MarshalBinary()
}

func (h *countedHash) UnmarshalBinary(state []byte) error {
	return h.Hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
}

// figure holds a figure against its bound. `make figures` collects them from the file
// that BERTH_FIGURES names.
func figure(t testing.TB, what string, value, bound float64) {
	t.Helper()
	t.Logf("%s: %.4g, and %.4g at most", what, value, bound)
	if value > bound {
		t.Errorf("%s: %.4g, which must be %.4g at most", what, value, bound)
	}
	path := os.Getenv("BERTH_FIGURES")
	if path == "" {
		return
	}
	line, err := json.Marshal(map[string]any{"Test": t.Name(), "What": what, "Value": value, "Bound": bound})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, strings.TrimSpace(string(line))); err != nil {
		t.Fatal(err)
	}
}
