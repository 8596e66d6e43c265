package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// bufferSize is what each Append takes of memory while it runs. A larger one makes fewer
// calls, but what is read does not stay in the processor's cache until it is written.
const bufferSize = 16 << 10

// Append implements storage.Blobs. A context that ends counts as r failing.
func (s *Store) Append(ctx context.Context, id string, off int64, r io.Reader) (int64, error) {
	size, settle, err := s.AppendLater(ctx, id, off, r)
	if settle == nil {
		return 0, err
	}
	if err := settle(); err != nil {
		return 0, err
	}
	return size, err
}

// AppendLater implements storage.Later.
func (s *Store) AppendLater(ctx context.Context, id string, off int64, r io.Reader) (size int64, settle func() error, err error) {
	if err := s.check(ctx, id); err != nil {
		return 0, nil, err
	}
	f, err := s.openAt(id, off)
	if err != nil {
		return 0, nil, err
	}
	size, readErr, err := s.fill(ctx, f, off, r)
	if err != nil {
		return 0, nil, appendError(id, errors.Join(err, f.Close()))
	}
	settle = func() error {
		if err := errors.Join(s.settle(id, f), f.Close()); err != nil {
			return appendError(id, err)
		}
		return nil
	}
	if readErr != nil {
		readErr = appendError(id, readErr)
	}
	return size, settle, readErr
}

func appendError(id string, err error) error {
	return fmt.Errorf("append to blob %s: %w", id, mapFull(err))
}

// openAt opens the file of an open blob, made if off is 0, and cuts it to off.
func (s *Store) openAt(id string, off int64) (disk.File, error) {
	if off < 0 {
		return nil, appendError(id, fmt.Errorf("negative offset %d", off))
	}
	f, err := s.disk.OpenFile(s.openPath(id), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return s.create(id, off)
	}
	if err != nil {
		return nil, appendError(id, err)
	}
	if err := cut(f, off); err != nil {
		return nil, errors.Join(appendError(id, err), f.Close())
	}
	return f, nil
}

func (s *Store) create(id string, off int64) (disk.File, error) {
	_, err := s.disk.Lstat(s.path(id))
	switch {
	case err == nil:
		return nil, appendError(id, storage.ErrSealed)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, appendError(id, err)
	case off > 0:
		return nil, appendError(id, fmt.Errorf("%w: append at %d, and it is absent", storage.ErrGap, off))
	}
	f, err := s.disk.OpenFile(s.openPath(id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, appendError(id, err)
	}
	failpoint.Hit(failpoint.BlobMade)
	return f, nil
}

// cut drops the bytes beyond off, or says that there are too few.
func cut(f disk.File, off int64) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() < off:
		return fmt.Errorf("%w: append at %d of %d bytes", storage.ErrGap, off, info.Size())
	case info.Size() == off:
		return nil
	}
	err = f.Truncate(off)
	failpoint.Hit(failpoint.BlobCut)
	return err
}

// fill writes what r gives from off on. readErr is the failure of r, err that
// of the file.
func (s *Store) fill(ctx context.Context, f disk.File, off int64, r io.Reader) (size int64, readErr, err error) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	for readErr == nil {
		var n int
		n, readErr = readFull(ctx, r, *buf)
		if _, err := f.WriteAt((*buf)[:n], off); err != nil {
			return 0, nil, err
		}
		failpoint.Hit(failpoint.BlobWritten)
		off += int64(n)
	}
	if readErr == io.EOF {
		readErr = nil
	}
	return off, readErr, nil
}

// readFull fills p, however small the pieces in which r gives its bytes. It
// differs from io.ReadFull in that the error is always r's own, or ctx's.
func readFull(ctx context.Context, r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
		if err == nil {
			err = ctx.Err()
		}
	}
	return n, err
}

// settle puts the file's bytes on disk and, unless this process has done so
// before, its name. If that fails, the blob is lost.
func (s *Store) settle(id string, f disk.File) error {
	err := f.Sync()
	failpoint.Hit(failpoint.BlobSynced)
	if err == nil && !s.isNamed(id) {
		err = s.names[folderOf(id)].sync(func() error { return disk.Sync(s.disk, s.folder(id)) })
		failpoint.Hit(failpoint.BlobNamed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.lost[id] = fmt.Errorf("blob %s is lost: %w: %w", id, storage.ErrSync, mapFull(err))
		return fmt.Errorf("%w: %w", storage.ErrSync, err)
	}
	s.named[id] = true
	return s.lost[id] // what an append before this one left
}

func (s *Store) isNamed(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named[id]
}
