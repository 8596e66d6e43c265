package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/journal"
)

// Secrets is what was kept as Options.Secrets, nil if nothing was.
func (b *Backup) Secrets(ctx context.Context) (secrets []byte, err error) {
	if b.Full.Secrets == nil {
		return nil, nil
	}
	err = fetch(ctx, b.target, path.Join(secretsDir, b.Full.ID), *b.Full.Secrets, func(r io.Reader) error {
		z, err := unpack(r)
		if err == nil {
			secrets, err = io.ReadAll(io.LimitReader(z, maxSecrets))
		}
		return err
	})
	return secrets, err
}

// maxSecrets bounds what Secrets returns.
const maxSecrets = 16 << 20

// Check makes sure that the target has all files of the backup, as large as they should
// be, and that all but the blobs have the right checksums. The error is ErrDamaged.
func (b *Backup) Check(ctx context.Context) error {
	sizes := map[string]int64{}
	for f, err := range b.target.List(ctx, blobsDir) {
		if err != nil {
			return err
		}
		if id := path.Base(f.Name); f.Name == blobName(id) {
			sizes[id] = f.Size
		}
	}
	for id, blob := range b.blobs {
		if blob.Damaged != "" {
			continue
		}
		if size, ok := sizes[id]; !ok || size != blob.Size {
			return fmt.Errorf("%w: blob %s should have %d bytes, has %d (there: %v)", ErrDamaged, id, blob.Size, size, ok)
		}
	}
	for _, m := range b.chain {
		for name, p := range partsOf(m) {
			if err := fetch(ctx, b.target, name, p, skim); err != nil {
				return err
			}
		}
	}
	return nil
}

// Verify reads every blob of the backup and holds it against its checksums. The error names
// those that are wrong, and is ErrDamaged.
func (b *Backup) Verify(ctx context.Context, progress func(Progress)) error {
	var wrong []error
	p := Progress{Doing: "read layers", Of: len(b.blobs)}
	for _, blob := range b.blobs {
		switch err := b.verify(ctx, blob); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			wrong = append(wrong, fmt.Errorf("blob %s, which is %s: %w", blob.ID, blob.Digest, err))
		}
		p.Blobs++
		p.Bytes += blob.Size
		progress(p)
	}
	return errors.Join(wrong...)
}

func (b *Backup) verify(ctx context.Context, blob Blob) error {
	if blob.Damaged != "" {
		return fmt.Errorf("%w when it was backed up: %s", ErrDamaged, blob.Damaged)
	}
	return b.read(ctx, Content{blob.ID, blob.Digest, blob.Size}, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
}

// read calls fn with the bytes of a blob, which end in an error if they are wrong.
func (b *Backup) read(ctx context.Context, content Content, fn func(io.Reader) error) error {
	r, err := b.target.Open(ctx, blobName(content.Blob))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer r.Close()
	return fn(newChecked(readerOf(ctx, r), content))
}

// rowsAtOnce and bytesAtOnce bound what Load writes in one update.
const (
	rowsAtOnce  = 5000
	bytesAtOnce = 8 << 20
)

// Load writes the rows of the state into an index, which must be empty. It returns the
// number of the last update in it.
func (b *Backup) Load(ctx context.Context, index storage.Index) (number uint64, err error) {
	number = b.Full.Number
	rows := loader{ctx: ctx, index: index}
	err = fetch(ctx, b.target, path.Join(snapshotsDir, b.Full.ID), *b.Full.Snapshot, func(r io.Reader) error {
		s, err := openSnapshot(r)
		if err != nil {
			return err
		}
		for e, err := range s.Rows() {
			if err == nil {
				err = rows.add(journal.Change{Key: e.Key, Value: e.Value})
			}
			if err != nil {
				return err
			}
		}
		if end := s.End(); end.Begin != number || end.Number != number {
			return fmt.Errorf("%w: it is of update %d, the manifest says %d", ErrDamaged, end.Number, number)
		}
		return rows.flush()
	})
	for _, m := range b.chain[1:] {
		if err != nil {
			break
		}
		number, err = b.replay(ctx, m, &rows, number)
	}
	return number, err
}

// replay puts records over the rows, as far as they are wanted.
func (b *Backup) replay(ctx context.Context, m Manifest, rows *loader, number uint64) (uint64, error) {
	err := fetch(ctx, b.target, path.Join(recordsDir, m.ID), *m.Records, func(r io.Reader) error {
		for rec, err := range readRecords(ctx, r, m.First-1) {
			if err != nil {
				return err
			}
			if b.want.Number != 0 && rec.Number > b.want.Number || !b.want.At.IsZero() && rec.Time.After(b.want.At) {
				break
			}
			for c, err := range rec.Changes() {
				if err == nil {
					err = rows.add(c)
				}
				if err != nil {
					return err
				}
			}
			number = rec.Number
		}
		return rows.flush()
	})
	return number, err
}

// loader writes rows in updates of some size.
type loader struct {
	ctx   context.Context
	index storage.Index
	rows  []journal.Change
	bytes int
}

func (l *loader) add(c journal.Change) error {
	c.Value = append([]byte{}, c.Value...)
	l.rows = append(l.rows, c)
	if l.bytes += len(c.Key) + len(c.Value); len(l.rows) < rowsAtOnce && l.bytes < bytesAtOnce {
		return nil
	}
	return l.flush()
}

func (l *loader) flush() error {
	err := l.index.Update(l.ctx, func(tx storage.Tx) error {
		for _, c := range l.rows {
			var err error
			if c.Deleted {
				err = tx.Delete(c.Key)
			} else {
				err = tx.Put(c.Key, c.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	l.rows, l.bytes = l.rows[:0], 0
	return err
}

// Restored is what a restore came to.
type Restored struct {
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
	// Lacks are the blobs that the rows name and the backup has not.
	Lacks []Blob `json:"lacks,omitempty"`
}

// Filling says how Fill goes about it.
type Filling struct {
	Contents Contents
	// Lacking goes on although the backup lacks blobs that the rows name.
	Lacking  bool
	Progress func(Progress)
}

// Fill copies the blobs that the rows of an index name, which Load wrote. Each is held
// against its digest. Those that the backup lacks are in the result, and ErrLacking before
// anything is copied unless that was allowed; what else is missing or wrong is ErrDamaged.
func (b *Backup) Fill(ctx context.Context, index storage.Index, blobs storage.Blobs, o Filling) (Restored, error) {
	var done Restored
	wanted, err := b.wanted(ctx, index, o.Contents, &done)
	if err == nil && len(done.Lacks) > 0 && !o.Lacking {
		err = lacking(done.Lacks)
	}
	if err != nil {
		return done, err
	}
	f := filling{b: b, blobs: blobs, progress: o.Progress, p: Progress{Doing: "copy layers", Of: len(wanted)}}
	err = f.all(ctx, wanted)
	done.Blobs, done.Bytes = f.p.Blobs, f.p.Bytes
	return done, err
}

// lacking names some of the blobs that a backup lacks.
func lacking(lacks []Blob) error {
	text := ""
	for i, b := range lacks {
		if i == 5 {
			text += fmt.Sprintf("; and %d more", len(lacks)-i)
			break
		}
		text += fmt.Sprintf("; %s: %s", b.Digest, b.Damaged)
	}
	return fmt.Errorf("%w%s", ErrLacking, text)
}

// wanted are the blobs that an index names.
func (b *Backup) wanted(ctx context.Context, index storage.Index, contents Contents, done *Restored) (list []Content, err error) {
	err = index.View(ctx, func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			c, ok, err := contents(e)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			if !ok {
				continue
			}
			if lack, ok := b.lack(c); ok {
				done.Lacks = append(done.Lacks, lack)
				continue
			}
			list = append(list, c)
		}
		return nil
	})
	return list, err
}

// lack says whether the backup has not what a row names, and why.
func (b *Backup) lack(c Content) (Blob, bool) {
	blob, ok := b.blobs[c.Blob]
	switch {
	case !ok:
		return Blob{ID: c.Blob, Digest: c.Digest, Size: c.Size, Damaged: "it came and went between two backups"}, true
	case blob.Damaged != "":
		return blob, true
	case blob.Size != c.Size || blob.Digest != c.Digest:
		return Blob{ID: c.Blob, Digest: c.Digest, Size: c.Size, Damaged: "the manifest and the index say different things of it"}, true
	}
	return Blob{}, false
}

// filling copies blobs, several at once.
type filling struct {
	b        *Backup
	blobs    storage.Blobs
	progress func(Progress)

	mu  sync.Mutex // guards what follows
	p   Progress
	err error
}

func (f *filling) all(ctx context.Context, wanted []Content) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan Content)
	var workers sync.WaitGroup
	for range copiers {
		workers.Go(func() {
			for c := range queue {
				if f.done(c, f.one(ctx, c)) != nil {
					cancel()
				}
			}
		})
	}
	for _, c := range wanted {
		select {
		case queue <- c:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
	if f.err == nil {
		f.err = ctx.Err()
	}
	return f.err
}

func (f *filling) one(ctx context.Context, c Content) error {
	return f.b.read(ctx, c, func(r io.Reader) error {
		if _, err := f.blobs.Append(ctx, c.Blob, 0, r); err != nil {
			return fmt.Errorf("%s: %w", c.Digest, err)
		}
		return f.blobs.Seal(ctx, c.Blob)
	})
}

// done counts a blob, and keeps the first error.
func (f *filling) done(c Content, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		if f.err == nil {
			f.err = err
		}
		return err
	}
	f.p.Blobs++
	f.p.Copied++
	f.p.Bytes += c.Size
	f.progress(f.p)
	return nil
}
