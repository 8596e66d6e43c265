package registry

import (
	"context"

	"github.com/seed-78150930/berth/storage"
)

// orphans deletes blobs that no row owns: those of uploads that had not reached their
// first checkpoint when the process died. Age spares uploads at work in another process;
// of those in this one it is known which blobs they write to.
func (p *pass) orphans(ctx context.Context) error {
	var page []storage.BlobInfo
	unnoted := 0
	look := func() error {
		d, err := p.deleteOrphans(ctx, page)
		if err != nil {
			return err
		}
		p.row.After = []string{page[len(page)-1].ID}
		if unnoted += len(page); unnoted >= notedEvery {
			unnoted = 0
			if err := p.letGoOf(ctx, nil, &d); err != nil {
				return err
			}
		}
		page = page[:0]
		return p.did(ctx, d)
	}
	for info, err := range p.blobs.List(ctx, p.orphanAfter()) {
		if err != nil {
			return err
		}
		if page = append(page, info); len(page) < batch {
			continue
		}
		if err := look(); err != nil {
			return err
		}
	}
	if len(page) == 0 {
		return nil
	}
	return look()
}

// orphanAfter is the blob behind which to go on.
func (p *pass) orphanAfter() string {
	if len(p.row.After) == 0 {
		return ""
	}
	return p.row.After[0]
}

// deleteOrphans deletes those blobs of a list that nobody owns.
func (s *Service) deleteOrphans(ctx context.Context, list []storage.BlobInfo) (d Collected, err error) {
	d.Looked = int64(len(list))
	suspects, err := s.unowned(ctx, list)
	if err != nil {
		return d, err
	}
	for _, b := range suspects {
		// In this order: an upload at work leaves only when its row owns its blob.
		if s.sessions.hasBlob(b.ID) {
			continue
		}
		still, err := s.unowned(ctx, []storage.BlobInfo{b})
		if err != nil {
			return d, err
		}
		if len(still) == 0 {
			continue
		}
		if err := s.blobs.Delete(ctx, b.ID); err != nil {
			return d, err
		}
		d.Orphans++
		d.Blobs++
		d.Bytes += b.Size
	}
	return d, nil
}

// unowned are those blobs of a list that no row owns and that are old enough to have
// been given up, none while there is a hold.
func (s *Service) unowned(ctx context.Context, list []storage.BlobInfo) (some []storage.BlobInfo, err error) {
	limit := s.now().Add(-s.live.Load().UploadExpiry)
	err = s.view(ctx, func(r storage.Reader) error {
		some = nil
		if keep, err := onHold(r); keep || err != nil {
			return err
		}
		for _, b := range list {
			if b.ModTime.After(limit) {
				continue
			}
			owned, err := isOwned(r, b.ID)
			if err != nil {
				return err
			}
			if !owned {
				some = append(some, b)
			}
		}
		return nil
	})
	return some, err
}

// isOwned says whether a row owns a blob.
func isOwned(r storage.Reader, blob string) (bool, error) {
	owned, err := owners.Has(r, blob)
	if err == nil && !owned {
		owned, err = condemned.Has(r, blob)
	}
	return owned, err
}
