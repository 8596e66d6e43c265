package registry

import (
	"context"
	"errors"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// An image in the trash is a row there, the rows of its manifest, and its uses of
// layers in a table of their own. So its layers are held like any others, and what is
// asked about images and layers does not come across it.

// trashRow is an image in the trash.
type trashRow struct {
	Image  imageRow
	Tags   []string `json:",omitempty"` // that it had
	At     time.Time
	By     string `json:",omitempty"` // ARN of the principal; "" for the server
	Cause  TrashCause
	Reason string `json:",omitempty"` // of the lifecycle policy
	// Signings are how far it was signed, by profile.
	Signings map[string]signingRow `json:",omitempty"`
}

// wholeRepository stands in trashDue for a repository, in place of a digest.
const wholeRepository = "repository"

// trashDueKey is the key of an image, or of a repository, in order of its deletion.
func trashDueKey(at time.Time, repo []string, what string) []string {
	return append(dueKey(at, repo[:3]), what)
}

// takeAway takes an image's rows out of the repository, into the trash if there is a
// window. The tags that it had are gone by then.
func (s *Service) takeAway(ctx context.Context, tx storage.Tx, repo repository, img stored, named []Tag, why removal) error {
	refs, err := repo.references(tx, img, usesBy(img.row.status()))
	if err != nil {
		return err
	}
	signed, err := repo.signingsOf(tx, img.digest)
	if err != nil {
		return err
	}
	keep := s.live.Load().TrashWindow > 0
	if err := repo.endUses(tx, img, refs, keep); err != nil {
		return err
	}
	if err := repo.deleteReferences(tx, img.digest, refs); err != nil {
		return err
	}
	if err := s.forgetScans(tx, repo.key(), img.digest); err != nil {
		return err
	}
	if err := images.Delete(tx, repo.key(img.digest.String())...); err != nil {
		return err
	}
	if !keep {
		return repo.deleteManifest(tx, img)
	}
	row := trashRow{Image: img.row, At: s.now().UTC(), By: auth.PrincipalOf(ctx).ARN, Cause: why.cause, Reason: why.reason, Signings: signed}
	for _, tag := range named {
		row.Tags = append(row.Tags, tag.s)
	}
	return repo.putTrash(tx, img.digest, row)
}

func (r repository) putTrash(tx storage.Tx, d digest.Digest, row trashRow) error {
	if err := trashDue.Put(tx, dueRow{r.name.path}, trashDueKey(row.At, r.key(), d.String())...); err != nil {
		return err
	}
	if err := resize(tx, r.key(), row.Image.trashed()); err != nil {
		return err
	}
	return trash.Put(tx, row, r.key(d.String())...)
}

// endUses ends an image's uses of layers, or has the trash go on with them. What only
// the trash still uses goes out of sight.
func (r repository) endUses(tx storage.Tx, img stored, refs references, keep bool) error {
	uses := usesBy(img.row.status())
	for _, d := range refs.blobs {
		key := r.key(d.String(), img.digest.String())
		row, err := uses.Get(tx, key...)
		if errors.Is(err, storage.ErrNotFound) { // foreign
			continue
		}
		if err == nil {
			err = uses.Delete(tx, key...)
		}
		if err == nil && keep {
			err = trashUses.Put(tx, row, key...)
		}
		if err == nil {
			err = r.hideUnused(tx, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hideUnused takes a layer out of sight that the trash uses and no image does.
func (r repository) hideUnused(tx storage.Tx, d digest.Digest) error {
	_, used, _, err := r.use(tx, d)
	if err != nil || used {
		return err
	}
	if needed, err := r.inTrash(tx, d); err != nil || !needed {
		return err
	}
	row, err := held.Get(tx, r.key(d.String())...)
	if err != nil {
		return err
	}
	row.Hidden = true
	return held.Put(tx, row, r.key(d.String())...)
}

// inTrash says whether an image in the trash uses a layer.
func (r repository) inTrash(rd storage.Reader, d digest.Digest) (bool, error) {
	for _, err := range trashUses.Scan(rd, table.Select{Prefix: r.key(d.String()), Limit: 1}) {
		return err == nil, err
	}
	return false, nil
}

// checkDeletable refuses to delete a layer that is not there, or that was deleted already
// and is only kept for the trash.
func (r repository) checkDeletable(rd storage.Reader, d digest.Digest) error {
	row, err := held.Get(rd, r.key(d.String())...)
	if errors.Is(err, storage.ErrNotFound) || err == nil && row.Deleted {
		return layerNotFound(r.name, d)
	}
	return err
}

// giveUp takes a layer from a repository, out of sight at least: the trash holds on to
// what it uses.
func (s *Service) giveUp(tx storage.Tx, repo repository, d digest.Digest) error {
	needed, err := repo.inTrash(tx, d)
	if err != nil {
		return err
	}
	if !needed {
		return s.letGo(tx, repo.key(), d.String())
	}
	row, err := held.Get(tx, repo.key(d.String())...)
	if err != nil {
		return err
	}
	row.Hidden, row.Deleted = true, true
	return held.Put(tx, row, repo.key(d.String())...)
}

// forgetTrashed takes an image out of the trash, if it is there, with its manifest,
// and returns the layers that it used. They stay as they are.
func (r repository) forgetTrashed(tx storage.Tx, d digest.Digest) (used []digest.Digest, err error) {
	row, err := trash.Get(tx, r.key(d.String())...)
	if err != nil {
		return nil, ignoreNotFound(err)
	}
	img := stored{d, row.Image}
	if used, err = r.usedInTrash(tx, img); err != nil {
		return nil, err
	}
	for _, layer := range used {
		if err := trashUses.Delete(tx, r.key(layer.String(), d.String())...); err != nil {
			return nil, err
		}
	}
	if err := r.deleteManifest(tx, img); err != nil {
		return nil, err
	}
	if err := trashDue.Delete(tx, trashDueKey(row.At, r.key(), d.String())...); err != nil {
		return nil, err
	}
	if err := resize(tx, r.key(), row.Image.trashed().negative()); err != nil {
		return nil, err
	}
	return used, trash.Delete(tx, r.key(d.String())...)
}

// usedInTrash lists the layers that an image in the trash uses.
func (r repository) usedInTrash(tx storage.Tx, img stored) (list []digest.Digest, err error) {
	refs, err := r.references(tx, img, trashUses)
	for _, d := range refs.blobs {
		there, err := trashUses.Has(tx, r.key(d.String(), img.digest.String())...)
		if err != nil {
			return nil, err
		}
		if there {
			list = append(list, d)
		}
	}
	return list, err
}
