// Package backup keeps backups of a store in a [Target], which is a folder or a bucket.
//
// A backup is one state of the index that existed and the sealed blobs that it names.
// Blob ids are used once and sealed blobs never change, so backups in one target share
// them: what an earlier one has brought there is not copied again.
//
//	berth-backup        what this is: format and the store's key id
//	manifests/<id>      what a backup is made of; written last, signed
//	snapshots/<id>      the rows of its state, compressed
//	records/<id>        the changes that lead from one backup's state to the next
//	secrets/<id>        keys, encrypted, where that was asked for
//	blobs/ab/<blob id>  layers
//
// A backup counts once its manifest is there, so one that was broken off is not seen, and
// what it had copied serves the next one. Nothing that is read from a target is believed
// before it was held against a manifest's checksums, and no path is made of a name that was
// not checked.
package backup

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

// Format is the version of the layout of targets that this package reads and writes.
const Format = 1

// The refusals of a target or backup, for errors.Is.
var (
	// ErrNone says that a target has no backup, or not the one asked for.
	ErrNone = errors.New("no such backup")
	// ErrForeign says that a target holds something else, or backups of another store.
	ErrForeign = errors.New("not a place for backups of this store")
	// ErrNewer says that a newer version of Berth is needed.
	ErrNewer = errors.New("made by a newer version of Berth")
	// ErrDamaged says that something is truncated, changed or missing.
	ErrDamaged = errors.New("damaged")
	// ErrLacking says that a backup lacks layers that its state names.
	ErrLacking = errors.New("it lacks layers of its state")
	// ErrLocked says that another process works on a target.
	ErrLocked = errors.New("in use by another process")
)

// Content is a layer's bytes as a row of the index names them.
type Content struct {
	Blob   string
	Digest digest.Digest
	Size   int64
}

// Contents says what blob a row of the index names, and whether it names one.
type Contents func(storage.Entry) (Content, bool, error)

// The names of files and folders in a target.
const (
	markFile     = "berth-backup"
	manifestsDir = "manifests"
	snapshotsDir = "snapshots"
	recordsDir   = "records"
	secretsDir   = "secrets"
	blobsDir     = "blobs"
)

// blobName is the name of a blob's file. The id must have passed storage.CheckID.
func blobName(id string) string { return path.Join(blobsDir, id[:min(2, len(id))], id) }

// idForm is the form of a backup's id: the time of its state, and something random.
var idForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$`)

// CheckID says whether id may be that of a backup. One that passes is safe in a name.
func CheckID(id string) error {
	if !idForm.MatchString(id) {
		return fmt.Errorf("%w: %.60q is not the id of one, such as 20260102T150405Z-89abcdef", ErrNone, id)
	}
	return nil
}

func newID(at time.Time, random []byte) string {
	return fmt.Sprintf("%s-%x", at.UTC().Format("20060102T150405Z"), random[:4])
}
