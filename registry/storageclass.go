package registry

import (
	"context"
	"fmt"
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
	ArtifactMediaType string    `json:",omitempty"` // the artifact type, else that of the config, as in the examples of Amazon's user guide
	LastActivatedAt   time.Time `json:",omitzero"`
	Referrer          bool      `json:",omitempty"` // the image is one
}

// SetStorageClass archives an image, or brings it back: at once, or after
// Options.RestoreTime, until which it is Activating. What refers to the image
// goes with it, into the archive and back. The images of an index stay when it
// goes, since others may need them, and come back with it, since it is nothing
// without them (unknown of ECR). Tags stay as they are. Refusals: RepositoryNotFound, ImageNotFound,
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
	if needed, err := repo.needed(tx, img.digest); err != nil || needed {
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
	if err := s.forgetScans(tx, repo.key(), img.digest); err != nil {
		return err
	}
	return repo.eachReferrer(tx, img.digest, func(other *stored) error {
		err := s.archive(ctx, tx, repo, other)
		if CodeOf(err) == StorageClassUnchangeable { // it is there already, or needed elsewhere
			return nil
		}
		return err
	})
}

// restore brings an image back from the archive after a time, and what follows it.
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
	return repo.eachFollower(tx, *img, func(other *stored) error {
		if other.row.status() != Archived {
			return nil
		}
		return s.restore(ctx, tx, repo, other, after)
	})
}

// activate makes an image active that is not. It is scanned as if it had been pushed.
func (s *Service) activate(ctx context.Context, tx storage.Tx, repo *repository, img *stored) error {
	img.row.Status, img.row.ActivatedAt = "", s.now().UTC()
	repo.row.Inactive--
	if err := s.putStatus(ctx, tx, repo, img, StandardClass); err != nil {
		return err
	}
	return s.scanArrived(tx, *repo, *img)
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
// status, and what follows it; by is activate or bringBack. changed is false for
// an active one.
func (s *Service) reactivate(ctx context.Context, tx storage.Tx, repo *repository, img *stored, by activation) (changed bool, err error) {
	if img.row.status() == Active {
		return false, nil
	}
	if err := by(ctx, tx, repo, img); err != nil {
		return false, err
	}
	return true, repo.eachFollower(tx, *img, func(other *stored) error {
		_, err := s.reactivate(ctx, tx, repo, other, by)
		return err
	})
}

// unarchive brings back at once what a stored image needs: itself if it was there
// before, which back says if it was not active, and else what it names.
func (s *Service) unarchive(ctx context.Context, tx storage.Tx, repo *repository, img *stored, there bool, by activation) (back bool, err error) {
	if there {
		return s.reactivate(ctx, tx, repo, img, by)
	}
	return false, repo.eachChild(tx, *img, func(child *stored) error {
		_, err := s.reactivate(ctx, tx, repo, child, by)
		return err
	})
}

// activation is a way to make an image active.
type activation func(ctx context.Context, tx storage.Tx, repo *repository, img *stored) error

// putStatus keeps an image's new status, its repository's count of it, where the
// uses of its layers stand, and the event.
func (s *Service) putStatus(ctx context.Context, tx storage.Tx, repo *repository, img *stored, target StorageClass) error {
	if err := images.Put(tx, img.row, repo.key(img.digest.String())...); err != nil {
		return err
	}
	if err := repo.put(tx); err != nil {
		return err
	}
	if err := repo.moveUses(tx, *img); err != nil {
		return err
	}
	named, err := repo.tagsOf(tx, img.digest, "", 1)
	if err != nil {
		return err
	}
	e := eventRow{Digest: img.digest, MediaType: img.row.MediaType, Detail: detail(StorageClassDetail{
		target, img.row.ArtifactType, img.row.ActivatedAt, !img.row.Subject.IsZero(),
	})}
	if len(named) > 0 {
		e.Tag = named[0].s
	}
	return s.record(ctx, tx, StorageClassChanged, *repo, e)
}

// eachFollower calls fn for what comes back with an image: what refers to it and,
// of an index, the images that it names.
func (r *repository) eachFollower(tx storage.Tx, img stored, fn func(*stored) error) error {
	if err := r.eachReferrer(tx, img.digest, fn); err != nil {
		return err
	}
	return r.eachChild(tx, img, fn)
}

// eachReferrer calls fn for each stored image whose subject is the given one.
func (r *repository) eachReferrer(tx storage.Tx, subject digest.Digest, fn func(*stored) error) error {
	list, err := lastParts(referrers.Scan(tx, table.Select{Prefix: r.key(subject.String())}))
	if err != nil {
		return err
	}
	return r.eachOf(tx, list, fn)
}

// eachChild calls fn for each stored image that an index names, as long as some
// image of the repository is not active.
func (r *repository) eachChild(tx storage.Tx, img stored, fn func(*stored) error) error {
	if r.row.Inactive == 0 {
		return nil
	}
	refs, err := r.references(tx, img, usesBy(img.row.status()))
	if err != nil {
		return err
	}
	return r.eachOf(tx, refs.children, fn)
}

// eachOf calls fn for those of a list that are there.
func (r *repository) eachOf(tx storage.Tx, list []digest.Digest, fn func(*stored) error) error {
	for _, d := range list {
		img, err := r.image(tx, Ref{Digest: d})
		if CodeOf(err) == ImageNotFound { // a sparse index names it
			continue
		}
		if err != nil {
			return err
		}
		if err := fn(&img); err != nil {
			return err
		}
	}
	return nil
}

// needed says whether an index that is not archived names an image.
func (r repository) needed(rd storage.Reader, d digest.Digest) (bool, error) {
	for f, err := range children.Scan(rd, table.Select{Prefix: r.key(d.String())}) {
		if err != nil {
			return false, err
		}
		parent, err := images.Get(rd, r.key(f.Key[4])...)
		if err != nil {
			return false, fmt.Errorf("index %s of child %s: %w", f.Key[4], d, err)
		}
		if parent.status() != Archived { // one on its way back will need it
			return true, nil
		}
	}
	return false, nil
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
