package server_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
)

// restless are the tables that requests may write to which do nothing to what is
// kept: events and their numbers, who follows them, when what ran, a list of the
// passwords that were given out, which is written late, what the server found out for
// previews that have gone since, and what it notes by the clock.
var restless = []string{
	"event", "eventcursor", "eventdelivery", "eventdead", "sequence", "job", "issued-password", "decision", "decided", "oldplan",
	"clock-mark", "collection", "scrub",
}

// restlessMembers are those of rows that change by reading: when an image was last
// pulled, and when a key was last used.
var restlessMembers = map[string]string{"image": "PulledAt", "access-key": "usedAt"}

// tableOf is the table of a row by its key.
func tableOf(key string) string {
	name, _, _ := strings.Cut(key, "\x00")
	return name
}

// rows are all rows of the index, as they are.
func (d *doorway) rows() (all map[string]string) {
	d.Helper()
	d.must(d.house.Index().View(context.Background(), func(rd storage.Reader) (err error) {
		all, err = rowsOf(rd)
		return err
	}))
	return all
}

func rowsOf(rd storage.Reader) (map[string]string, error) {
	all := map[string]string{}
	for e, err := range rd.Scan(storage.Range{}) {
		if err != nil {
			return nil, err
		}
		all[e.Key] = string(e.Value)
	}
	return all, nil
}

// fingerprint is all that the server keeps, but for what every request may change:
// rows by their keys, blobs by their ids.
func (d *doorway) fingerprint() map[string]string {
	d.Helper()
	all := d.rows()
	for key, value := range all {
		at := tableOf(key)
		if slices.Contains(restless, at) {
			delete(all, key)
		} else if member, ok := restlessMembers[at]; ok {
			all[key] = withoutMember(value, member)
		}
	}
	for b, err := range d.house.Blobs().List(context.Background(), "") {
		d.must(err)
		all["blob "+b.ID] = fmt.Sprintf("%d bytes, %s", b.Size, d.contentOf(b.ID))
	}
	return all
}

// withoutMember is a row without a member that is a text. Rows are JSON.
func withoutMember(row, member string) string {
	before, after, ok := strings.Cut(row, `,"`+member+`":"`)
	if !ok {
		return row
	}
	_, after, _ = strings.Cut(after, `"`)
	return before + after
}

// contentOf is the hash of a blob that is whole.
func (d *doorway) contentOf(id string) string {
	d.Helper()
	r, err := d.house.Blobs().Open(context.Background(), id)
	if err != nil {
		return "open"
	}
	defer r.Close()
	h := sha256.New()
	_, err = io.Copy(h, r)
	d.must(err)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// unchanged holds the store against what it was.
func (d *doorway) unchanged(what string, before map[string]string) {
	d.Helper()
	if now := d.fingerprint(); !maps.Equal(before, now) {
		d.Errorf("%s: the store is another (-before +after):\n%.3000s", what, cmp.Diff(before, now))
	}
}

// settled waits until the server has done what requests have left to it.
func (d *doorway) settled() {
	d.Helper()
	for end := time.Now().Add(patient); d.isBusy(); runtime.Gosched() {
		if time.Now().After(end) {
			d.Fatal("what was deleted is not cleared away")
		}
	}
}

// isBusy says whether something that was deleted is to be cleared away, or a scan is to
// come to its end.
func (d *doorway) isBusy() bool {
	for key := range d.rows() {
		if at := tableOf(key); at == "dropped" || at == "condemned" || at == "scandue" {
			return true
		}
	}
	return false
}

// putBack makes the rows of the index those that they were, but for identities, whose
// generation only counts up, and drops the blobs that
// came since.
func (d *doorway) putBack(was, print map[string]string) {
	d.Helper()
	d.settled()
	ctx := context.Background()
	d.must(d.house.Index().Update(ctx, func(tx storage.Tx) error {
		now, err := rowsOf(tx)
		if err != nil {
			return err
		}
		for _, key := range slices.Concat(slices.Collect(maps.Keys(now)), slices.Collect(maps.Keys(was))) {
			if err := putRowBack(tx, key, now, was); err != nil {
				return err
			}
		}
		return nil
	}))
	for b, err := range d.house.Blobs().List(ctx, "") {
		d.must(err)
		if _, ok := print["blob "+b.ID]; !ok {
			d.must(d.house.Blobs().Delete(ctx, b.ID))
		}
	}
}

func putRowBack(tx storage.Tx, key string, now, was map[string]string) error {
	value, ok := was[key]
	has, there := now[key]
	switch {
	case has == value && there == ok || slices.Contains(restless, tableOf(key)) || strings.HasPrefix(key, "iam-"):
		return nil
	case ok:
		return tx.Put(key, []byte(value))
	}
	return tx.Delete(key)
}
