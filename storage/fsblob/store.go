// Package fsblob keeps a [storage.Blobs] as files.
//
// A blob is one file in one of 256 folders, chosen by the first two characters
// of its id: "<id>.open" until it is sealed, then "<id>". The folders are made
// when the store is opened, so that a new blob costs the sync of its file and
// of one folder and no more; blobs of one folder that are made at the same time share
// that. A path is only ever made from an id that passed
// storage.CheckID, and ids come from the registry, never from a client.
package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// openSuffix marks the file of a blob that is not sealed. No id holds a dot.
const openSuffix = ".open"

// Store is a storage.Blobs in a folder.
//
// When a sync fails, what the disk holds of that blob is not known, and asking
// again may get a false "yes". So the blob is lost for this process: all but
// Delete fails. A process that starts anew may append to it where the last
// successful Append ended, which writes all that came after once more.
type Store struct {
	dir     string
	disk    disk.FS
	buffers sync.Pool // of *[]byte
	names   [folders]names

	mu    sync.Mutex
	named map[string]bool  // open blobs whose name is known to be on disk
	lost  map[string]error // blobs of which a sync failed
}

// Open opens the store in the folder dir, which is made if it is absent; its
// parent must be there.
func Open(dir string) (*Store, error) { return OpenOn(disk.OS{}, dir) }

// OpenOn is Open on other files than those of the operating system.
func OpenOn(fsys disk.FS, dir string) (*Store, error) {
	s := &Store{
		dir:     dir,
		disk:    fsys,
		buffers: sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }},
		named:   map[string]bool{},
		lost:    map[string]error{},
	}
	if err := s.makeFolders(); err != nil {
		return nil, fmt.Errorf("open blobs in %s: %w", dir, mapFull(err))
	}
	return s, nil
}

// makeFolders makes what is absent of the fan-out. It syncs even if nothing
// is, since a process before may have died between the two.
func (s *Store) makeFolders() error {
	if err := s.mkdir(s.dir); err != nil {
		return err
	}
	for n := range folders {
		if err := s.mkdir(filepath.Join(s.dir, folderName(n))); err != nil {
			return err
		}
	}
	failpoint.Hit(failpoint.FoldersMade)
	err := errors.Join(disk.Sync(s.disk, s.dir), disk.Sync(s.disk, filepath.Dir(s.dir)))
	failpoint.Hit(failpoint.FoldersNamed)
	return err
}

func (s *Store) mkdir(dir string) error {
	err := s.disk.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Seal implements storage.Blobs.
func (s *Store) Seal(ctx context.Context, id string) error {
	if err := s.check(ctx, id); err != nil {
		return err
	}
	err := s.disk.Rename(s.openPath(id), s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = s.disk.Lstat(s.path(id)) // sealed already?
	}
	if err != nil {
		return wrap("seal", id, err)
	}
	failpoint.Hit(failpoint.BlobSealed)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.named, id)
	return nil
}

// Open implements storage.Blobs. What it returns is an *os.File, so that a
// copy to a socket may stay inside the kernel. It reads on though the blob be
// deleted.
func (s *Store) Open(ctx context.Context, id string) (io.ReadSeekCloser, error) {
	if err := s.check(ctx, id); err != nil {
		return nil, err
	}
	f, err := s.disk.Open(s.path(id))
	if err != nil {
		return nil, wrap("open", id, err)
	}
	return f, nil
}

// Watch implements storage.Watcher.
func (s *Store) Watch(ctx context.Context, id string) (storage.WatchedBlob, error) {
	if err := s.check(ctx, id); err != nil {
		return nil, err
	}
	f, err := s.disk.Open(s.openPath(id))
	if err != nil {
		return nil, wrap("watch", id, err)
	}
	return f, nil
}

// Delete implements storage.Blobs. A power cut may bring the blob back.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := storage.CheckID(id); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, path := range []string{s.openPath(id), s.path(id)} {
		if err := s.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return wrap("delete", id, err)
		}
	}
	failpoint.Hit(failpoint.BlobDeleted)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.named, id)
	delete(s.lost, id)
	return nil
}

// check refuses bad ids, ended contexts and lost blobs.
func (s *Store) check(ctx context.Context, id string) error {
	if err := storage.CheckID(id); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost[id]
}

// wrap says what was being done, and speaks in the words of package storage.
func wrap(doing, id string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s blob %s: %w", doing, id, storage.ErrNotFound)
	}
	return fmt.Errorf("%s blob %s: %w", doing, id, mapFull(err))
}

// mapFull turns the answers of a full disk into storage.ErrFull.
func mapFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", storage.ErrFull, err)
	}
	return err
}
