package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-78150930/berth/storage"
)

// manifestDamaged says that an image's manifest does not have its digest.
type manifestDamaged struct {
	repo  repository
	img   stored
	found string
}

// Error implements error.
func (e *manifestDamaged) Error() string {
	return fmt.Sprintf("manifest %s of %s is damaged: %s", e.img.digest, e.repo.name, e.found)
}

// noteManifest notes the damage of a manifest if that is what err tells of, and makes
// it the refusal that clients see. Other errors, and none, are as they were.
func (s *Service) noteManifest(ctx context.Context, err error) error {
	var damaged *manifestDamaged
	if !errors.As(err, &damaged) {
		return err
	}
	if err := s.noteDamagedManifest(ctx, damaged); err != nil && !storage.Refuses(err) {
		s.log.Error("note a damaged manifest", "error", err)
	}
	e := refuse(ImageDamaged, "image %s of %q is damaged on the server", damaged.img.digest, damaged.repo.name)
	e.Name, e.Ref = damaged.repo.name, Ref{Digest: damaged.img.digest}
	return e
}

// noteDamagedManifest notes the damage of a manifest that is still there, and has not
// been healed since it was found.
func (s *Service) noteDamagedManifest(ctx context.Context, m *manifestDamaged) error {
	noted, key := false, m.repo.key(m.img.digest.String())
	err := s.update(storage.UseReserve(ctx), func(tx storage.Tx) error {
		noted = false
		there, err := images.Has(tx, key...)
		if err == nil && !there {
			there, err = trash.Has(tx, key...)
		}
		if err != nil || !there {
			return err
		}
		if _, err := m.repo.manifest(tx, m.img); !errors.As(err, new(*manifestDamaged)) {
			return err
		}
		if known, err := manifestDamages.Has(tx, key...); err != nil || known {
			return err
		}
		row := damageRow{Repository: m.repo.name.path, Size: m.img.row.ManifestSize, At: s.now().UTC(), Found: m.found}
		if err := manifestDamages.Put(tx, row, key...); err != nil {
			return err
		}
		noted = true
		d := detail(DamageDetail{What: "manifest", Size: row.Size, Reason: row.Found})
		return s.record(ctx, tx, ContentDamaged, m.repo, eventRow{Digest: m.img.digest, MediaType: m.img.row.MediaType, Detail: d})
	})
	if noted && err == nil {
		s.damageWasFound()
		s.log.Error("A MANIFEST IS DAMAGED: nobody gets it until it is healed", "repository", m.repo.name, "digest", m.img.digest, "found", m.found)
	}
	return err
}

// healManifest puts a manifest's bytes, which have its digest, in the place of damaged
// ones. It does nothing where no damage is known, nor for a manifest of schema 1 with
// other signatures: sizes count the bytes that were there.
func (s *Service) healManifest(ctx context.Context, tx storage.Tx, repo repository, img stored, body []byte, why string) error {
	key := repo.key(img.digest.String())
	known, err := manifestDamages.Has(tx, key...)
	if err != nil || !known || int64(len(body)) != img.row.ManifestSize {
		return err
	}
	if _, err := clearTable(manifests, deleteRow(manifests))(tx, key, 0); err != nil {
		return err
	}
	err = errors.Join(repo.putManifest(tx, img.digest, body), manifestDamages.Delete(tx, key...))
	if err != nil {
		return err
	}
	s.integrity.healed.Add(1)
	d := detail(DamageDetail{What: "manifest", Size: int64(len(body)), Reason: why})
	return s.record(ctx, tx, ContentHealed, repo, eventRow{Digest: img.digest, MediaType: img.row.MediaType, Detail: d})
}
