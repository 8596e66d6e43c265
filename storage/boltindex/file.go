package boltindex

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// lockTimeout is how long to wait for another process to let go of the file.
const lockTimeout = time.Second

// options are bbolt's. Each commit would rewrite the list of free pages, which
// grows with the file, so it is kept at Close alone; the map type of list does
// not slow down as the file fragments.
func options(o Options) *bbolt.Options {
	return &bbolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bbolt.FreelistMapType,
		NoFreelistSync:  true,
		NoStatistics:    true, // which would cost views a lock
		InitialMmapSize: initialMap(),
		MaxSize:         o.maxSize,
		NoSync:          o.Bulk,
	}
}

// initialMap is large because enlarging the map waits for every open view. It
// costs addresses, not memory; but Windows makes the file that large.
func initialMap() int {
	if strconv.IntSize < 64 || runtime.GOOS == "windows" {
		return 0
	}
	return 1 << 30
}

// openLeft opens a file that is as it was left.
func openLeft(path string, o Options) (*bbolt.DB, error) {
	db, err := openOwn(path, o, nil)
	if err != nil {
		return nil, err
	}
	err = rowsThere(db)
	if err == nil && !o.Bulk { // whoever has the file has its copy
		err = removeDraft(o.Disk, draftPath(path))
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openOwn opens a file for updates. One that is open already is shared, with its lock.
func openOwn(path string, o Options, shared *os.File) (*bbolt.DB, error) {
	var mine *os.File
	db, err := openBolt(path, options(o), func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		if shared != nil {
			f, err = again(shared)
		} else {
			f, err = os.OpenFile(name, flag, mode)
		}
		if err == nil && o.opened != nil {
			o.opened(f)
		}
		mine = f
		return f, err
	})
	if err != nil {
		return nil, err
	}
	if err := isNamed(mine, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// isNamed says that a name leads to a file, also once it is open: its lock may have been
// waited for while another process gave the name to a compacted copy.
func isNamed(f *os.File, path string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(path)
	if err == nil && !os.SameFile(mine, named) {
		err = errors.New("another process has compacted it meanwhile")
	}
	return err
}

// prepare makes a file that is absent, and says how one that is there is found.
func prepare(path string, o Options) (Found, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return New, create(path, o.Disk)
	}
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() && info.Size() == 0 { // bbolt would make a new one of it
		return "", fmt.Errorf("%w: it is empty", ErrDamaged)
	}
	return find(path)
}

// rowsOf returns the bucket that holds all rows.
func rowsOf(tx *bbolt.Tx) (rows *bbolt.Bucket, err error) {
	defer surviveFaults(&err)()
	defer catch(&err)
	if rows = tx.Bucket(bucket); rows == nil {
		return nil, fmt.Errorf("%w: it is a bbolt file of something else", ErrDamaged)
	}
	return rows, nil
}

// create makes an empty index under another name and gives it its own when it
// is safely on disk: bbolt cannot open a file whose making was cut short
// (etcd-io/etcd issue 16596).
func create(path string, on disk.FS) error {
	tmp := path + ".new"
	if err := on.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := openBolt(tmp, &bbolt.Options{Timeout: lockTimeout}, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return mapFull(err)
	}
	failpoint.Hit(failpoint.IndexMade)
	if err := disk.Sync(on, tmp); err != nil {
		return mapFull(err)
	}
	failpoint.Hit(failpoint.IndexSynced)
	if err := on.Rename(tmp, path); err != nil {
		return mapFull(err)
	}
	failpoint.Hit(failpoint.IndexRenamed)
	err = disk.Sync(on, filepath.Dir(path))
	failpoint.Hit(failpoint.IndexNamed)
	return mapFull(err)
}

// openBolt opens a file in which a damaged page is an error, where bbolt would
// panic. The file itself comes of open; nil means os.OpenFile.
func openBolt(path string, o *bbolt.Options, open func(string, int, os.FileMode) (*os.File, error)) (db *bbolt.DB, err error) {
	defer surviveFaults(&err)()
	defer catch(&err)
	var f *os.File
	if open == nil {
		open = os.OpenFile
	}
	o.OpenFile = func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		f, err = open(name, flag, mode)
		return f, err
	}
	defer func() {
		if db == nil && f != nil {
			_ = f.Close() // and let go of its lock; bbolt does not when it panics
		}
	}()
	db, err = bbolt.Open(path, 0o600, o)
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("another process has it open: %w", err)
	}
	return db, mapFull(mapDamage(err))
}

// mapDamage tells errors of bbolt that are about what a file holds from those of
// getting at it, such as that of a file too small, which has no other name.
func mapDamage(err error) error {
	var path *fs.PathError
	var no syscall.Errno
	if err == nil || errors.As(err, &path) || errors.As(err, &no) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// keepFreelist writes the list of free pages to disk, so that the next start
// need not search the file for them. No transaction may be open.
func keepFreelist(db *bbolt.DB) (err error) {
	defer surviveFaults(&err)()
	defer catch(&err)
	db.NoFreelistSync = false
	return db.Update(func(*bbolt.Tx) error { return nil })
}
