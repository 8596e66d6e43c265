package registry

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// TrashCause says what brought something into the trash.
type TrashCause string

// The causes.
const (
	TrashedByRequest   TrashCause = "request"
	TrashedByLifecycle TrashCause = "lifecycle"
)

// Trashed is an image, or a repository, that lies in the trash.
type Trashed struct {
	Repository   Name
	RepositoryID string
	Digest       digest.Digest // zero for a repository with all that it holds
	Tags         []Tag         // that the image had
	At           time.Time     // of the deletion
	Until        time.Time     // when it goes for good
	By           string        // ARN of who deleted it; "" for the server itself
	Cause        TrashCause
	Reason       string // of a lifecycle policy
	// Bytes are those of the manifest and of the layers that it uses, which others
	// may use too; of a repository, of all that it holds, each layer once.
	Bytes int64
	// Images are how many a repository holds.
	Images int
}

// TrashFilter chooses what lies in the trash. The zero value takes all.
type TrashFilter struct {
	// Registry is the one to look at; zero means all.
	Registry ID
	// Repository is the name of one repository; zero means all.
	Repository Name
	// Before, if it is not zero, takes what was deleted before that time.
	Before time.Time
}

func (f TrashFilter) takes(e trashEntry) bool {
	switch {
	case f.Registry != (ID{}) && f.Registry != e.name.id, !f.Repository.IsZero() && f.Repository != e.name:
		return false
	}
	return f.Before.IsZero() || e.at.Before(f.Before)
}

// trashEntry is a row of trashDue: something in the trash.
type trashEntry struct {
	key  []string
	at   time.Time
	name Name // of the repository
	what string
}

func readTrashEntry(f table.Found[dueRow]) (trashEntry, error) {
	at, err := strconv.ParseInt(f.Key[0], 16, 64)
	if err != nil {
		return trashEntry{}, fmt.Errorf("key of what is in the trash: %w", err)
	}
	return trashEntry{f.Key, time.Unix(0, at).UTC(), Name{ID{f.Key[1], f.Key[2]}, f.Row.Repository}, f.Key[4]}, nil
}

// repository is the one that the entry is of, as far as it is known: by name and id.
func (e trashEntry) repository() repository {
	return repository{e.name, repositoryRow{ID: e.key[3]}}
}

// Trash lists what lies in the trash, what was deleted first standing first: behind
// the given place ("" for the first page), at most limit. next is the place where the
// next page begins, "" if there is none; pages may be short, or empty.
// Refusal: PageInvalid.
func (s *Service) Trash(ctx context.Context, filter TrashFilter, after string, limit int) (page []Trashed, next string, err error) {
	entries, next, err := s.trashEntries(ctx, filter, after, limit)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, func(r storage.Reader) error {
		page = nil
		for _, e := range entries {
			t, there, err := s.trashed(r, e)
			if err != nil {
				return err
			}
			if there {
				page = append(page, t)
			}
		}
		return nil
	})
	return page, next, err
}

// trashEntries lists entries that the filter takes, as Trash does.
func (s *Service) trashEntries(ctx context.Context, filter TrashFilter, after string, limit int) (page []trashEntry, next string, err error) {
	sel := table.Select{Limit: limit*rowsForEach + rowsAtLeast}
	if after != "" {
		if sel.After, err = placeInTrash(after); err != nil {
			return nil, "", err
		}
	}
	err = s.view(ctx, func(r storage.Reader) error {
		page, next = nil, ""
		last, left := "", sel.Limit
		for f, err := range trashDue.Scan(r, sel) {
			if err != nil {
				return err
			}
			if len(page) == limit {
				next = last
				return nil
			}
			e, err := readTrashEntry(f)
			if err != nil {
				return err
			}
			if !filter.Before.IsZero() && !e.at.Before(filter.Before) { // nor is what follows
				return nil
			}
			if filter.takes(e) {
				page = append(page, e)
			}
			if last, left = strings.Join(f.Key, " "), left-1; left == 0 {
				next = last
			}
		}
		return nil
	})
	return page, next, err
}

// trashed reads what an entry is about, if it is still there.
func (s *Service) trashed(rd storage.Reader, e trashEntry) (t Trashed, there bool, err error) {
	repo := e.repository()
	t = Trashed{Repository: e.name, RepositoryID: repo.row.ID, At: e.at, Until: e.at.Add(s.live.Load().TrashWindow)}
	if e.what == wholeRepository {
		return s.trashedRepository(rd, t)
	}
	if t.Digest, err = digest.Parse(e.what); err != nil {
		return t, false, fmt.Errorf("key of what is in the trash: %w", err)
	}
	row, err := trash.Get(rd, repo.key(e.what)...)
	if err != nil {
		return t, false, ignoreNotFound(err)
	}
	for _, tag := range row.Tags {
		t.Tags = append(t.Tags, Tag{tag})
	}
	t.By, t.Cause, t.Reason, t.Bytes = row.By, row.Cause, row.Reason, row.Image.logical()
	return t, true, nil
}

// TrashSize is what the trash holds.
type TrashSize struct {
	Images, Repositories int
	// Bytes are what Trashed.Bytes sum up to: layers that several use count for each.
	Bytes int64
}

func (z *TrashSize) add(t Trashed) {
	z.Bytes += t.Bytes
	if t.Digest.IsZero() {
		z.Repositories++
	} else {
		z.Images++
	}
}
