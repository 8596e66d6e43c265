package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// RestoredImage is an image that came back from the trash.
type RestoredImage struct {
	Image Image
	Tags  []Tag // that came back with it
	Taken []Tag // that did not, since another image has them now
}

// RestoreImage brings an image back from the trash with those of its tags that are
// free, and with it the images of an index that are in the trash too; they stand
// before it. It comes back as old as it went, and in the same storage class. A tag
// names the image that had it and was deleted last. Refusals: RepositoryNotFound,
// NotInTrash, TooManyImages, TooManyInRegistry, QuotaExceeded, TooManyTags; ChildrenMissing where an index names what is
// gone for good; ImageDamaged.
func (s *Service) RestoreImage(ctx context.Context, name Name, ref Ref) (list []RestoredImage, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		list = nil
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		d, err := repo.findTrashed(tx, ref)
		if err != nil {
			return err
		}
		list, err = s.comeBack(ctx, tx, &repo, d)
		return err
	})
	return list, s.noteManifest(ctx, err)
}

// findTrashed is the digest of the image in the trash that ref names.
func (r repository) findTrashed(rd storage.Reader, ref Ref) (d digest.Digest, err error) {
	found, at := "", time.Time{}
	for f, err := range trash.Scan(rd, table.Select{Prefix: r.key()}) {
		if err != nil {
			return d, err
		}
		fits := f.Key[3] == ref.Digest.String()
		if ref.Digest.IsZero() {
			fits = f.Row.had(ref.Tag)
		}
		if fits && (found == "" || f.Row.At.After(at)) {
			found, at = f.Key[3], f.Row.At
		}
	}
	if found == "" {
		return d, r.notInTrash(ref)
	}
	return digest.Parse(found)
}

func (row trashRow) had(tag Tag) bool {
	for _, t := range row.Tags {
		if t == tag.s {
			return true
		}
	}
	return false
}

func (r repository) notInTrash(ref Ref) *Error {
	e := refuse(NotInTrash, "no image %s of %q is in the trash", ref, r.name)
	e.Name, e.Ref = r.name, ref
	return e
}

// comeBack brings an image back, what it names first.
func (s *Service) comeBack(ctx context.Context, tx storage.Tx, repo *repository, d digest.Digest) ([]RestoredImage, error) {
	row, err := trash.Get(tx, repo.key(d.String())...)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, repo.notInTrash(Ref{Digest: d})
	}
	if err != nil {
		return nil, err
	}
	body, err := repo.manifest(tx, stored{d, row.Image})
	if err != nil {
		return nil, err
	}
	m, err := manifest.Reread(row.Image.MediaType, body)
	if err != nil {
		return nil, fmt.Errorf("manifest %s of %s was taken once: %w", d, repo.name, err)
	}
	list, err := s.childrenComeBack(ctx, tx, repo, m)
	if err != nil {
		return nil, err
	}
	p := pushing{repo: *repo, manifest: m, digest: d, Push: Push{Body: body}, sparse: s.live.Load().SparseIndexes}
	img, _, err := s.storeImage(tx, &p)
	if err != nil {
		return nil, err
	}
	*repo = p.repo
	done, err := s.asItWas(ctx, tx, repo, &img, row)
	return append(list, done), err
}

// childrenComeBack brings back those of an index's images that are in the trash.
func (s *Service) childrenComeBack(ctx context.Context, tx storage.Tx, repo *repository, m manifest.Manifest) (list []RestoredImage, err error) {
	for _, c := range m.Manifests {
		there, err := trash.Has(tx, repo.key(c.Digest.String())...)
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		more, err := s.comeBack(ctx, tx, repo, c.Digest)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// asItWas gives an image that was stored anew the times, the status and the tags that
// it had.
func (s *Service) asItWas(ctx context.Context, tx storage.Tx, repo *repository, img *stored, row trashRow) (done RestoredImage, err error) {
	stored := img.row
	img.row = row.Image
	img.row.Size, img.row.Layers, img.row.Tags, img.row.Status = stored.Size, stored.Layers, 0, ""
	for _, word := range row.Tags {
		tag := Tag{word}
		taken, err := tags.Has(tx, repo.key(word)...)
		if err != nil {
			return done, err
		}
		if taken {
			done.Taken = append(done.Taken, tag)
			continue
		}
		if _, err := s.setTag(tx, *repo, tag, img, s.mostTags()); err != nil {
			return done, err
		}
		done.Tags = append(done.Tags, tag)
	}
	img.row.TaggedAt = row.Image.TaggedAt
	if err := s.statusAsItWas(ctx, tx, repo, img, row.Image.status()); err != nil {
		return done, err
	}
	if err := s.signingsAsTheyWere(tx, *repo, img.digest, row.Signings); err != nil {
		return done, err
	}
	done.Image = img.row.public(repo.name, img.digest)
	done.Image.Tags = done.Tags
	return done, s.recordRestored(ctx, tx, *repo, *img, done.Tags)
}

// statusAsItWas gives an image that has come back as an active one the status that it
// had, unless an index needs it that is not archived. The images of an index that is
// active come back from the archive, if they are there.
func (s *Service) statusAsItWas(ctx context.Context, tx storage.Tx, repo *repository, img *stored, status ImageStatus) error {
	needed, err := repo.needed(tx, img.digest)
	if err != nil {
		return err
	}
	if status == Archived && needed {
		status = Active
	}
	if status != Active {
		img.row.Status = Archived
		repo.row.Inactive++
		if err := repo.moveUses(tx, *img); err != nil {
			return err
		}
	}
	if err := errors.Join(images.Put(tx, img.row, repo.key(img.digest.String())...), repo.put(tx)); err != nil {
		return err
	}
	if status == Activating {
		if err := s.restoreLater(tx, repo, img, s.live.Load().RestoreTime); err != nil {
			return err
		}
	}
	if status == Archived {
		return nil
	}
	_, err = s.unarchive(ctx, tx, repo, img, false, s.bringBack)
	return err
}

// recordRestored writes an event for each tag that came back, or one without a tag,
// and has the image scanned and replicated.
func (s *Service) recordRestored(ctx context.Context, tx storage.Tx, repo repository, img stored, named []Tag) error {
	if len(named) == 0 {
		named = []Tag{{}}
	}
	for _, tag := range named {
		e := eventRow{Digest: img.digest, MediaType: img.row.MediaType, Tag: tag.s}
		if err := s.record(ctx, tx, ImageRestored, repo, e); err != nil {
			return err
		}
	}
	if img.row.status() != Active {
		return nil
	}
	if err := s.scanArrived(tx, repo, img); err != nil {
		return err
	}
	return s.replicate(tx, repo, img.digest, named)
}
