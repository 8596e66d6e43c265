package life

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// compacts says whether a process passes a point when it compacts its index.
func compacts(at failpoint.Point) bool {
	switch at {
	case failpoint.CompactMade, failpoint.CompactCopied, failpoint.CompactSynced, failpoint.CompactRenamed, failpoint.CompactNamed:
		return true
	}
	return false
}

// hollow has the index of a data folder grow, and deletes what it grew by, so that the
// next process compacts it.
func (h *history) hollow(o KillOptions, data string) error {
	path := filepath.Join(data, "index.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := h.startsAgain(o, data); err != nil || len(h.Losses) > 0 {
			return err
		}
	}
	x, err := boltindex.Open(path, boltindex.Options{})
	if err != nil {
		return err
	}
	const rows = 70 // of 400 kB: more than the 16 MiB from which on a file is compacted
	value := bytes.Repeat([]byte("x"), 400_000)
	for _, do := range []func(storage.Tx, string) error{
		func(tx storage.Tx, key string) error { return tx.Put(key, value) },
		func(tx storage.Tx, key string) error { return tx.Delete(key) },
	} {
		err = errors.Join(err, x.Update(context.Background(), func(tx storage.Tx) (err error) {
			for n := range rows {
				err = errors.Join(err, do(tx, fmt.Sprint("hollow/", n)))
			}
			return err
		}))
	}
	return errors.Join(err, x.Close())
}

// atMaking says whether a process passes a point when its data folder is made.
func atMaking(at failpoint.Point) bool {
	return strings.HasPrefix(string(at), "boltindex: ") || strings.HasPrefix(string(at), "privatefile: ")
}
