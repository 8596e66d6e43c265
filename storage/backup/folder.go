package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

const (
	lockFile = "lock"
	draft    = ".part" // ends the name of a file that is not wholly written
)

// Folder is a Target in a folder of this machine. No name leads out of it, by symbolic
// links neither.
type Folder struct {
	path string
	root *os.Root

	mu    sync.Mutex
	dirty map[string]bool // folders whose names are to be synced
}

// OpenFolder opens a folder that is there. The error is fs.ErrNotExist if it is not.
func OpenFolder(path string) (*Folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the backups in %s: %w", path, err)
	}
	return &Folder{path: path, root: root, dirty: map[string]bool{}}, nil
}

// MakeFolder opens a folder, and makes it if it is absent.
func MakeFolder(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for backups: %w", err)
	}
	return OpenFolder(path)
}

// Close lets go of the folder.
func (f *Folder) Close() error { return f.root.Close() }

// String implements Target.
func (f *Folder) String() string { return f.path }

// Path is where it is.
func (f *Folder) Path() string { return f.path }

// List implements Target. Drafts are not shown, nor the lock.
func (f *Folder) List(ctx context.Context, folder string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		err := f.walk(ctx, folder, func(name string, info fs.FileInfo) error {
			if strings.HasSuffix(name, draft) || name == lockFile {
				return nil
			}
			if !yield(File{name, info.Size()}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(File{}, fmt.Errorf("list %s: %w", filepath.Join(f.path, folder), err))
		}
	}
}

// walk calls fn with each file, whatever kind of file it is.
func (f *Folder) walk(ctx context.Context, folder string, fn func(string, fs.FileInfo) error) error {
	return fs.WalkDir(f.root.FS(), path.Join(".", folder), func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since, or never there
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(name, info)
	})
}

// Open implements Target. Only plain files are read: another kind could block for ever.
func (f *Folder) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := f.root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is not a plain file", ErrDamaged, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read from %s: %w", f.path, err)
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("read from %s: %w", f.path, err)
	}
	return file, nil
}

// Put implements Target.
func (f *Folder) Put(ctx context.Context, name string, r io.Reader, _ int64) error {
	err := f.write(ctx, name+draft, r)
	if err == nil {
		err = f.root.Rename(name+draft, name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(f.path, name), errors.Join(err, f.Delete(context.WithoutCancel(ctx), name+draft)))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty[path.Dir(name)] = true
	return nil
}

// write writes and syncs a file.
func (f *Folder) write(ctx context.Context, name string, r io.Reader) error {
	if err := f.makeFolder(path.Dir(name)); err != nil {
		return err
	}
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, readerOf(ctx, r))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// makeFolder makes a folder with those above it, and notes their names to be synced.
func (f *Folder) makeFolder(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dirty[name] {
		return nil
	}
	if err := f.root.MkdirAll(name, 0o700); err != nil {
		return err
	}
	for ; name != "."; name = path.Dir(name) {
		f.dirty[path.Dir(name)] = true
	}
	return nil
}

// Sync implements Target: what is left to sync are the names.
func (f *Folder) Sync(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.dirty {
		d, err := f.root.Open(name)
		if err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
		if err != nil {
			return fmt.Errorf("sync %s: %w", filepath.Join(f.path, name), err)
		}
	}
	clear(f.dirty)
	return nil
}

// Delete implements Target.
func (f *Folder) Delete(_ context.Context, name string) error {
	err := f.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete from %s: %w", f.path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty[path.Dir(name)] = true
	return nil
}

// Tidy implements Target.
func (f *Folder) Tidy(ctx context.Context) error {
	return f.walk(ctx, "", func(name string, _ fs.FileInfo) error {
		if !strings.HasSuffix(name, draft) {
			return nil
		}
		return f.Delete(ctx, name)
	})
}

// Lock implements Target. The kernel lets go of it when the process ends.
func (f *Folder) Lock(ctx context.Context) (context.Context, func() error, error) {
	file, err := f.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("lock %s: %w", f.path, err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", f.path, err), file.Close())
	}
	return ctx, file.Close, nil
}

// readerOf is r until ctx ends.
func readerOf(ctx context.Context, r io.Reader) io.Reader { return &bound{ctx, r} }

type bound struct {
	ctx context.Context
	r   io.Reader
}

func (b *bound) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}
