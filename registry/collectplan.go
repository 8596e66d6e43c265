package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// DoomedKind says what a collection would take.
type DoomedKind string

// The kinds.
const (
	DoomedLayer     DoomedKind = "layer"     // no image uses it, or its repository was deleted
	DoomedTrash     DoomedKind = "trash"     // an image or repository that has lain there for its window
	DoomedUpload    DoomedKind = "upload"    // it has expired
	DoomedCondemned DoomedKind = "condemned" // given up, and not deleted yet
	DoomedOrphan    DoomedKind = "orphan"    // no row owns it
)

// Doomed is something that a collection would take if it came by now.
type Doomed struct {
	Kind DoomedKind
	// Repository holds the layer, or held the image or is itself in the trash; zero of
	// anything else.
	Repository Name
	Digest     digest.Digest // of a layer or image
	ID         string        // of an upload, or of a blob
	// Bytes are those of the layer or blob. Those of a layer are deleted when none of
	// its Holders has it any more, each of which is listed by itself if it lets go. Those
	// of an image in the trash may be other images' too.
	Bytes   int64
	Holders int
	// Since is when the layer was uploaded, the upload last touched, the blob
	// condemned or last written.
	Since time.Time
	Why   string // in a few words
}

// PlanPlace is how far a plan was read. The zero value is its beginning.
type PlanPlace struct {
	Stage string
	After []string
}

// planPages is how many short views a part of a plan takes at most.
const planPages = 4

// PlanCollection lists a part of what a collection would take, the one behind a place,
// and says where the next part begins. Parts are bounded, and may be empty; more is
// false with the last. Nothing is changed, nor kept from changing between two parts.
func (s *Service) PlanCollection(ctx context.Context, from PlanPlace) (list []Doomed, next PlanPlace, more bool, err error) {
	next = from
	for range planPages {
		page, err := s.planPage(ctx, next)
		if err != nil {
			return nil, from, false, err
		}
		list = append(list, page.list...)
		if next.After = page.last; !page.end {
			continue
		}
		if next = next.following(); next.Stage == "" {
			return list, next, false, nil
		}
	}
	return list, next, true, nil
}

// planStages are the stages of a plan, in order.
var planStages = []string{"layers", "trash", "uploads", "blobs"}

// following is the beginning of the next stage, the zero place behind the last.
func (p PlanPlace) following() PlanPlace {
	if p.Stage == "" {
		return PlanPlace{Stage: planStages[1]}
	}
	if i := slices.Index(planStages, p.Stage) + 1; i < len(planStages) {
		return PlanPlace{Stage: planStages[i]}
	}
	return PlanPlace{}
}

// planPage is what one view shows.
type planPage struct {
	list []Doomed
	last []string // where it ended
	end  bool     // of the stage
}

func (s *Service) planPage(ctx context.Context, from PlanPlace) (planPage, error) {
	switch from.Stage {
	case "", "layers":
		return s.planLayers(ctx, from.After)
	case "trash":
		return s.planTrash(ctx, from.After)
	case "uploads":
		return s.planUploads(ctx, from.After)
	case "blobs":
		return s.planBlobs(ctx, from.After)
	}
	return planPage{}, refuse(PageInvalid, "a plan has no stage %q", from.Stage)
}

func (s *Service) planLayers(ctx context.Context, after []string) (page planPage, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		page = planPage{}
		rows := 0
		for f, err := range held.Scan(r, table.Select{After: after, Limit: batch}) {
			if err != nil {
				return err
			}
			rows, page.last = rows+1, f.Key
			d, err := s.doomedLayer(r, f)
			if err != nil {
				return err
			}
			if d.Why != "" {
				page.list = append(page.list, d)
			}
		}
		page.end = rows < batch
		return nil
	})
	return page, err
}

// doomedLayer is a layer with the reason why it goes, "" if it stays.
func (s *Service) doomedLayer(r storage.Reader, f table.Found[heldRow]) (d Doomed, err error) {
	gone, err := dropped.Has(r, f.Key[:3]...)
	if err != nil {
		return d, err
	}
	d = Doomed{Kind: DoomedLayer, Bytes: f.Row.Size, Since: f.Row.At, Why: "its repository was deleted"}
	if !gone {
		free, err := s.isFree(r, f)
		if err != nil || !free {
			return Doomed{}, err
		}
		d.Why = "no image uses it"
	}
	if d.Digest, err = digest.Parse(f.Key[3]); err != nil {
		return d, err
	}
	content, err := contents.Get(r, f.Key[3])
	if err != nil {
		return d, fmt.Errorf("content of %s: %w", f.Key[3], err)
	}
	d.Holders = content.Holders
	holder, err := holders.Get(r, f.Key[0], f.Key[1], f.Key[3], f.Key[2])
	d.Repository = Name{ID{f.Key[0], f.Key[1]}, holder.Repository}
	return d, err
}

func (s *Service) planTrash(ctx context.Context, after []string) (page planPage, err error) {
	from := ""
	if len(after) > 0 {
		from = after[0]
	}
	list, next, err := s.Trash(ctx, TrashFilter{Before: s.trashLimit()}, from, batch)
	if err != nil {
		return page, err
	}
	for _, t := range list {
		page.list = append(page.list, Doomed{
			Kind: DoomedTrash, Repository: t.Repository, Digest: t.Digest, Bytes: t.Bytes, Since: t.At, Why: "it has lain in the trash for its time",
		})
	}
	page.last, page.end = []string{next}, next == ""
	return page, nil
}

func (s *Service) planUploads(ctx context.Context, after []string) (page planPage, err error) {
	limit := s.now().Add(-s.live.Load().UploadExpiry)
	err = s.view(ctx, func(r storage.Reader) error {
		page = planPage{}
		rows := 0
		for f, err := range uploads.Scan(r, table.Select{After: after, Limit: batch}) {
			if err != nil {
				return err
			}
			rows, page.last = rows+1, f.Key
			if f.Row.TouchedAt.After(limit) || s.sessions.here(f.Key[3]) {
				continue
			}
			page.list = append(page.list, Doomed{
				Kind: DoomedUpload, ID: f.Key[3], Bytes: f.Row.Offset, Since: f.Row.TouchedAt, Why: "it has expired",
			})
		}
		page.end = rows < batch
		return nil
	})
	return page, err
}

func (s *Service) planBlobs(ctx context.Context, after []string) (page planPage, err error) {
	from := ""
	if len(after) > 0 {
		from = after[0]
	}
	var list []storage.BlobInfo
	for info, err := range s.blobs.List(ctx, from) {
		if err != nil {
			return page, err
		}
		if list = append(list, info); len(list) == planPages*batch { // a list begins by reading a folder
			break
		}
	}
	if page.end = len(list) < planPages*batch; len(list) > 0 {
		page.last = []string{list[len(list)-1].ID}
	}
	orphans, err := s.unowned(ctx, list)
	for _, b := range orphans {
		if !s.sessions.hasBlob(b.ID) {
			page.list = append(page.list, Doomed{Kind: DoomedOrphan, ID: b.ID, Bytes: b.Size, Since: b.ModTime, Why: "no row owns it"})
		}
	}
	if err != nil {
		return page, err
	}
	waiting, err := s.condemnedAmong(ctx, list)
	page.list = append(page.list, waiting...)
	return page, err
}

func (s *Service) condemnedAmong(ctx context.Context, list []storage.BlobInfo) (some []Doomed, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		some = nil
		for _, b := range list {
			row, err := condemned.Get(r, b.ID)
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			some = append(some, Doomed{Kind: DoomedCondemned, ID: b.ID, Bytes: b.Size, Since: row.At, Why: "it was given up, and its bytes are to be deleted"})
		}
		return nil
	})
	return some, err
}
