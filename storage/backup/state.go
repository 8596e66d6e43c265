package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/journal"
)

// snapshot makes a backup with a snapshot of its own.
func (w *work) snapshot(ctx context.Context) (Report, error) {
	w.Progress(Progress{Doing: "take a snapshot of the index"})
	m := w.begin()
	f, err := w.scratch()
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	part, err := pack(f, func(out io.Writer) error { return w.Source.Snapshot(ctx, out) })
	if err != nil {
		return Report{}, fmt.Errorf("take a snapshot: %w", err)
	}
	m.Snapshot = &part
	of, end, err := w.survey(ctx, io.NewSectionReader(f, 0, part.Size))
	if err != nil {
		return Report{}, fmt.Errorf("read the snapshot: %w", err)
	}
	m.Number, m.Time = end.Number, end.Time
	if err := w.connect(ctx, m); err != nil {
		return Report{}, err
	}
	if err := w.put(ctx, path.Join(snapshotsDir, m.ID), part, f); err != nil {
		return Report{}, err
	}
	if err := w.secrets(ctx, &m); err != nil {
		return Report{}, err
	}
	return w.finish(ctx, m, of, w.contents(ctx, io.NewSectionReader(f, 0, part.Size)))
}

// connect puts the changes beside the last backup that lead from its state to that of a new
// one, if they are still kept.
func (w *work) connect(ctx context.Context, m Manifest) error {
	base, ok := w.have.newest(w.Lineage)
	if !ok || base.Number >= m.Number {
		return nil
	}
	_, err := w.records(ctx, base, m)
	if errors.Is(err, ErrNoRecords) {
		return nil
	}
	return err
}

// survey reads a snapshot to its end, which shows that it is whole, and counts the blobs
// that it names.
func (w *work) survey(ctx context.Context, r io.Reader) (blobs int, end journal.SnapshotEnd, err error) {
	s, err := openSnapshot(r)
	if err != nil {
		return 0, end, err
	}
	for e, err := range s.Rows() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, end, err
		}
		_, ok, err := w.Contents(e)
		if err != nil {
			return 0, end, err
		}
		if ok {
			blobs++
		}
	}
	if end = s.End(); end.Begin != end.Number {
		return 0, end, fmt.Errorf("%w: it is of no one state", ErrDamaged)
	}
	return blobs, end, nil
}

func openSnapshot(r io.Reader) (*journal.SnapshotReader, error) {
	z, err := unpack(r)
	if err != nil {
		return nil, err
	}
	return journal.NewSnapshotReader(z)
}

// contents are the blobs that a snapshot names.
func (w *work) contents(ctx context.Context, r io.Reader) iter.Seq2[Content, error] {
	return func(yield func(Content, error) bool) {
		s, err := openSnapshot(r)
		if err != nil {
			yield(Content{}, err)
			return
		}
		for e, err := range s.Rows() {
			if err == nil {
				err = ctx.Err()
			}
			var c Content
			var ok bool
			if err == nil {
				c, ok, err = w.content(e)
			}
			if (ok || err != nil) && (!yield(c, err) || err != nil) {
				return
			}
		}
	}
}

// content is Contents with a check of the id, of which paths are made.
func (w *work) content(e storage.Entry) (Content, bool, error) {
	c, ok, err := w.Contents(e)
	if ok && err == nil {
		err = storage.CheckID(c.Blob)
	}
	return c, ok, err
}

// secrets puts what is encrypted beside the rest.
func (w *work) secrets(ctx context.Context, m *Manifest) error {
	if w.Secrets == nil {
		return nil
	}
	f, err := w.scratch()
	if err != nil {
		return err
	}
	defer f.Close()
	part, err := pack(f, func(out io.Writer) error { _, err := out.Write(w.Secrets); return err })
	if err != nil {
		return err
	}
	m.Secrets = &part
	return w.put(ctx, path.Join(secretsDir, m.ID), part, f)
}
