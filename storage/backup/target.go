package backup

import (
	"context"
	"io"
	"iter"
)

// File is a file in a target.
type File struct {
	Name string // a path with slashes
	Size int64
}

// Target is where backups lie. Names are paths with slashes, which this package makes of
// parts that it checked. All methods but Lock may be called by several goroutines.
type Target interface {
	// List yields the files in a folder and the folders in it, in any order; none if it is
	// absent. "" is the whole target.
	List(ctx context.Context, folder string) iter.Seq2[File, error]
	// Open reads a file; fs.ErrNotExist where it is absent.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Put writes a file: what r gives, or nothing at all if r or ctx fails. Whoever reads
	// beside it sees the old file or the new one. size is how many bytes r gives, -1 if that
	// is not known.
	Put(ctx context.Context, name string, r io.Reader, size int64) error
	// Sync returns when what was put would survive a power cut.
	Sync(ctx context.Context) error
	// Delete removes a file; an absent one is no error.
	Delete(ctx context.Context, name string) error
	// Lock keeps other processes that lock the target away until unlock is called; the error
	// is ErrLocked while one has done so. One that died keeps nobody away for long. held ends
	// if the lock was lost.
	Lock(ctx context.Context) (held context.Context, unlock func() error, err error)
	// Tidy removes what writers that died have left.
	Tidy(ctx context.Context) error
	// String is what people call it.
	String() string
}
