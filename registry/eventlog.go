package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// EventKind says what happened.
type EventKind string

// The kinds of event.
const (
	RepositoryCreated EventKind = "repository-created"
	RepositoryDeleted EventKind = "repository-deleted"
	RepositoryChanged EventKind = "repository-changed" // settings or resource tags
	ImagePushed       EventKind = "image-pushed"       // a new image, a new tag, or a tag that moved
	ImageDeleted      EventKind = "image-deleted"
	TagRemoved        EventKind = "tag-removed" // the image stayed
	LayerDeleted      EventKind = "layer-deleted"

	RepositoryRestored EventKind = "repository-restored" // from the trash, as the next
	ImageRestored      EventKind = "image-restored"      // one for each tag that came back, or one without

	StorageClassChanged EventKind = "storage-class-changed" // Detail: StorageClassDetail
	ImageReplicated     EventKind = "image-replicated"      // at its destination; Detail: ReplicationDetail
	ReplicationFailed   EventKind = "replication-failed"    // at its source; Detail: ReplicationDetail
	ImagePulled         EventKind = "image-pulled"          // only with Options.ReadEvents
	AccessDenied        EventKind = "access-denied"         // only with Options.ReadEvents; Detail: DenialDetail
	RegistryChanged     EventKind = "registry-changed"      // a policy or configuration of a registry; Detail: RegistryDetail
	ScanningChanged     EventKind = "scanning-changed"      // of a registry; Detail: ScanningDetail
	LifecycleRun        EventKind = "lifecycle-run"         // what a lifecycle policy did to some images; Detail: LifecycleDetail
	LifecyclePreviewed  EventKind = "lifecycle-previewed"   // what it would do; Detail: LifecycleDetail

	// ContentDamaged tells of bytes whose digest is wrong: of a layer, for the whole
	// server and in no registry, or of the manifest of an image. ContentHealed tells
	// that they are right again. Detail: DamageDetail.
	ContentDamaged EventKind = "content-damaged"
	ContentHealed  EventKind = "content-healed"

	// IndexRebuilt tells that the facts of the whole server were lost and made anew
	// from their journal at its start, so that the last of them may be missing. It is
	// in no registry. Detail: IndexRebuiltDetail.
	IndexRebuilt EventKind = "index-rebuilt"

	// UpstreamAsked tells that an image has come from upstream and is whole, or that it
	// could not be had. Detail: SyncDetail.
	UpstreamAsked EventKind = "upstream-asked"

	// ImageScanned tells what a scan came to. One that only matched what was known of an
	// image against a new database, and found nothing else, is not told of.
	ImageScanned EventKind = "image-scanned" // Detail: ScanDetail
)

// detail is the JSON of a kind's detail struct.
func detail(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("detail of an event: %v", err)) // plain structs always have a form
	}
	return text
}

// EventKinds are all kinds of event.
func EventKinds() []EventKind {
	return []EventKind{
		RepositoryCreated, RepositoryDeleted, RepositoryChanged, ImagePushed, ImageDeleted, TagRemoved, LayerDeleted,
		RepositoryRestored, ImageRestored,
		StorageClassChanged, ImageReplicated, ReplicationFailed, ImagePulled, AccessDenied, RegistryChanged, ScanningChanged,
		LifecycleRun, LifecyclePreviewed, ContentDamaged, ContentHealed, IndexRebuilt, ImageScanned, UpstreamAsked,
	}
}

// RegistryDetail is the detail of RegistryChanged.
type RegistryDetail struct {
	What string // kind of the document, such as "registry-policy", or the name of the setting
}

// IndexRebuiltDetail is the detail of IndexRebuilt.
type IndexRebuiltDetail struct {
	Reason string // what was wrong, in words
	Update uint64 // the last one that is there again
}

// NoteIndexRebuilt writes the event that tells of it.
func (s *Service) NoteIndexRebuilt(ctx context.Context, d IndexRebuiltDetail) error {
	return s.index.Update(ctx, func(tx storage.Tx) error {
		return s.recordRegistry(ctx, tx, IndexRebuilt, ID{}, eventRow{Detail: detail(d)})
	})
}

// ScanDetail is the detail of ImageScanned, with ECR's names in its JSON.
type ScanDetail struct {
	Status string         `json:"scan-status"`                       // such as COMPLETE or FAILED
	Counts map[string]int `json:"finding-severity-counts,omitempty"` // only of severities that were found
	Tags   []string       `json:"image-tags,omitempty"`              // of the image then
}

// SyncDetail is the detail of UpstreamAsked, with ECR's names in its JSON.
type SyncDetail struct {
	Status   string `json:"sync-status"`           // SUCCESS or FAILED
	Prefix   string `json:"ecr-repository-prefix"` // of the rule
	Upstream string `json:"upstream-registry-url"`
	Reason   string `json:"reason,omitempty"` // of a failure, in words
}

// Event is something that happened to a repository, written in the
// transaction that did it.
type Event struct {
	Sequence     uint64 // ascending, no two alike
	At           time.Time
	Kind         EventKind
	Repository   Name          // without a name where a whole registry is concerned
	RepositoryID string        // never used again, unlike the name
	Digest       digest.Digest // zero where no image or layer is concerned
	MediaType    string
	Tag          Tag    // zero where none is concerned
	Actor        string // ARN of the principal; "" for the server itself
	// Detail is JSON of the struct that stands at the kind; nil for kinds
	// without one.
	Detail json.RawMessage
}

const eventSequence = "event"

// Events lists the events after the given sequence number in order, at most
// limit. Events older than Options.EventRetention are gone.
func (s *Service) Events(ctx context.Context, after uint64, limit int) (page []Event, err error) {
	sel := table.Select{Limit: limit}
	if after > 0 {
		sel.After = []string{sequenceKey(after)}
	}
	err = s.view(ctx, func(r storage.Reader) error {
		page = nil
		for f, err := range events.Scan(r, sel) {
			if err != nil {
				return err
			}
			e, err := f.Row.event(f.Key[0])
			if err != nil {
				return err
			}
			page = append(page, e)
		}
		return nil
	})
	return page, err
}

// AwaitEvents returns when there may be events after the given sequence number,
// or with ctx's error when ctx ends. Other processes' events are noticed within a
// second.
func (s *Service) AwaitEvents(ctx context.Context, after uint64) error {
	return s.await(ctx, func() (bool, error) {
		page, err := s.Events(ctx, after, 1)
		return len(page) > 0, err
	})
}

// await returns when look sees what is waited for, or with its error or ctx's. It
// looks again whenever rows have changed here, and each second for what others
// change.
func (s *Service) await(ctx context.Context, look func() (bool, error)) error {
	for {
		changed := s.news.next() // before looking, lest one be missed
		if seen, err := look(); err != nil || seen {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-time.After(time.Second):
		}
	}
}

// news tells those who wait that rows have changed. The zero value is ready.
type news struct {
	mu      sync.Mutex
	changed chan struct{} // closed with the next change; nil if nobody waits
}

func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

func (n *news) spread() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

func (row eventRow) event(key string) (Event, error) {
	n, err := strconv.ParseUint(key, 16, 64)
	if err != nil {
		return Event{}, fmt.Errorf("key of event: %w", err)
	}
	return Event{
		Sequence: n, At: row.At, Kind: row.Kind, RepositoryID: row.RepositoryID,
		Repository: Name{ID{row.Account, row.Region}, row.Repository},
		Digest:     row.Digest, MediaType: row.MediaType, Tag: Tag{row.Tag}, Actor: row.Actor, Detail: row.Detail,
	}, nil
}

// sequenceKey writes n so that keys stand in the order of their numbers.
func sequenceKey(n uint64) string { return fmt.Sprintf("%016x", n) }

// record writes an event of a repository. Digest, media type, tag and detail
// come in e, and the time of what happened earlier.
func (s *Service) record(ctx context.Context, tx storage.Tx, kind EventKind, repo repository, e eventRow) error {
	e.Repository, e.RepositoryID = repo.name.path, repo.row.ID
	return s.recordRegistry(ctx, tx, kind, repo.name.id, e)
}

// recordRegistry writes an event of a registry.
func (s *Service) recordRegistry(ctx context.Context, tx storage.Tx, kind EventKind, id ID, e eventRow) error {
	seq, err := sequences.Get(tx, eventSequence)
	if ignoreNotFound(err) != nil {
		return err
	}
	seq.Last++
	if err := sequences.Put(tx, seq, eventSequence); err != nil {
		return err
	}
	if e.At.IsZero() {
		e.At = s.now().UTC()
	}
	e.Kind, e.Actor = kind, auth.PrincipalOf(ctx).ARN
	e.Account, e.Region = id.Account, id.Region
	return events.Put(tx, e, sequenceKey(seq.Last))
}

// LastEvent is the sequence number of the last event, 0 before the first.
func (s *Service) LastEvent(ctx context.Context) (last uint64, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		seq, err := sequences.Get(r, eventSequence)
		last = seq.Last
		return ignoreNotFound(err)
	})
	return last, err
}
