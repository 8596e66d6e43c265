package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"path"
	"slices"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/journal"
)

// records makes a backup that goes on from another: with the changes since then, up to the
// state of a third unless that is zero, and the blobs that these name. Where there are no
// changes it is the report of the other.
func (w *work) records(ctx context.Context, base, upTo Manifest) (Report, error) {
	w.Progress(Progress{Doing: "copy the changes since backup " + base.ID})
	m := w.begin()
	f, err := w.scratch()
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	part, err := pack(f, func(out io.Writer) error { return w.Source.Records(ctx, base.Number, upTo.Number, out) })
	if err != nil {
		return Report{}, fmt.Errorf("copy the changes: %w", err)
	}
	named, last, err := w.named(ctx, base.Number, io.NewSectionReader(f, 0, part.Size))
	if err != nil {
		return Report{}, fmt.Errorf("read the changes: %w", err)
	}
	switch {
	case last.Number == base.Number:
		return Report{Manifest: base}, nil
	case upTo.Number != 0 && last.Number != upTo.Number:
		return Report{}, fmt.Errorf("%w: the changes end with update %d, not %d", ErrDamaged, last.Number, upTo.Number)
	case upTo.Number != 0:
		m.Time = upTo.Time
	}
	m.Base, m.Records, m.First, m.Number = base.ID, &part, base.Number+1, last.Number
	if err := w.put(ctx, path.Join(recordsDir, m.ID), part, f); err != nil {
		return Report{}, err
	}
	return w.finish(ctx, m, len(named), func(yield func(Content, error) bool) {
		for _, id := range slices.Sorted(maps.Keys(named)) {
			if !yield(named[id], nil) {
				return
			}
		}
	})
}

// named are the blobs that records name and that none of them lets go of: those that were
// there at their end. Others may have been deleted before anybody held them.
func (w *work) named(ctx context.Context, after uint64, r io.Reader) (map[string]Content, journal.Record, error) {
	named, last := map[string]Content{}, journal.Record{Number: after}
	byKey := map[string]string{} // of rows to blobs
	for rec, err := range readRecords(ctx, r, after) {
		if err != nil {
			return nil, last, err
		}
		for c, err := range rec.Changes() {
			if err != nil {
				return nil, last, err
			}
			delete(named, byKey[c.Key])
			delete(byKey, c.Key)
			content, ok, err := w.content(storage.Entry{Key: c.Key, Value: c.Value})
			if c.Deleted || !ok && err == nil {
				continue
			}
			if err != nil {
				return nil, last, err
			}
			named[content.Blob], byKey[c.Key] = content, content.Blob
		}
		last = rec
	}
	return named, last, nil
}

// readRecords reads packed records, which must begin right after the update with a number.
func readRecords(ctx context.Context, r io.Reader, after uint64) iter.Seq2[journal.Record, error] {
	return func(yield func(journal.Record, error) bool) {
		z, err := unpack(r)
		var reader *journal.RecordReader
		if err == nil {
			reader, err = journal.NewRecordReader(z)
		}
		if err == nil && reader.Last() != after {
			err = fmt.Errorf("%w: the changes begin after update %d, not after %d", ErrDamaged, reader.Last(), after)
		}
		for err == nil {
			var rec journal.Record
			if rec, err = reader.Next(); err == nil {
				err = ctx.Err()
			}
			if err == nil && !yield(rec, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(journal.Record{}, err)
		}
	}
}
