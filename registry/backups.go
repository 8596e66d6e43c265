package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Content is a layer's bytes, or a page of what a scan found, and the blob that has them.
type Content struct {
	Blob   string
	Digest digest.Digest
	Size   int64
}

// ContentOf says whether a row of an index names bytes that are to be kept, and which. It
// is for those who read an index without a Service, as when it is backed up.
func ContentOf(e storage.Entry) (c Content, ok bool, err error) {
	page, ok, err := scanPages.Read(e)
	if ok {
		return Content{page.Row.Blob, page.Row.Digest, page.Row.Size}, err == nil, err
	}
	f, ok, err := contents.Read(e)
	if err != nil || !ok {
		return c, false, err
	}
	if len(f.Key) != 1 {
		return c, false, fmt.Errorf("content row under %q", f.Key)
	}
	d, err := digest.Parse(f.Key[0])
	return Content{Blob: f.Row.Blob, Digest: d, Size: f.Row.Size}, err == nil, err
}

// lineage is the id of the store's history, which is given one if it has none.
func lineage(tx storage.Tx) (string, error) {
	row, err := lineages.Get(tx, "")
	if errors.Is(err, storage.ErrNotFound) {
		row = lineageRow{newID()}
		err = lineages.Put(tx, row, "")
	}
	return row.ID, err
}

// Settle makes an index whose rows were brought back from a backup one to start a server
// with. What a backup has not is taken out: uploads under way and condemned bytes; so are
// the holds of its time. The index gets a lineage of its own, since the numbers of its
// updates will be those of others in the history that it comes from.
func Settle(ctx context.Context, index storage.Index) error {
	err := errors.Join(
		drain(ctx, index, uploads, func(tx storage.Tx, f table.Found[uploadRow]) error {
			if err := owners.Delete(tx, f.Row.Blob); err != nil {
				return err
			}
			return resizeStore(tx, storeSizeRow{Uploads: -f.Row.Offset})
		}),
		drain(ctx, index, condemned, func(tx storage.Tx, f table.Found[condemnedRow]) error { return forgetCondemned(tx, f.Key) }),
		drain(ctx, index, holds, nil),
	)
	if err != nil {
		return err
	}
	return NewLineage(ctx, index)
}

// NewLineage begins another history, in which the numbers of updates may be those of others
// in the one before. Backups of the two are not mixed.
func NewLineage(ctx context.Context, index storage.Index) error {
	return index.Update(ctx, func(tx storage.Tx) error { return lineages.Put(tx, lineageRow{newID()}, "") })
}

// drain deletes all rows of a table, after also was called with each unless it is nil.
func drain[Row any](ctx context.Context, index storage.Index, t table.Table[Row], also func(storage.Tx, table.Found[Row]) error) error {
	for n := batch; n == batch; {
		err := index.Update(ctx, func(tx storage.Tx) error {
			n = 0
			for f, err := range t.Scan(tx, table.Select{Limit: batch}) {
				if err == nil && also != nil {
					err = also(tx, f)
				}
				if err == nil {
					err = t.Delete(tx, f.Key...)
				}
				if err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
