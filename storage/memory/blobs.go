package memory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// chunkSize is how much of a blob lies together. Appending copies no chunk
// that is full, so it stays linear however long a blob grows.
const chunkSize = 64 << 10

// Blobs is a storage.Blobs.
type Blobs struct {
	mu    sync.Mutex // guards the map and, until they are sealed, the blobs
	blobs map[string]*blob
}

type blob struct {
	chunks [][]byte // all but the last hold chunkSize
	size   int64
	sealed bool
	mod    time.Time
}

// NewBlobs returns a keeper that holds no blobs.
func NewBlobs() *Blobs {
	return &Blobs{blobs: map[string]*blob{}}
}

// Append implements storage.Blobs. A context that ends counts as r failing.
func (s *Blobs) Append(ctx context.Context, id string, off int64, r io.Reader) (int64, error) {
	if err := check(ctx, id); err != nil {
		return 0, err
	}
	b, err := s.begin(id, off)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, chunkSize)
	for size := off; ; {
		n, readErr := r.Read(buf)
		if size, err = s.write(b, size, buf[:n]); err != nil {
			return 0, err
		}
		if readErr == io.EOF {
			return size, nil
		}
		if readErr == nil {
			readErr = ctx.Err()
		}
		if readErr != nil {
			return size, fmt.Errorf("append to blob %s: %w", id, readErr)
		}
	}
}

// begin returns the open blob id, cut to off.
func (s *Blobs) begin(id string, off int64) (*blob, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[id]
	if b == nil {
		b = &blob{}
	}
	switch {
	case b.sealed:
		return nil, storage.ErrSealed
	case off < 0:
		return nil, errors.New("memory: negative offset")
	case off > b.size:
		return nil, fmt.Errorf("%w: blob %s has %d bytes, append at %d", storage.ErrGap, id, b.size, off)
	}
	b.truncate(off)
	s.blobs[id] = b
	return b, nil
}

// write adds p at off, which is the blob's end unless another appends too.
func (s *Blobs) write(b *blob, off int64, p []byte) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.sealed {
		return 0, storage.ErrSealed
	}
	if off != b.size {
		return 0, errors.New("memory: two appends to one blob at once")
	}
	b.append(p)
	return b.size, nil
}

// Seal implements storage.Blobs.
func (s *Blobs) Seal(ctx context.Context, id string) error {
	if err := check(ctx, id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[id]
	if b == nil {
		return storage.ErrNotFound
	}
	b.sealed = true
	return nil
}

// Open implements storage.Blobs. A reader goes on reading a blob that is
// deleted meanwhile.
func (s *Blobs) Open(ctx context.Context, id string) (io.ReadSeekCloser, error) {
	if err := check(ctx, id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[id]
	if b == nil || !b.sealed {
		return nil, storage.ErrNotFound
	}
	return reader{io.NewSectionReader(b, 0, b.size)}, nil
}

// Watch implements storage.Watcher.
func (s *Blobs) Watch(ctx context.Context, id string) (storage.WatchedBlob, error) {
	if err := check(ctx, id); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[id]
	if b == nil || b.sealed {
		return nil, storage.ErrNotFound
	}
	return watched{s, b}, nil
}

// watched reads a blob that may grow meanwhile.
type watched struct {
	of   *Blobs
	blob *blob
}

func (w watched) ReadAt(p []byte, off int64) (int, error) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	return w.blob.ReadAt(p, off)
}

func (watched) Close() error { return nil }

// Delete implements storage.Blobs.
func (s *Blobs) Delete(ctx context.Context, id string) error {
	if err := check(ctx, id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, id)
	return nil
}

// List implements storage.Blobs. It shows the blobs of its beginning, less
// those deleted since.
func (s *Blobs) List(ctx context.Context, after string) iter.Seq2[storage.BlobInfo, error] {
	return func(yield func(storage.BlobInfo, error) bool) {
		for _, id := range s.ids() {
			if id <= after {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(storage.BlobInfo{}, err)
				return
			}
			if info, ok := s.info(id); ok && !yield(info, nil) {
				return
			}
		}
	}
}

func (s *Blobs) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.blobs))
}

func (s *Blobs) info(id string) (storage.BlobInfo, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[id]
	if b == nil {
		return storage.BlobInfo{}, false
	}
	return storage.BlobInfo{ID: id, Size: b.size, ModTime: b.mod}, true
}

func check(ctx context.Context, id string) error {
	if err := storage.CheckID(id); err != nil {
		return err
	}
	return ctx.Err()
}

func (b *blob) truncate(size int64) {
	full, rest := size/chunkSize, size%chunkSize
	if rest > 0 {
		b.chunks[full] = b.chunks[full][:rest]
		full++
	}
	clear(b.chunks[full:])
	b.chunks, b.size, b.mod = b.chunks[:full], size, time.Now()
}

func (b *blob) append(p []byte) {
	b.size += int64(len(p))
	b.mod = time.Now()
	for len(p) > 0 {
		last := len(b.chunks) - 1
		if last < 0 || len(b.chunks[last]) == chunkSize {
			b.chunks = append(b.chunks, nil)
			last++
		}
		n := min(len(p), chunkSize-len(b.chunks[last]))
		b.chunks[last] = append(b.chunks[last], p[:n]...)
		p = p[n:]
	}
}

// ReadAt reads a sealed blob, which nothing changes any more.
func (b *blob) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < b.size {
		c := copy(p[n:], b.chunks[off/chunkSize][off%chunkSize:])
		n, off = n+c, off+int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

type reader struct{ *io.SectionReader }

func (reader) Close() error { return nil }
