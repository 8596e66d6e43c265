package registry

import (
	"context"
	"fmt"
	"strconv"
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
)

// Event is something that happened to a repository, written in the
// transaction that did it.
type Event struct {
	Sequence     uint64 // ascending, no two alike
	At           time.Time
	Kind         EventKind
	Repository   Name
	RepositoryID string        // never used again, unlike the name
	Digest       digest.Digest // zero where no image or layer is concerned
	MediaType    string
	Tag          Tag    // zero where none is concerned
	Actor        string // ARN of the principal; "" for the server itself
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

func (row eventRow) event(key string) (Event, error) {
	n, err := strconv.ParseUint(key, 16, 64)
	if err != nil {
		return Event{}, fmt.Errorf("key of event: %w", err)
	}
	return Event{
		Sequence: n, At: row.At, Kind: row.Kind, RepositoryID: row.RepositoryID,
		Repository: Name{ID{row.Account, row.Region}, row.Repository},
		Digest:     row.Digest, MediaType: row.MediaType, Tag: Tag{row.Tag}, Actor: row.Actor,
	}, nil
}

// sequenceKey writes n so that keys stand in the order of their numbers.
func sequenceKey(n uint64) string { return fmt.Sprintf("%016x", n) }

// record writes an event. Digest, media type and tag come in e.
func (s *Service) record(ctx context.Context, tx storage.Tx, kind EventKind, repo repository, e eventRow) error {
	seq, err := sequences.Get(tx, eventSequence)
	if ignoreNotFound(err) != nil {
		return err
	}
	seq.Last++
	if err := sequences.Put(tx, seq, eventSequence); err != nil {
		return err
	}
	e.At, e.Kind, e.Actor = s.now().UTC(), kind, auth.PrincipalOf(ctx).ARN
	e.Account, e.Region, e.Repository, e.RepositoryID = repo.name.id.Account, repo.name.id.Region, repo.name.path, repo.row.ID
	return events.Put(tx, e, sequenceKey(seq.Last))
}
