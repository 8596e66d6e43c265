package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// FaultKind says which rule of the store a Fault breaks.
type FaultKind string

// The kinds of fault.
const (
	FaultRow         FaultKind = "row"         // a row that cannot be read
	FaultOwner       FaultKind = "owner"       // a blob that does not have one owner
	FaultHolders     FaultKind = "holders"     // a layer and the repositories that hold it
	FaultMissing     FaultKind = "missing"     // a layer without its bytes
	FaultSize        FaultKind = "size"        // a layer with too few bytes or too many
	FaultDigest      FaultKind = "digest"      // bytes with another digest
	FaultStray       FaultKind = "stray"       // bytes that no row owns
	FaultJournal     FaultKind = "journal"     // the index and its journal, which who has both compares
	FaultDamage      FaultKind = "damage"      // what is known to be damaged, and kept from readers
	FaultImage       FaultKind = "image"       // an image and what belongs to it
	FaultTag         FaultKind = "tag"         // a tag and its image
	FaultReference   FaultKind = "reference"   // what an image needs
	FaultCount       FaultKind = "count"       // something counted wrongly
	FaultArchive     FaultKind = "archive"     // the archive
	FaultReplication FaultKind = "replication" // replicas and who waits for them
	FaultSigning     FaultKind = "signing"     // images that wait for signatures
	FaultSetting     FaultKind = "setting"     // a policy or configuration
	FaultLifecycle   FaultKind = "lifecycle"   // lifecycle policies, their runs and previews
	FaultEvent       FaultKind = "event"       // the log of events
	FaultTrash       FaultKind = "trash"       // what is in the trash
	FaultScan        FaultKind = "scan"        // scans that wait, and what they found
)

// FaultKinds are all kinds of fault.
func FaultKinds() []FaultKind {
	return []FaultKind{
		FaultRow, FaultOwner, FaultHolders, FaultMissing, FaultSize, FaultDigest, FaultStray, FaultDamage, FaultJournal, FaultImage, FaultTag, FaultReference,
		FaultCount, FaultArchive, FaultReplication, FaultSigning, FaultSetting, FaultLifecycle, FaultEvent, FaultTrash, FaultScan,
	}
}

// Fault is something in the store that does not agree with the rest of it.
type Fault struct {
	Kind FaultKind
	Row  string // its table and the parts of its key, or the blob
	Text string // what is wrong, in a sentence
}

// String gives all of it in a line.
func (f Fault) String() string { return fmt.Sprintf("%s: %s: %s", f.Kind, f.Row, f.Text) }

// Check says how closely to look.
type Check struct {
	// Hash has all bytes read, of layers and manifests, and held against their
	// digests. Without it layers are looked up and their sizes compared.
	Hash bool
}

// Check holds all rows against each other and against what the store of blobs has, and
// yields what does not agree as it finds it. Rows are read on one snapshot, so that
// it may run beside a working server; bytes after that, in short views. Its memory
// grows with the number of repositories, not with that of images. An error ends it.
// The loop body must not call the service.
func (s *Service) Check(ctx context.Context, c Check) iter.Seq2[Fault, error] {
	return func(yield func(Fault, error) bool) {
		a := &audit{ctx: ctx, s: s, check: c, yield: yield, alive: map[string]string{}, trashed: map[string]bool{}}
		err := s.index.View(ctx, func(r storage.Reader) error {
			a.r = r
			a.rows()
			return a.err
		})
		if err == nil {
			err = a.blobs()
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(Fault{}, err)
		}
	}
}

// errEnough says that nobody wants to hear of more faults.
var errEnough = errors.New("registry: enough faults")

// audit is one look at the store.
type audit struct {
	ctx   context.Context
	s     *Service
	r     storage.Reader // during the look at rows
	check Check
	yield func(Fault, error) bool
	err   error // why it ended, nil while it goes on
	// alive are the names of repositories by the key of their rows, joined: "" for
	// one in the trash that may have several. trashed are those among them.
	alive   map[string]string
	trashed map[string]bool
}

// rows holds the rows against each other. What is kept twice is looked up both
// ways, so that one row at a time is in memory.
func (a *audit) rows() {
	for _, look := range []func(){
		a.repositories, a.blobOwners, a.contents, a.damaged, a.heldRows, a.images, a.tags, a.references, a.events, a.replicas, a.signings, a.archive,
		a.sizes, a.configurations, a.policies, a.lifecycles, a.previews, a.plans, a.trash, a.scans,
	} {
		if a.err == nil {
			look()
		}
	}
}

func (a *audit) fault(kind FaultKind, row, format string, args ...any) {
	if a.err == nil && !a.yield(Fault{kind, row, fmt.Sprintf(format, args...)}, nil) {
		a.err = errEnough
	}
}

func join(parts []string) string { return strings.Join(parts, " ") }

// rowsOf yields the rows of a table that can be read, and those after one that
// cannot. It ends when the audit does.
func rowsOf[Row any](a *audit, t table.Table[Row], prefix ...string) iter.Seq[table.Found[Row]] {
	return func(yield func(table.Found[Row]) bool) {
		sel := table.Select{Prefix: prefix}
		for again := true; again && a.err == nil; {
			again = false
			for f, err := range t.Scan(a.r, sel) {
				if err != nil {
					again = a.unreadable(f.Key, err)
					sel.After = slices.Clone(f.Key[min(len(prefix), len(f.Key)):])
					break
				}
				if a.err = a.ended(); a.err != nil || !yield(f) {
					return
				}
			}
		}
	}
}

// unreadable tells of a row that cannot be read, and says whether to go on behind
// it. Without a key it is the index that failed.
func (a *audit) unreadable(key []string, err error) bool {
	if len(key) == 0 {
		a.err = err
		return false
	}
	a.fault(FaultRow, join(key), "%v", err)
	return true
}

// ended is why the audit goes no further: what ended it before, or its context.
func (a *audit) ended() error {
	if a.err != nil {
		return a.err
	}
	return a.ctx.Err()
}

// get reads a row that may be absent; what it cannot read it tells of, as of an
// absent one.
func get[Row any](a *audit, t table.Table[Row], key ...string) (row Row, ok bool) {
	row, err := t.Get(a.r, key...)
	if ignoreNotFound(err) != nil {
		a.fault(FaultRow, join(key), "%v", err)
	}
	return row, err == nil
}

func has[Row any](a *audit, t table.Table[Row], key ...string) bool {
	ok, err := t.Has(a.r, key...)
	if err != nil {
		a.fault(FaultRow, join(key), "%v", err)
	}
	return ok
}

// repositories: registries count theirs.
func (a *audit) repositories() {
	n := map[ID]int{}
	for f := range rowsOf(a, repositories) {
		repo := repository{Name{ID{f.Key[0], f.Key[1]}, f.Key[2]}, f.Row}
		a.alive[join(repo.key())] = repo.name.path
		n[repo.name.id]++
	}
	for f := range rowsOf(a, trashedRepositories) {
		key := join(append(slices.Clone(f.Key[:2]), f.Key[3]))
		if a.trashed[key] = true; !f.Row.Renamed {
			a.alive[key] = f.Key[2]
		} else {
			a.alive[key] = ""
		}
	}
	for f := range rowsOf(a, registries) {
		id := ID{f.Key[0], f.Key[1]}
		if f.Row.Repositories != n[id] {
			a.fault(FaultCount, "registry "+join(f.Key), "it counts %d repositories and has %d", f.Row.Repositories, n[id])
		}
		delete(n, id)
	}
	for id, count := range n {
		a.fault(FaultCount, "registry "+join([]string{id.Account, id.Region}), "it counts none of its %d repositories", count)
	}
}

// isAlive says whether the repository of a row can be reached, or brought back.
func (a *audit) isAlive(key []string) bool {
	_, ok := a.alive[join(key[:3])]
	return ok
}

// isTrashed says whether the repository of a row is in the trash.
func (a *audit) isTrashed(key []string) bool { return a.trashed[join(key[:3])] }

// nameDiffers says whether a row has another name for its repository than that has.
func (a *audit) nameDiffers(key []string, name string) bool {
	path := a.alive[join(key[:3])]
	return path != "" && path != name
}

// ofKnownRepository: rows lie in a repository or in one that is being cleared.
func (a *audit) ofKnownRepository(kind FaultKind, row string, key []string) {
	if !a.isAlive(key) && !has(a, dropped, key[:3]...) {
		a.fault(kind, row, "it is of no repository")
	}
}
