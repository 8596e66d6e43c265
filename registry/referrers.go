package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Referrer is an image that names another one as its subject.
type Referrer struct {
	Digest       digest.Digest
	MediaType    string
	ArtifactType string
	Size         int64 // bytes of the manifest
	Annotations  map[string]string
	Status       ImageStatus
}

// maxReferrerBytes bounds what a page of referrers reads: annotations are the
// manifests' own and may be as large as these.
const maxReferrerBytes = 4 << 20

// ReferrerFilter chooses referrers. The zero value takes the active ones.
type ReferrerFilter struct {
	ArtifactTypes []string // any of them; none means all
	Status        StatusFilter
}

// Referrers lists the images whose subject is the given digest, which need not
// be there itself, and those that name no subject and are listed by an index
// under the fallback tag of older clients. They come in byte order of digest,
// those after the given digest ("" for the first page), at most limit. next is
// as for Images: pages may be short.
// Refusals: RepositoryNotFound, PageInvalid.
func (s *Service) Referrers(ctx context.Context, name Name, subject digest.Digest, filter ReferrerFilter, after string, limit int) (page []Referrer, next string, err error) {
	if after == "" {
		s.bringReferrers(ctx, name, subject)
	}
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		page, next, err = repo.referrers(r, subject, filter, after, limit)
		return err
	})
	return page, next, err
}

func (r repository) referrers(rd storage.Reader, subject digest.Digest, filter ReferrerFilter, after string, limit int) (page []Referrer, next string, err error) {
	last, left, room := "", limit*rowsForEach+rowsAtLeast, int64(maxReferrerBytes)
	for f, err := range r.allReferrers(rd, subject, after) {
		if err != nil {
			return nil, "", err
		}
		if len(page) == limit || left == 0 || room <= 0 {
			return page, last, nil
		}
		last, left = f.digest, left-1
		if f.absent || len(filter.ArtifactTypes) > 0 && !slices.Contains(filter.ArtifactTypes, f.row.ArtifactType) {
			continue
		}
		found, err := r.referrer(rd, f, filter.Status)
		if err != nil {
			return nil, "", err
		}
		if found.Status == "" {
			continue
		}
		room -= found.Size
		page = append(page, found)
	}
	return page, "", nil
}

// referrer is what there is to say of one, zero if the filter does not take it.
func (r repository) referrer(rd storage.Reader, f foundReferrer, filter StatusFilter) (Referrer, error) {
	d, err := digest.Parse(f.digest)
	if err != nil {
		return Referrer{}, fmt.Errorf("key of referrer: %w", err)
	}
	img, err := r.image(rd, Ref{Digest: d})
	if err != nil || !filter.takes(img.row) {
		return Referrer{}, err
	}
	m, err := r.parsed(rd, img)
	if err != nil && !errors.As(err, new(*manifestDamaged)) { // such a one has no annotations
		return Referrer{}, err
	}
	if len(m.Annotations) == 0 {
		m.Annotations = f.annotations
	}
	return Referrer{d, f.row.MediaType, f.row.ArtifactType, f.row.Size, m.Annotations, img.row.status()}, nil
}

// lastParts are the digests that end the keys of a scan, nil if there is none.
func lastParts[Row any](rows iter.Seq2[table.Found[Row], error]) (list []digest.Digest, err error) {
	for f, err := range rows {
		if err != nil {
			return nil, err
		}
		d, err := digest.Parse(f.Key[len(f.Key)-1])
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", f.Key, err)
		}
		list = append(list, d)
	}
	return list, nil
}
