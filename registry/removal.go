package registry

import (
	"context"
	"errors"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// DeleteImage removes the image that ref names with all its tags, each of which may
// is asked for, and returns what it removed: one Ref for each tag, or one without a
// tag. What the image referred to stays. The image lies in the trash from then on,
// for Options.TrashWindow. Refusals: RepositoryNotFound, ImageNotFound, TagMismatch,
// ImageReferenced, Protected, and what may says.
func (s *Service) DeleteImage(ctx context.Context, name Name, ref Ref, may May) (gone []Ref, err error) {
	ctx = storage.UseReserve(ctx)
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		img, err := repo.image(tx, ref)
		if err != nil {
			return err
		}
		gone, err = s.remove(ctx, tx, repo, img, removal{may: may, cause: TrashedByRequest})
		return err
	})
	return gone, err
}

// MayRemove asks may, ahead of DeleteImage or of Untag for what is named by a tag
// alone, for the tags that would go. What is not there is asked for nothing, and
// is no error.
func (s *Service) MayRemove(ctx context.Context, name Name, ref Ref, may May) error {
	err := s.onImage(ctx, name, ref, func(rd storage.Reader, repo repository, img stored) error {
		if ref.Digest.IsZero() {
			return may.mayLose(img, []Tag{ref.Tag})
		}
		named, err := repo.tagsOf(rd, img.digest, "", 0)
		if err != nil {
			return err
		}
		return may.mayLose(img, named)
	})
	if CodeOf(err) != "" {
		return nil
	}
	return err
}

// LastTag says what becomes of an image whose last tag is removed.
type LastTag int

// The two ways.
const (
	KeepImage  LastTag = iota // the OCI specification's: it stays, without a tag
	RemoveLast                // ECR's: it goes too
)

// Untag removes a tag, which may is asked for, and returns what it named. With
// RemoveLast the image goes with its last tag. Refusals: RepositoryNotFound,
// ImageNotFound, Protected, and what may says; ImageReferenced where the image would
// go and an index needs it.
func (s *Service) Untag(ctx context.Context, name Name, tag Tag, last LastTag, may May) (gone Ref, err error) {
	ctx = storage.UseReserve(ctx)
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		img, err := repo.image(tx, Ref{Tag: tag})
		if err != nil {
			return err
		}
		gone = Ref{tag, img.digest}
		if last == RemoveLast && img.row.Tags == 1 {
			_, err = s.remove(ctx, tx, repo, img, removal{may: may, cause: TrashedByRequest})
			return err
		}
		if err := may.mayLose(img, []Tag{tag}); err != nil {
			return err
		}
		if err := s.checkUnprotected(repo, img, []Tag{tag}); err != nil {
			return err
		}
		if err := s.untag(ctx, tx, repo, tag, &img); err != nil {
			return err
		}
		return s.replicateRemoval(tx, repo, img, []Tag{tag}, false)
	})
	return gone, err
}

// untag takes a tag from an image, whose row it keeps.
func (s *Service) untag(ctx context.Context, tx storage.Tx, repo repository, tag Tag, img *stored) error {
	if err := repo.deleteTag(tx, tag, img.digest); err != nil {
		return err
	}
	img.row.Tags--
	if err := images.Put(tx, img.row, repo.key(img.digest.String())...); err != nil {
		return err
	}
	return s.record(ctx, tx, TagRemoved, repo, eventRow{Digest: img.digest, MediaType: img.row.MediaType, Tag: tag.s})
}

func (r repository) deleteTag(tx storage.Tx, tag Tag, d digest.Digest) error {
	if err := tags.Delete(tx, r.key(tag.s)...); err != nil {
		return err
	}
	if err := mirroredTags.Delete(tx, r.key(tag.s)...); err != nil {
		return err
	}
	return imageTags.Delete(tx, r.key(d.String(), tag.s)...)
}

// removal is who removes an image, and why.
type removal struct {
	may    May
	cause  TrashCause
	reason string // of a lifecycle policy
	// replica says that another registry tells of it, so that it goes no further.
	replica bool
}

// remove takes an image with all that is its own out of the repository, if it may
// lose its tags, nothing protects it and no index needs it.
func (s *Service) remove(ctx context.Context, tx storage.Tx, repo repository, img stored, why removal) (gone []Ref, err error) {
	named, err := repo.tagsOf(tx, img.digest, "", 0)
	if err != nil {
		return nil, err
	}
	if err := why.may.mayLose(img, named); err != nil {
		return nil, err
	}
	if err := s.checkUnprotected(repo, img, named); err != nil {
		return nil, err
	}
	if err := repo.checkUnreferenced(tx, img.digest); err != nil {
		return nil, err
	}
	for _, tag := range named {
		if err := repo.deleteTag(tx, tag, img.digest); err != nil {
			return nil, err
		}
		gone = append(gone, Ref{tag, img.digest})
	}
	if gone == nil {
		gone = []Ref{{Digest: img.digest}}
	}
	if err := s.takeAway(ctx, tx, repo, img, named, why); err != nil {
		return nil, err
	}
	if err := resize(tx, repo.key(), img.row.counted().negative()); err != nil {
		return nil, err
	}
	repo.row.Images--
	if img.row.status() != Active {
		repo.row.Inactive--
	}
	if err := repo.put(tx); err != nil {
		return nil, err
	}
	if err := s.recordRemoval(ctx, tx, repo, img, gone); err != nil || why.replica {
		return gone, err
	}
	return gone, s.replicateRemoval(tx, repo, img, named, true)
}

// recordRemoval writes one event for each tag that went, as ECR does.
func (s *Service) recordRemoval(ctx context.Context, tx storage.Tx, repo repository, img stored, gone []Ref) error {
	for _, ref := range gone {
		e := eventRow{Digest: img.digest, MediaType: img.row.MediaType, Tag: ref.Tag.s}
		if err := s.record(ctx, tx, ImageDeleted, repo, e); err != nil {
			return err
		}
	}
	return nil
}

// How many indexes or images a refusal names at most.
const maxNamed = 10

func (r repository) checkUnreferenced(rd storage.Reader, d digest.Digest) error {
	parents, err := lastParts(children.Scan(rd, table.Select{Prefix: r.key(d.String()), Limit: maxNamed}))
	if err != nil || parents == nil {
		return err
	}
	e := refuse(ImageReferenced, "image %s of %q is referenced by index %v", d, r.name, parents)
	e.Name, e.Ref, e.Digests = r.name, Ref{Digest: d}, parents
	return e
}

// deleteReferences removes the rows by which an image names others, and how far it
// was replicated and signed.
func (r repository) deleteReferences(tx storage.Tx, d digest.Digest, refs references) error {
	for _, child := range refs.children {
		key := r.key(child.String(), d.String())
		if err := errors.Join(children.Delete(tx, key...), absentChildren.Delete(tx, key...)); err != nil {
			return err
		}
	}
	if err := mirroredImages.Delete(tx, r.key(d.String())...); err != nil {
		return err
	}
	if !refs.subject.IsZero() {
		if err := referrers.Delete(tx, r.key(refs.subject.String(), d.String())...); err != nil {
			return err
		}
	}
	return errors.Join(forgetReplications(tx, r.key(), d), r.forgetSignings(tx, d))
}

// deleteManifest removes the bytes of an image's manifest.
func (r repository) deleteManifest(tx storage.Tx, img stored) error {
	for n := range (img.row.ManifestSize + storage.MaxValue - 1) / storage.MaxValue {
		if err := manifests.Delete(tx, r.key(img.digest.String(), chunkKey(int(n)))...); err != nil {
			return err
		}
	}
	return manifestDamages.Delete(tx, r.key(img.digest.String())...)
}
