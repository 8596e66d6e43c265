// Package datadir is the folder in which a server keeps all it has. One process
// at a time owns it, nobody else may look into it, and it says by which format
// it is laid out.
//
//	lock        locked as long as a process owns the folder; holds its pid
//	format      the format's version
//	keys        the master key, under which secrets in the index are sealed
//	index.db    facts; index.db.closed says that it was closed in order,
//	            index.db.compacted is a copy without free pages that is to take its
//	            place, and index.damaged-… is one that was put aside
//	journal/    every change of them, from which index.db can be made anew
//	blobs/      layers
//	tls/        authority and certificates that the server made or was given by ACME
//	tmp/        request bodies while they are checked; emptied at each start
//	tls/        the server's own certificate authority, and what ACME gave
//	vulndb/     records of vulnerabilities, compiled, and those that were fetched
//	admin.sock  by which commands reach the server
//
// A backup needs format, keys, index.db, journal, blobs and tls. Whoever has keys and
// index.db or journal has every access key.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/seed-78150930/berth/cmd/internal/privatefile"
)

const (
	lockFile   = "lock"
	formatFile = "format"
	keysFile   = "keys"
	indexFile  = "index.db"
	journalDir = "journal"
	blobsDir   = "blobs"
	tlsDir     = "tls"
	tmpDir     = "tmp"
	vulndbDir  = "vulndb"
)

// ErrAbsent says that there is no data folder at a path.
var ErrAbsent = errors.New("no data folder is there")

// Dir is a data folder that this process owns.
type Dir struct {
	path   string
	lock   *os.File
	key    Key
	format int
}

// Open takes possession of the data folder at path, which is made if it is
// absent or empty. The error is an *InUseError if another process owns it, a
// *FormatError if it is laid out in a way that this program does not know, a
// *NoLocksError if the file system cannot keep a second owner out.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	return take(path, flock)
}

// OpenExisting is Open, but returns ErrAbsent where no server has made a data
// folder yet.
func OpenExisting(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(path, formatFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrAbsent)
	}
	return take(path, flock)
}

func take(path string, with locker) (*Dir, error) {
	if err := checkOurs(path); err != nil {
		return nil, err
	}
	lock, err := acquire(path, with)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, lock: lock}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// checkOurs refuses a folder that holds something else: its mode is about to
// be changed, and files put into it.
func checkOurs(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("read data folder: %w", err)
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == formatFile }) {
		return nil
	}
	if err := checkRestored(path); err != nil {
		return err
	}
	for _, e := range entries {
		// An interrupted first start leaves the lock and the format's draft; a
		// file system of its own may have lost+found.
		if !slices.Contains([]string{lockFile, formatFile + privatefile.Draft, "lost+found"}, e.Name()) {
			return fmt.Errorf("%s is not a data folder of Berth, nor empty: it holds %q; name an empty or absent folder", path, e.Name())
		}
	}
	return nil
}

// checkRestored refuses a folder into which a restore was begun and not ended. A new store
// in its place would look as if everything had gone.
func checkRestored(path string) error {
	for _, draft := range []string{DraftIn(path), DraftBeside(path)} {
		if _, err := os.Lstat(draft); err == nil {
			return fmt.Errorf("a restore into %s has not ended, or was broken off: run berth restore again, or remove %s to begin with an empty store", path, draft)
		}
	}
	return nil
}

// prepare brings the folder into the state in which a server starts. The order
// matters: whatever is there when the process dies, the next one goes on.
func (d *Dir) prepare() (err error) {
	if err := d.checkFormat(); err != nil {
		return err
	}
	if err := ownerOnly(d.path, 0o700); err != nil {
		return err
	}
	if d.key, err = d.loadKey(); err != nil {
		return err
	}
	return d.emptyTmp()
}

// ownerOnly takes from others what rights they have to a file.
func ownerOnly(path string, mode fs.FileMode) error {
	if err := privatefile.OwnerOnly(path, mode); err != nil {
		return fmt.Errorf("keep others out of the data folder: %w", err)
	}
	return nil
}

func (d *Dir) emptyTmp() error {
	if err := os.RemoveAll(d.Tmp()); err != nil {
		return fmt.Errorf("empty folder for request bodies: %w", err)
	}
	if err := os.Mkdir(d.Tmp(), 0o700); err != nil {
		return fmt.Errorf("make folder for request bodies: %w", err)
	}
	return nil
}

// Path is the folder's absolute path.
func (d *Dir) Path() string { return d.path }

// Index is the path of the index file.
func (d *Dir) Index() string { return filepath.Join(d.path, indexFile) }

// Journal is the path of the folder of the index's journal, which need not be there.
func (d *Dir) Journal() string { return filepath.Join(d.path, journalDir) }

// Blobs is the path of the folder of blobs.
func (d *Dir) Blobs() string { return filepath.Join(d.path, blobsDir) }

// Vulnerabilities is the path of the folder of the vulnerability database, which need not
// be there.
func (d *Dir) Vulnerabilities() string { return filepath.Join(d.path, vulndbDir) }

// Tmp is the path of the folder for what need not outlive the process.
func (d *Dir) Tmp() string { return filepath.Join(d.path, tmpDir) }

// TLS is the path of the folder for certificates, which is there once the
// server has made some.
func (d *Dir) TLS() string { return TLSIn(d.path) }

// TLSIn is what TLS is for the data folder at a path, for those who only read
// there, beside the server that has the folder.
func TLSIn(path string) string { return filepath.Join(path, tlsDir) }

// Key is the folder's master key.
func (d *Dir) Key() Key { return d.key }

// Close lets go of the folder. Whatever lies in it must be closed before.
func (d *Dir) Close() error { return release(d.lock) }
