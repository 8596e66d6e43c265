package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"sync"

	"github.com/seed-78150930/berth/registry/digest"
)

// copiers is how many blobs are copied at once.
const copiers = 4

// copying brings the blobs of a backup to its target.
type copying struct {
	*work
	manifest *sealer
	of       int // blobs in all, 0 if that is not known

	mu   sync.Mutex // guards what follows, and manifest
	done int
	err  error
}

// blobs copies what the target has not, and enters all in the manifest.
func (c *copying) blobs(ctx context.Context, contents iter.Seq2[Content, error]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan Content)
	var workers sync.WaitGroup
	for range copiers {
		workers.Go(func() {
			for content := range queue {
				if err := c.one(ctx, content); err != nil {
					c.fail(err)
					cancel()
				}
			}
		})
	}
	for content, err := range contents {
		if err != nil {
			c.fail(err)
			break
		}
		select {
		case queue <- content:
			continue
		case <-ctx.Done():
			c.fail(ctx.Err())
		}
		break
	}
	close(queue)
	workers.Wait()
	return c.err
}

// fail keeps the first error.
func (c *copying) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// one brings one blob.
func (c *copying) one(ctx context.Context, content Content) error {
	b := Blob{ID: content.Blob, Digest: content.Digest, Size: content.Size}
	sum, ok, err := c.there(ctx, content)
	if err != nil {
		return err
	}
	copied := int64(-1)
	if !ok {
		sum, err = c.bring(ctx, content)
		copied = content.Size
	}
	var hurt *hurtError
	switch {
	case errors.As(err, &hurt):
		b.Damaged, copied = hurt.Error(), -1
	case err != nil:
		return err
	default:
		b.SHA256 = hex.EncodeToString(sum)
		c.note(b, sum)
	}
	return c.enter(b, copied)
}

// there says whether the target has a blob already, and with which checksum.
func (c *copying) there(ctx context.Context, content Content) (sum []byte, ok bool, err error) {
	c.mu.Lock()
	k, ok := c.have.blobs[content.Blob]
	c.mu.Unlock()
	if !ok || k.size != content.Size {
		return nil, false, nil
	}
	if k.sure && !c.Rehash {
		return k.sum[:], fits(content.Digest, k.sum[:]), nil
	}
	r, err := c.Target.Open(ctx, blobName(content.Blob))
	if err != nil {
		return nil, false, ctx.Err()
	}
	defer r.Close()
	check := newChecked(readerOf(ctx, r), content)
	if _, err := io.Copy(io.Discard, check); err != nil {
		return nil, false, ctx.Err() // it is brought anew
	}
	return check.sum.Sum(nil), true, nil
}

// note has the inventory know what the target has now.
func (c *copying) note(b Blob, sum []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.have.blobs[b.ID] = kept{size: b.Size, sum: [sha256.Size]byte(sum), sure: true}
}

// fits says whether a checksum may be that of bytes with a digest.
func fits(d digest.Digest, sum []byte) bool {
	return d.Algorithm() != digest.SHA256 || d.Encoded() == hex.EncodeToString(sum)
}

// bring copies a blob. What is wrong with the store's own bytes is a *hurtError.
func (c *copying) bring(ctx context.Context, content Content) (sum []byte, err error) {
	r, err := c.Source.Open(ctx, content.Blob)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &hurtError{err}
	}
	defer r.Close()
	check := newChecked(readerOf(ctx, r), content)
	err = c.Target.Put(ctx, blobName(content.Blob), check, content.Size)
	if check.err != nil && ctx.Err() == nil {
		return nil, &hurtError{check.err}
	}
	return check.sum.Sum(nil), err
}

// enter notes a blob in the manifest. copied is how many bytes were copied, -1 for none.
func (c *copying) enter(b Blob, copied int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.Damaged != "" && len(c.report.Lacks) < maxLacks {
		c.report.Lacks = append(c.report.Lacks, b)
	}
	if copied >= 0 {
		c.report.Copied++
		c.report.CopiedBytes += copied
	}
	c.done++
	if c.done%64 == 0 || copied > 1<<20 || c.done == c.of {
		c.Progress(Progress{Doing: "copy layers", Blobs: c.done, Of: c.of, Copied: c.report.Copied, Bytes: c.report.CopiedBytes})
	}
	return c.manifest.blob(b)
}

// hurtError is what is wrong with the store's bytes of a blob.
type hurtError struct{ error }

func (e *hurtError) Unwrap() error { return e.error }

// checked reads a blob's bytes. In the place of the end it gives an error unless they are
// as many as they should be, with the right digest.
type checked struct {
	r       io.Reader
	content Content
	sum     hash.Hash // SHA-256
	other   hash.Hash // of the digest, nil if that is SHA-256 too
	size    int64
	err     error // of r, or that the bytes are wrong
}

func newChecked(r io.Reader, content Content) *checked {
	c := &checked{r: r, content: content, sum: sha256.New()}
	if a := content.Digest.Algorithm(); a != digest.SHA256 {
		c.other = a.New()
	}
	return c
}

func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	if c.other != nil {
		c.other.Write(p[:n])
	}
	c.size += int64(n)
	switch {
	case c.size > c.content.Size:
		err = fmt.Errorf("%w: it is longer than %d bytes", ErrDamaged, c.content.Size)
	case err == io.EOF:
		err = c.atEnd()
	}
	if err != nil && err != io.EOF {
		c.err = err
		return 0, err
	}
	return n, err
}

// atEnd is io.EOF if all bytes were right.
func (c *checked) atEnd() error {
	if c.size != c.content.Size {
		return fmt.Errorf("%w: it has %d bytes, should have %d", ErrDamaged, c.size, c.content.Size)
	}
	h := c.other
	if h == nil {
		h = c.sum
	}
	if got := digest.FromHash(c.content.Digest.Algorithm(), h); got != c.content.Digest {
		return fmt.Errorf("%w: its digest is %s", ErrDamaged, got)
	}
	return io.EOF
}

// finish copies blobs and writes the manifest, which ends the backup.
func (w *work) finish(ctx context.Context, m Manifest, of int, contents iter.Seq2[Content, error]) (Report, error) {
	f, err := w.scratch()
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	w.report = Report{Copied: w.report.Copied, CopiedBytes: w.report.CopiedBytes} // with those of an earlier step
	m.Serial = w.have.serial()
	s, err := newSealer(f, m, w.Sign)
	if err != nil {
		return Report{}, err
	}
	c := &copying{work: w, manifest: s, of: of}
	if err := c.blobs(ctx, contents); err != nil {
		return Report{}, err
	}
	if err := s.seal(); err != nil {
		return Report{}, err
	}
	w.report.Manifest, w.report.Total = m, s.total
	if err := w.publish(ctx, m, f); err != nil {
		return Report{}, err
	}
	w.have.manifests = append(w.have.manifests, m)
	return w.report, nil
}

// publish puts the manifest in its place, once all that it names is safe.
func (w *work) publish(ctx context.Context, m Manifest, f *os.File) error {
	if err := w.Target.Sync(ctx); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.Target.Put(ctx, manifestName(m.ID), io.NewSectionReader(f, 0, info.Size()), info.Size()); err != nil {
		return err
	}
	return w.Target.Sync(ctx)
}
