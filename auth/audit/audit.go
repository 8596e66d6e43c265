// Package audit keeps the trail of a server: every call at every door, allowed
// or not, as a record in CloudTrail's form ("CloudTrail record contents", user
// guide, event version 1.11), a line of JSON each.
//
// A door begins a [Call] for each request, says in it what it learns, and ends
// it; what was answered the call sees by itself. The record of a call that
// changes something, or hands credentials out, is written before the answer
// goes out, others soon after; all of them are synced once a second.
//
// Records are chained: each has a number, the hash of the one before it and a
// hash of itself, and with a key a seal that only its holder can make. Beside
// the file lies a head that says how far the chain came, so that lines cut off
// its end are missed too. See [Verify].
//
// No secret comes into a record: parameters and answers are written member by
// member, by the table in redact.go, and of the headers of a request none but
// User-Agent.
package audit

import (
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// Options say where a trail is kept, and how.
type Options struct {
	// File takes the records; required. Its folder is made if need be, mode 0700.
	// Files that are full are beside it, as "audit-000000000001.jsonl" with the
	// number of their first record for a File of "audit.jsonl".
	File string
	// Key seals each record: 16 bytes at least. Without one the chain shows
	// accidents and clumsy changes alone.
	Key []byte
	// MaxSize is at how many bytes a new file is begun; 0 means DefaultMaxSize.
	MaxSize int64
	// MaxAge is at which age of its first record a new file is begun; 0 means never.
	MaxAge time.Duration
	// Keep is how many files there are at most; the oldest is removed. 0 means all.
	Keep int
	// Required refuses calls that could not be recorded. Room for the records of
	// those under way is taken beforehand, so that a disk that gets full loses none.
	Required bool
	// Account and Region are the server's own, for records of no other.
	Account, Region string
	Now             func() time.Time // nil means time.Now
	Log             *slog.Logger     // takes what is wrong with the file; nil means nowhere
}

// DefaultMaxSize is the size of a file by default.
const DefaultMaxSize = 64 << 20

const minKey = 16

// ErrUnavailable says that a call cannot be recorded and must not be carried out.
// It is a storage.ErrFull where that is for want of room.
var ErrUnavailable = errors.New("audit: no record can be written")

// Trail is an open trail. It is safe for use by several goroutines. A nil Trail
// records nothing.
type Trail struct {
	o    Options
	log  *slog.Logger
	disk disk

	// mu guards what calls touch. It is never held over input or output.
	mu       sync.Mutex
	pending  []byte // records that wait for their place in the chain, a line each
	tail     int64  // where the file ends at most once all are written
	room     int64  // up to where the file has room for certain; Required only
	underway int64  // calls that may still want a line each
	lost     int64  // records that found no place since the last one that says so
	refused  int64  // calls that were refused since the last record that says so
	fault    error  // of the last write

	// writing guards the file. It is taken before mu.
	writing sync.Mutex
	file    *segment
	chain   chain
	out     []byte // lines that are being written; what of them failed stays
	buffer  []byte // what out is made in
	spare   []byte // what pending is made in next
	written mark   // where the chain is at the end of what is written
	next    mark   // and at the end of out
	// turnAgain is when to try again to begin a new file.
	turnAgain time.Time

	// syncing guards the head. It is taken before writing.
	syncing sync.Mutex
	head    *head

	scratch sync.Pool // of *[]byte, in which records are made

	wake chan struct{}
	stop chan struct{}
	done sync.WaitGroup
}

// mark is a place in the chain.
type mark struct {
	sequence uint64
	hash     sum
}

// Open opens the trail of a file, goes on with the chain that is there and mends
// its end. The caller must call Close. Another process must not have it open.
func Open(o Options) (*Trail, error) { return open(o, machine{}) }

func open(o Options, d disk) (*Trail, error) {
	if o.File == "" {
		return nil, errors.New("audit: no file")
	}
	if o.Key != nil && len(o.Key) < minKey {
		return nil, fmt.Errorf("audit: a key has %d bytes at least", minKey)
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	t := &Trail{o: o, log: o.Log, disk: d, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	t.scratch.New = func() any { b := make([]byte, 0, 2<<10); return &b }
	if err := t.begin(); err != nil {
		return nil, fmt.Errorf("open audit trail: %w", err)
	}
	t.done.Go(t.work)
	return t, nil
}

// begin opens the files and finds the end of the chain.
func (t *Trail) begin() (err error) {
	if t.head, err = openHead(t.o.File, t.o.Key); err != nil {
		return err
	}
	found, err := t.resume()
	if err != nil {
		return errors.Join(err, t.head.close())
	}
	t.chain = chain{mark: found.at, seal: newSeal(t.o.Key)}
	t.written = found.at
	t.note("StartLogging", found.details())
	t.step()
	return nil
}

// Ready says why calls would be refused: nil, or an ErrUnavailable. It is always
// nil where records are not required.
func (t *Trail) Ready() error {
	if t == nil || !t.o.Required {
		return nil
	}
	if err := t.reserve(); err != nil {
		return err
	}
	t.release()
	return nil
}

// Close writes and syncs what there is, and closes the file. Calls that end
// later are not recorded.
func (t *Trail) Close() error {
	if t == nil {
		return nil
	}
	close(t.stop)
	t.done.Wait()
	t.note("StopLogging", nil)
	err := t.Sync()
	t.syncing.Lock()
	defer t.syncing.Unlock()
	t.writing.Lock()
	defer t.writing.Unlock()
	err = errors.Join(err, t.file.trim(), t.file.close(), t.head.close())
	t.file = nil
	if err != nil {
		return fmt.Errorf("close audit trail: %w", err)
	}
	return nil
}

// unavailable words why a call is refused.
func unavailable(err error) error {
	if noRoom(err) {
		err = fmt.Errorf("%w: %w", storage.ErrFull, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// newSeal returns what makes seals, nil without a key.
func newSeal(key []byte) hash.Hash {
	if key == nil {
		return nil
	}
	return newHMAC(key)
}

// errClosed is the fault of a trail that is closed.
var errClosed = fmt.Errorf("audit: the trail is closed: %w", os.ErrClosed)
