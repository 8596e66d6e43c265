package registry

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// StorageClass is where an image lies: Archived images lie in ArchiveClass, all
// others in StandardClass.
type StorageClass string

// The storage classes (model: TargetStorageClass).
const (
	StandardClass StorageClass = "STANDARD"
	ArchiveClass  StorageClass = "ARCHIVE"
)

// StorageClassDetail is the detail of StorageClassChanged.
type StorageClassDetail struct {
	Target            StorageClass
	ArtifactMediaType string    `json:",omitempty"`
	LastActivatedAt   time.Time `json:",omitzero"`
	Referrer          bool      `json:",omitempty"` // the image is one
}

// SetStorageClass archives an image, or brings it back: at once, or after
// Options.RestoreTime, until which it is Activating. What refers to the image
// goes with it, into the archive and back; the images of an index stay where they
// are. Tags stay as they are. Refusals: RepositoryNotFound, ImageNotFound,
// TagMismatch, SettingInvalid; StorageClassUnchangeable for an image that is in
// the class, on its way back, or named by an index that is not archived.
func (s *Service) SetStorageClass(ctx context.Context, name Name, ref Ref, class StorageClass) (img Image, err error) {
	if class != StandardClass && class != ArchiveClass {
		return Image{}, invalidSetting("targetStorageClass", "Member must satisfy enum value set: [STANDARD, ARCHIVE]")
	}
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		found, err := repo.image(tx, ref)
		if err != nil {
			return err
		}
		if class == ArchiveClass {
			err = s.archive(ctx, tx, &repo, &found)
		} else {
			err = s.restore(ctx, tx, &repo, &found, s.live.Load().RestoreTime)
		}
		img = found.row.public(name, found.digest)
		return err
	})
	return img, err
}

func (r repository) unchangeable(img stored, why string) *Error {
	e := refuse(StorageClassUnchangeable, "the storage class of image %s of %q cannot be changed: %s", img.digest, r.name, why)
	e.Name, e.Ref, e.Field = r.name, Ref{Digest: img.digest}, why
	return e
}

// archive takes an active image out of sight, and what refers to it.
func (s *Service) archive(ctx context.Context, tx storage.Tx, repo *repository, img *stored) error {
	if status := img.row.status(); status != Active {
		return repo.unchangeable(*img, fmt.Sprintf("it is %s", status))
	}
	if needed, err := repo.namedByActive(tx, img.digest); err != nil || needed {
		if err == nil {
			err = repo.unchangeable(*img, "an index that is not archived names it")
		}
		return err
	}
	img.row.Status, img.row.ArchivedAt = Archived, s.now().UTC()
	repo.row.Inactive++
	if err := s.putStatus(ctx, tx, repo, img, ArchiveClass); err != nil {
		return err
	}
	return s.eachReferrer(tx, repo, img.digest, func(other *stored) error {
		err := s.archive(ctx, tx, repo, other)
		if CodeOf(err) == StorageClassUnchangeable { // it is there already, or needed elsewhere
			return nil
		}
		return err
	})
}

// restore brings an image back from the archive after a time, and what refers to
// it.
func (s *Service) restore(ctx context.Context, tx storage.Tx, repo *repository, img *stored, after time.Duration) error {
	if status := img.row.status(); status != Archived {
		return repo.unchangeable(*img, fmt.Sprintf("it is %s", status))
	}
	if after <= 0 {
		if err := s.bringBack(ctx, tx, repo, img); err != nil {
			return err
		}
	} else if err := s.restoreLater(tx, repo, img, after); err != nil {
		return err
	}
	return s.eachReferrer(tx, repo, img.digest, func(other *stored) error {
		if other.row.status() != Archived {
			return nil
		}
		return s.restore(ctx, tx, repo, other, after)
	})
}

func (s *Service) restoreLater(tx storage.Tx, repo *repository, img *stored, after time.Duration) error {
	img.row.Status = Activating
	if err := images.Put(tx, img.row, repo.key(img.digest.String())...); err != nil {
		return err
	}
	due := sequenceKey(uint64(s.now().Add(after).UnixNano()))
	return restores.Put(tx, restoreRow{repo.name.path}, append([]string{due}, repo.key(img.digest.String())...)...)
}

// activate makes an image active that is not.
func (s *Service) activate(ctx context.Context, tx storage.Tx, repo *repository, img *stored) error {
	img.row.Status, img.row.ActivatedAt = "", s.now().UTC()
	repo.row.Inactive--
	return s.putStatus(ctx, tx, repo, img, StandardClass)
}

// bringBack makes an image active that somebody wants back, and has it replicated
// with its tags.
func (s *Service) bringBack(ctx context.Context, tx storage.Tx, repo *repository, img *stored) error {
	if err := s.activate(ctx, tx, repo, img); err != nil {
		return err
	}
	named, err := repo.tagsOf(tx, img.digest, "", 0)
	if err != nil {
		return err
	}
	if len(named) == 0 {
		named = []Tag{{}}
	}
	return s.replicate(tx, *repo, img.digest, named)
}

// reactivate brings an image back at once that is stored again, whatever its
// status, and what refers to it; by is activate or bringBack. changed is false for
// an active one.
func (s *Service) reactivate(ctx context.Context, tx storage.Tx, repo *repository, img *stored, by activation) (changed bool, err error) {
	if img.row.status() == Active {
		return false, nil
	}
	if err := by(ctx, tx, repo, img); err != nil {
		return false, err
	}
	return true, s.eachReferrer(tx, repo, img.digest, func(other *stored) error {
		_, err := s.reactivate(ctx, tx, repo, other, by)
		return err
	})
}

// activation is a way to make an image active.
type activation func(ctx context.Context, tx storage.Tx, repo *repository, img *stored) error

// putStatus keeps an image's new status, its repository's count of it, and the
// event.
func (s *Service) putStatus(ctx context.Context, tx storage.Tx, repo *repository, img *stored, target StorageClass) error {
	if err := images.Put(tx, img.row, repo.key(img.digest.String())...); err != nil {
		return err
	}
	if err := repo.put(tx); err != nil {
		return err
	}
	named, err := repo.tagsOf(tx, img.digest, "", 1)
	if err != nil {
		return err
	}
	e := eventRow{Digest: img.digest, MediaType: img.row.MediaType, Detail: detail(StorageClassDetail{
		target, img.row.ConfigMediaType, img.row.ActivatedAt, !img.row.Subject.IsZero(),
	})}
	if len(named) > 0 {
		e.Tag = named[0].s
	}
	return s.record(ctx, tx, StorageClassChanged, *repo, e)
}

// eachReferrer calls fn for each stored image whose subject is the given one.
func (s *Service) eachReferrer(tx storage.Tx, repo *repository, subject digest.Digest, fn func(*stored) error) error {
	list, err := lastParts(referrers.Scan(tx, table.Select{Prefix: repo.key(subject.String())}))
	if err != nil {
		return err
	}
	for _, d := range list {
		other, err := repo.image(tx, Ref{Digest: d})
		if err != nil {
			return err
		}
		if err := fn(&other); err != nil {
			return err
		}
	}
	return nil
}

// namedByActive says whether an index that is not archived names an image.
func (r repository) namedByActive(rd storage.Reader, d digest.Digest) (bool, error) {
	for f, err := range children.Scan(rd, table.Select{Prefix: r.key(d.String())}) {
		if err != nil {
			return false, err
		}
		parent, err := images.Get(rd, r.key(f.Key[4])...)
		if err != nil {
			return false, fmt.Errorf("index %s of child %s: %w", f.Key[4], d, err)
		}
		if parent.status() == Active {
			return true, nil
		}
	}
	return false, nil
}

// finishRestores makes active what is due, in batches.
func (s *Service) finishRestores(ctx context.Context) error {
	for {
		n := 0
		err := s.update(ctx, func(tx storage.Tx) error {
			n = 0
			for f, err := range restores.Scan(tx, table.Select{Limit: batch}) {
				if err != nil {
					return err
				}
				due, err := strconv.ParseInt(f.Key[0], 16, 64)
				if err != nil {
					return fmt.Errorf("key of a restore: %w", err)
				}
				if due > s.now().UnixNano() {
					return nil
				}
				if err := s.finishRestore(ctx, tx, f); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil || n < batch {
			return err
		}
	}
}

// finishRestore makes an image active whose time has come, if it is still there
// and on its way.
func (s *Service) finishRestore(ctx context.Context, tx storage.Tx, f table.Found[restoreRow]) error {
	if err := restores.Delete(tx, f.Key...); err != nil {
		return err
	}
	repo, err := find(tx, Name{ID{f.Key[1], f.Key[2]}, f.Row.Repository})
	if CodeOf(err) == RepositoryNotFound || err == nil && repo.row.ID != f.Key[3] {
		return nil
	}
	if err != nil {
		return err
	}
	d, err := digest.Parse(f.Key[4])
	if err != nil {
		return fmt.Errorf("key of a restore: %w", err)
	}
	img, err := repo.image(tx, Ref{Digest: d})
	if CodeOf(err) == ImageNotFound || err == nil && img.row.status() != Activating {
		return nil
	}
	if err != nil {
		return err
	}
	return s.bringBack(ctx, tx, &repo, &img)
}

// checkActive refuses images that cannot be pulled.
func (r repository) checkActive(img stored) error {
	if img.row.status() == Active {
		return nil
	}
	e := refuse(ImageArchived, "image %s of %q is %s", img.digest, r.name, img.row.status())
	e.Name, e.Ref = r.name, Ref{Digest: img.digest}
	return e
}

// archived says whether only images use a layer that cannot be pulled.
func (r repository) archived(rd storage.Reader, d digest.Digest) (bool, error) {
	if r.row.Inactive == 0 {
		return false, nil
	}
	used := false
	for f, err := range layerUses.Scan(rd, table.Select{Prefix: r.key(d.String())}) {
		if err != nil {
			return false, err
		}
		img, err := images.Get(rd, r.key(f.Key[4])...)
		if err != nil {
			return false, fmt.Errorf("image %s of layer %s: %w", f.Key[4], d, err)
		}
		if img.status() == Active {
			return false, nil
		}
		used = true
	}
	return used, nil
}
