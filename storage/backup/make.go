package backup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Source is the store that is backed up.
type Source interface {
	// Snapshot writes one state of the index as package journal writes snapshots. The state
	// has all that was acknowledged before the call, and what it names stays there until the
	// backup is made.
	Snapshot(ctx context.Context, w io.Writer) error
	// Records writes the changes after the update with a number up to that with another, or
	// with 0 to the last one that was acknowledged before the call, as package journal writes
	// records. The error is ErrNoRecords if they are not kept any more.
	Records(ctx context.Context, after, upTo uint64, w io.Writer) error
	// Open opens the bytes of a content row.
	Open(ctx context.Context, blob string) (io.ReadCloser, error)
}

// ErrNoRecords says that the changes after an update are not kept any more, or not at all.
var ErrNoRecords = errors.New("the changes since the last backup are not kept any more")

// Options say what is backed up and how.
type Options struct {
	Source   Source
	Target   Target
	Contents Contents
	// Berth, DataFormat, Key and Lineage are what the manifest says of the store.
	Berth      string
	DataFormat int
	Key        string
	Lineage    string
	// Sign authenticates the manifest: 32 bytes that only the store knows.
	Sign []byte
	// Secrets is kept beside the rest: encrypted, or nil.
	Secrets []byte
	// Rehash reads all that the target has of earlier backups, where otherwise sizes and
	// the manifests' checksums are trusted.
	Rehash bool
	// Scratch is a folder for what does not fit in memory; "" is the system's.
	Scratch string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Progress is told now and then how far it came, by one goroutine at a time; nil means
	// nobody is.
	Progress func(Progress)
}

// Progress is how far a backup or a restore came.
type Progress struct {
	Doing  string // in words, such as "copy layers"
	Blobs  int    // done, of
	Of     int    // how many; 0 while it is not known
	Copied int    // of those done
	Bytes  int64  // copied
}

// Report is what a backup came to.
type Report struct {
	Manifest
	Total
	Copied      int   `json:"copied"`      // blobs that the target had not
	CopiedBytes int64 `json:"copiedBytes"` // of them
	// Lacks are the blobs that could not be copied, at most some hundred of them.
	Lacks []Blob `json:"lacks,omitempty"`
}

// maxLacks bounds how many damaged blobs a report names.
const maxLacks = 500

// Make makes a backup with a snapshot of its own. Where the store's journal still has them,
// the changes since the last backup are put beside it first, so that each state between the
// two can be restored. What is damaged in the store is in the report and in the manifest,
// and all the rest is backed up.
//
// The error is ErrForeign if the target holds something else, ErrLocked while another
// process works on it.
func Make(ctx context.Context, o Options) (Report, error) {
	return o.locked(ctx, func(ctx context.Context, w *work) (Report, error) { return w.snapshot(ctx) })
}

// MakeRecords puts the changes since the last backup beside it, with the blobs that they
// name: far less than Make reads, so it can be done often. The error is ErrNoRecords if it
// cannot be done, since there is no backup of this store or its journal begins later.
func MakeRecords(ctx context.Context, o Options) (Report, error) {
	return o.locked(ctx, func(ctx context.Context, w *work) (Report, error) {
		base, ok := w.have.newest(o.Lineage)
		if !ok {
			return Report{}, fmt.Errorf("%w: %s has no backup to go on from", ErrNoRecords, o.Target)
		}
		return w.records(ctx, base, Manifest{})
	})
}

// work is the making of a backup.
type work struct {
	Options
	have   *inventory
	report Report
}

// locked calls fn with the target's lock.
func (o Options) locked(ctx context.Context, fn func(context.Context, *work) (Report, error)) (r Report, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if err := o.takeOver(ctx); err != nil {
		return Report{}, err
	}
	held, unlock, err := o.Target.Lock(ctx)
	if err != nil {
		return Report{}, err
	}
	defer func() {
		if cause := context.Cause(held); err != nil && cause != nil && ctx.Err() == nil {
			err = cause // the lock was lost
		}
		err = errors.Join(err, unlock())
	}()
	o.Progress(Progress{Doing: "look what the target has"})
	if err := o.Target.Tidy(held); err != nil {
		return Report{}, err
	}
	have, err := takeInventory(held, o.Target)
	if err != nil {
		return Report{}, err
	}
	return fn(held, &work{Options: o, have: have})
}

// takeOver makes sure that the target is one of this store's, and marks an empty one as such.
func (o Options) takeOver(ctx context.Context) error {
	m, err := readMark(ctx, o.Target)
	if errors.Is(err, ErrNone) {
		text, err := json.Marshal(mark{Format, o.Key})
		if err != nil {
			return err
		}
		return o.Target.Put(ctx, markFile, strings.NewReader(string(text)+"\n"), int64(len(text)+1))
	}
	if err == nil && m.Key != o.Key {
		err = fmt.Errorf("%s: %w: its backups are of the store with the key %.40s, and this one has the key %s", o.Target, ErrForeign, m.Key, o.Key)
	}
	return err
}

// begin is the manifest of a backup that is being made.
func (w *work) begin() Manifest {
	at := w.Now().UTC().Truncate(time.Millisecond)
	random := make([]byte, 4)
	rand.Read(random) // does not fail: crypto/rand
	return Manifest{
		Format: Format, ID: newID(at, random), Time: at, Berth: w.Berth, DataFormat: w.DataFormat, Key: w.Key, Lineage: w.Lineage,
	}
}

// scratch makes a file without a name for what does not fit in memory.
func (w *work) scratch() (*os.File, error) {
	f, err := os.CreateTemp(w.Scratch, "berth-backup-*")
	if err != nil {
		return nil, fmt.Errorf("make a file for what is on its way: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// put writes a part of the backup from its file.
func (w *work) put(ctx context.Context, name string, p Part, f *os.File) error {
	return w.Target.Put(ctx, name, io.NewSectionReader(f, 0, p.Size), p.Size)
}
