// Package storage says what the registry asks of the places that keep its
// data: an [Index] for facts and [Blobs] for bytes. It knows nothing of images.
//
// Its subpackages are the keepers (boltindex, fsblob, memory), the typed rows
// that the domain writes through (table) and the suites that every keeper must
// pass (storagetest).
package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// ErrNotFound says that a key or blob is not there.
var ErrNotFound = errors.New("storage: not found")

// ErrGap says that an append began beyond the end of what a blob holds.
var ErrGap = errors.New("storage: bytes before the offset are missing")

// ErrSealed says that an append came after the seal.
var ErrSealed = errors.New("storage: blob is sealed")

// ErrFull says that a write found no room: no space, no inodes or no quota
// left. Nothing was acknowledged that is not kept, and reads go on.
var ErrFull = errors.New("storage: no room left")

// ErrReadOnly says that writes are refused for now, by order or because what a
// failure left behind is not to be trusted. Nothing was written, and reads go on.
var ErrReadOnly = errors.New("storage: read-only")

// ErrSync says that a sync failed, so that what the disk holds is not known. Asking
// again may get a false "yes", so nobody does: whoever sees this error writes no more
// to the store until it is opened anew.
var ErrSync = errors.New("storage: sync failed")

// ErrBroken says that the store failed in a way that leaves open what it holds, so
// that it takes no writes until it is opened anew. Nothing was acknowledged after.
var ErrBroken = errors.New("storage: takes no writes after a failure")

// ErrTooLarge says that a key or value is over [MaxKey] or [MaxValue].
var ErrTooLarge = errors.New("storage: key or value too large")

// MaxKey and MaxValue, in bytes, are what every Index takes; the largest
// settings that the ECR API allows fit. Larger things are blobs, or several
// rows.
const (
	MaxKey   = 1 << 10
	MaxValue = 512 << 10
)

// Index is an ordered map from keys to small values, with transactions. A key
// is not empty. All methods may be called by several goroutines.
//
// Transactions are serialisable, scans included: the outcome is that of some
// order in which they ran one by one. Snapshot isolation is not enough.
type Index interface {
	// View runs fn on one unchanging snapshot. It serves a page, not a walk:
	// a long view keeps old pages alive.
	View(ctx context.Context, fn func(Reader) error) error
	// Update runs fn and commits all its writes, or none if fn or the commit
	// fails. fn may run more than once, so its only effects are on the Tx and
	// on variables it sets afresh each time. fn does no I/O of its own and
	// opens no other transaction. When Update returns nil the writes would
	// survive a power cut (a memory index excepted).
	Update(ctx context.Context, fn func(Tx) error) error
	// Close waits for running transactions and releases the index.
	Close() error
}

// Reader reads inside a transaction. Keys and values are lent: they must not
// be changed, nor kept when the transaction ends.
type Reader interface {
	// Get returns the value of key, or ErrNotFound.
	Get(key string) ([]byte, error)
	// Scan yields the entries of r in byte order of key, this transaction's
	// earlier writes among them. An error ends the scan. The loop body may
	// write to keys of the range; whether the scan then shows a key written
	// after the present one is not said.
	Scan(r Range) iter.Seq2[Entry, error]
}

// Tx reads and writes inside an update.
type Tx interface {
	Reader
	// Put sets key to value, which the caller keeps and may change afterwards.
	Put(key string, value []byte) error
	// Delete removes key; an absent key is no error.
	Delete(key string) error
}

// Numbered is an Index that numbers its updates, those that wrote something and are
// kept: 1, 2, 3 and so on without a gap, in the order in which they are as if they had
// run one by one. The numbers go on after the index was closed, or died. Its Readers
// and Txs are [Numbering].
type Numbered interface {
	Index
	// Last is the number of the last update. It costs no transaction, so whoever
	// keeps something that a View told can ask whether it may still be so: it read
	// Last first, then viewed, and Last is the same. When an Update returns, its
	// number has been reached.
	Last() uint64
}

// Numbering is a Reader or Tx that knows its place among the updates.
type Numbering interface {
	// Number is that of the last update whose writes a Reader sees; for a Tx it is
	// the one that its own update gets, if it writes something and is kept.
	Number() uint64
}

// Range selects the keys with Prefix, those after After if it is set, at most
// Limit of them if it is not 0. After is a whole key, not a suffix to Prefix.
type Range struct {
	Prefix, After string
	Limit         int
}

// Entry is one row of a scan.
type Entry struct {
	Key   string
	Value []byte // lent
}

// Blobs keeps runs of bytes under ids that are used once and never again.
// The caller chooses the ids, 1 to 64 characters of [0-9a-f-]; digests are the
// domain's business. Different ids may be worked on at the same time; appends
// to one id are the caller's to put in order.
type Blobs interface {
	// Append puts the bytes of r at off in the open blob id, made if need be.
	// Bytes beyond off, left by an Append whose outcome was lost, are dropped
	// first; if bytes before off are missing it returns ErrGap. The new size
	// is returned only when the bytes would survive a power cut. If r fails,
	// what it gave is kept and its size returned beside the error.
	Append(ctx context.Context, id string, off int64, r io.Reader) (size int64, err error)
	// Seal ends the appends and makes id readable; ErrNotFound if it is
	// absent. Sealing twice is no error. A power cut may undo a Seal, never
	// the bytes before it: whoever durably noted that a blob was sealed seals
	// it again when Open does not find it. (So a seal costs no sync.)
	Seal(ctx context.Context, id string) error
	// Open returns a sealed blob, or ErrNotFound.
	Open(ctx context.Context, id string) (io.ReadSeekCloser, error)
	// Delete removes a blob, open or sealed; an absent one is no error.
	Delete(ctx context.Context, id string) error
	// List yields blobs, open and sealed, in order of id, those after the
	// given one.
	List(ctx context.Context, after string) iter.Seq2[BlobInfo, error]
}

// Later is a Blobs that takes more bytes while those before are put on disk.
type Later interface {
	// AppendLater is Append, but that the bytes whose size it returns survive a power cut
	// only once settle has returned nil. It is nil if nothing is kept; otherwise it must be
	// called, once, from any goroutine and also beside the next AppendLater, whose own is
	// called when this one has returned. If it fails, nothing of this Append is kept.
	AppendLater(ctx context.Context, id string, off int64, r io.Reader) (size int64, settle func() error, err error)
}

// BlobInfo describes a blob in a list.
type BlobInfo struct {
	ID      string
	Size    int64
	ModTime time.Time
}

// Meter is a Blobs that knows beforehand whether there will be room.
type Meter interface {
	// Room says whether n more bytes find room: nil or ErrFull. It reserves nothing.
	Room(ctx context.Context, n int64) error
}

// Linker is a Blobs that lets clients fetch by themselves.
type Linker interface {
	// Link returns an address that gives the sealed blob id for ttl.
	Link(ctx context.Context, id string, ttl time.Duration) (url string, err error)
}

// Stamper is a Blobs that can tell whether the bytes of a sealed blob may have been
// touched by others since it was looked at.
type Stamper interface {
	// Stamp is of a blob that Open gave: short, and another one once anything wrote to
	// the bytes that it reads, or put others in their place. That it is another one
	// says nothing of the bytes: restoring a backup changes it. Nor is it changed by a
	// medium that decays.
	Stamp(r io.ReadSeekCloser) (string, error)
}

// Watcher is a Blobs that shows what has been written of a blob while it grows.
type Watcher interface {
	// Watch opens a blob that is not sealed, or ErrNotFound. Reads see what Appends
	// have written up to then, of which a power cut may take some back; beyond it they end
	// with io.EOF, and later ones may see more. It reads on though the blob be sealed or
	// deleted.
	Watch(ctx context.Context, id string) (WatchedBlob, error)
}

// WatchedBlob is what a Watcher gives.
type WatchedBlob interface {
	io.ReaderAt
	io.Closer
}
