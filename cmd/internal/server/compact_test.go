package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/storage"
)

func (h *house) indexState() admin.Index {
	h.t.Helper()
	st, err := h.Status(context.Background())
	if err != nil || st.Index == nil {
		h.t.Fatalf("status %+v, error %v", st, err)
	}
	return *st.Index
}

// growIndex has the index of a server that does not run grow by 24 MB of rows, which
// it then deletes.
func growIndex(t *testing.T, data string) {
	t.Helper()
	dir, err := datadir.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	x, err := server.OpenIndex(dir)
	if err != nil {
		t.Fatal(err)
	}
	each := func(do func(storage.Tx, string) error) error {
		return x.Update(context.Background(), func(tx storage.Tx) (err error) {
			for n := range 60 {
				err = errors.Join(err, do(tx, fmt.Sprintf("filler/%d", n)))
			}
			return err
		})
	}
	value := bytes.Repeat([]byte("filler"), 400_000/6)
	err = errors.Join(
		each(func(tx storage.Tx, key string) error { return tx.Put(key, value) }),
		each(func(tx storage.Tx, key string) error { return tx.Delete(key) }),
		x.Close())
	if err != nil {
		t.Fatal(err)
	}
}

// TestIndexGrowsSmaller starts a server on an index of which most was deleted, with
// the sizes that a server has.
func TestIndexGrowsSmaller(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	start := func() *house {
		return inFolder(t, dir, "trash-window", "0s", "gc-grace", "0s", "metrics.listen", "127.0.0.1:0")
	}
	h := start()
	const count = 6
	for n := range count {
		if status := h.push("app", n); status != http.StatusCreated {
			t.Fatal(status)
		}
	}
	for n := range count / 2 {
		if r := h.v2("DELETE", "/v2/app/manifests/"+digestOf(image(n)), "", ""); r.status != http.StatusAccepted {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	growIndex(t, data)
	full, err := os.Stat(filepath.Join(data, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	h = start()
	await(t, "the index is not compacted", func() bool { return h.indexState().Compactions == 1 })
	readable := func() {
		t.Helper()
		for n := count / 2; n < count; n++ {
			h.wantReads("app", n)
		}
		if r := h.v2("GET", "/v2/app/manifests/v0", "", ""); r.status != http.StatusNotFound {
			t.Errorf("a deleted image: %d", r.status)
		}
	}
	readable()
	if status := h.push("app", count); status != http.StatusCreated {
		t.Errorf("push after it: %d", status)
	}
	if got := metric(t, metricsOf(t, h), "berth_index_compactions_total"); got != "1" {
		t.Errorf("the metric says %s compactions", got)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = start()
	readable()
	h.wantReads("app", count)
	if x := h.indexState(); x.FileBytes > full.Size()*3/4 || x.Compactions != 0 {
		t.Errorf("the file has %d bytes, of %d before; %d compactions after that", x.FileBytes, full.Size(), x.Compactions)
	}
}
