package admin

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// The calls about the trash.
var (
	ListTrash    = Call[TrashQuestion, TrashPage]{"list-trash"}
	RestoreTrash = Call[TrashRestore, TrashRestored]{"restore-trash"}
	EmptyTrash   = Call[TrashQuestion, TrashEmptied]{"empty-trash"}
)

// InRegistry is a registry that a question is about; "" is the server's own account
// or region.
type InRegistry struct {
	Account string `json:"account,omitempty"`
	Region  string `json:"region,omitempty"`
}

// TrashQuestion asks about what lies in the trash.
type TrashQuestion struct {
	InRegistry
	// All asks about all registries, whatever InRegistry says.
	All        bool   `json:"all,omitempty"`
	Repository string `json:"repository,omitempty"` // "" for all
	// Before, if it is not zero, is about what was deleted before that time.
	Before time.Time `json:"before,omitzero"`
	// After is where a list goes on: Next of the page before.
	After string `json:"after,omitempty"`
}

// TrashPage is a page of what lies in the trash, what was deleted first standing first.
type TrashPage struct {
	Trashed []Trashed `json:"trashed"`
	Next    string    `json:"next,omitempty"` // "" for the last page
}

// Trashed is an image or a repository in the trash. Its JSON form is what
// `trash list --json` prints.
type Trashed struct {
	What         string    `json:"what"` // image or repository
	Account      string    `json:"account"`
	Region       string    `json:"region"`
	Repository   string    `json:"repository"`
	RepositoryID string    `json:"repositoryId"`
	Digest       string    `json:"imageDigest,omitempty"`
	Tags         []string  `json:"imageTags,omitempty"`
	DeletedAt    time.Time `json:"deletedAt"`
	DeletedBy    string    `json:"deletedBy,omitempty"` // "" for the server itself
	Cause        string    `json:"cause"`               // request or lifecycle
	Reason       string    `json:"reason,omitempty"`    // of a lifecycle policy
	Until        time.Time `json:"until"`               // when it goes for good
	Bytes        int64     `json:"bytes"`
	Images       int       `json:"images,omitempty"` // of a repository
}

// TrashRestore asks for something to be brought back from the trash.
type TrashRestore struct {
	InRegistry
	// What is a repository, or an image as REPOSITORY@DIGEST or REPOSITORY:TAG.
	What string `json:"what"`
	// As is the name that a repository gets, "" for the one that it had.
	As string `json:"as,omitempty"`
	// ID is that of the repository, where several of the name were deleted; "" is the
	// one that was deleted last.
	ID string `json:"id,omitempty"`
}

func (q TrashRestore) subject() string { return q.What }

// TrashRestored is what came back from the trash.
type TrashRestored struct {
	Repository string          `json:"repository"`
	Images     []RestoredImage `json:"images"` // none where a whole repository came back
}

// RestoredImage is an image that came back from the trash.
type RestoredImage struct {
	Digest string   `json:"imageDigest"`
	Tags   []string `json:"imageTags"` // that came back with it
	// Taken are the tags that did not, since another image has them now.
	Taken []string `json:"takenTags"`
}

// TrashEmptied is what went for good.
type TrashEmptied struct {
	Images       int   `json:"images"`
	Repositories int   `json:"repositories"`
	Bytes        int64 `json:"bytes"`
}

func (c *Clerk) answerTrash(all answers) {
	answered(all, ListTrash, c.listTrash)
	answered(all, RestoreTrash, c.restoreTrash)
	answered(all, EmptyTrash, c.emptyTrash)
}

// trashPage is how much a page of the trash lists at most.
const trashPage = 500

func (c *Clerk) trashFilter(q TrashQuestion) (f registry.TrashFilter, err error) {
	f.Before = q.Before
	if q.All && q.Repository == "" {
		return f, nil
	}
	if f.Registry, err = c.registryID(q.InRegistry); err != nil || q.Repository == "" {
		return f, err
	}
	f.Repository, err = registry.ParseName(f.Registry, q.Repository)
	return f, err
}

// registryID is the registry that a question is about.
func (c *Clerk) registryID(q InRegistry) (registry.ID, error) {
	return registry.ParseID(cmp.Or(q.Account, c.Account), cmp.Or(q.Region, c.Region))
}

func (c *Clerk) listTrash(ctx context.Context, q TrashQuestion) (TrashPage, error) {
	filter, err := c.trashFilter(q)
	if err != nil {
		return TrashPage{}, err
	}
	r, err := c.Registry(ctx)
	if err != nil {
		return TrashPage{}, err
	}
	list, next, err := r.Trash(ctx, filter, q.After, trashPage)
	return TrashPage{each(list, trashedOf), next}, err
}

func trashedOf(t registry.Trashed) Trashed {
	id := t.Repository.ID()
	shown := Trashed{
		What: "repository", Account: id.Account, Region: id.Region, Repository: t.Repository.String(), RepositoryID: t.RepositoryID,
		DeletedAt: t.At, DeletedBy: t.By, Cause: string(t.Cause), Reason: t.Reason, Until: t.Until, Bytes: t.Bytes, Images: t.Images,
	}
	if !t.Digest.IsZero() {
		shown.What, shown.Digest, shown.Tags = "image", t.Digest.String(), each(t.Tags, registry.Tag.String)
	}
	return shown
}

func (c *Clerk) restoreTrash(ctx context.Context, q TrashRestore) (TrashRestored, error) {
	id, err := c.registryID(q.InRegistry)
	if err != nil {
		return TrashRestored{}, err
	}
	name, ref, err := parseImage(id, q.What)
	if err != nil {
		return TrashRestored{}, err
	}
	r, err := c.Registry(ctx)
	if err != nil {
		return TrashRestored{}, err
	}
	if ref == (registry.Ref{}) {
		return restoreRepository(ctx, r, name, q)
	}
	if q.As != "" || q.ID != "" {
		return TrashRestored{}, fmt.Errorf("an image comes back to its own repository: another name and an id are for a repository")
	}
	list, err := r.RestoreImage(ctx, name, ref)
	return TrashRestored{name.String(), each(list, func(img registry.RestoredImage) RestoredImage {
		return RestoredImage{img.Image.Digest.String(), each(img.Tags, registry.Tag.String), each(img.Taken, registry.Tag.String)}
	})}, err
}

func restoreRepository(ctx context.Context, r *registry.Service, name registry.Name, q TrashRestore) (TrashRestored, error) {
	var other registry.Name
	if q.As != "" {
		var err error
		if other, err = registry.ParseName(name.ID(), q.As); err != nil {
			return TrashRestored{}, err
		}
	}
	repo, err := r.RestoreRepositoryWithID(ctx, name, q.ID, other)
	if registry.CodeOf(err) == registry.RepositoryExists {
		err = fmt.Errorf("%w: bring it back under another name with --as", err)
	}
	return TrashRestored{Repository: repo.Name.String(), Images: []RestoredImage{}}, err
}

// parseImage reads a repository, or an image as REPOSITORY@DIGEST or REPOSITORY:TAG.
func parseImage(id registry.ID, text string) (name registry.Name, ref registry.Ref, err error) {
	path, d, byDigest := strings.Cut(text, "@")
	path, tag, byTag := strings.Cut(path, ":")
	if name, err = registry.ParseName(id, path); err != nil {
		return name, ref, err
	}
	if byTag {
		if ref.Tag, err = registry.ParseTag(tag); err != nil {
			return name, ref, err
		}
	}
	if byDigest {
		ref.Digest, err = digest.Parse(d)
	}
	return name, ref, err
}

func (c *Clerk) emptyTrash(ctx context.Context, q TrashQuestion) (TrashEmptied, error) {
	filter, err := c.trashFilter(q)
	if err != nil {
		return TrashEmptied{}, err
	}
	r, err := c.Registry(ctx)
	if err != nil {
		return TrashEmptied{}, err
	}
	gone, err := r.EmptyTrash(ctx, filter)
	return TrashEmptied(gone), err
}
