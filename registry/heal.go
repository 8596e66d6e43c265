package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// HealSource has what was damaged here. What it gives is hashed, so it need not be
// trusted.
type HealSource interface {
	// OpenLayer gives the bytes of a layer of a repository.
	OpenLayer(ctx context.Context, n Name, d digest.Digest) (io.ReadCloser, error)
	// Manifest gives those of an image's manifest.
	Manifest(ctx context.Context, n Name, d digest.Digest) ([]byte, error)
}

// healAsks is in how many repositories a layer is looked for.
const healAsks = 10

// healAgain is how long what could not be healed is left alone.
const healAgain = 10 * time.Minute

// Heal has all that is damaged healed from a source, but for what was tried a short
// while ago.
func (s *Service) Heal(ctx context.Context, from HealSource) error {
	list, err := s.Damages(ctx, maxDamages)
	if err != nil {
		return err
	}
	for _, d := range list {
		if s.now().Sub(d.TriedAt) < healAgain {
			continue
		}
		heal := s.healLayer
		if !d.Repository.IsZero() {
			heal = s.fetchManifest
		}
		failed := heal(ctx, d, from)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failed == nil {
			s.log.Info("healed", "digest", d.Digest)
		} else if err := s.noteTried(ctx, d, failed); err != nil {
			return err
		}
	}
	return nil
}

// noteTried notes why something could not be healed.
func (s *Service) noteTried(ctx context.Context, d Damage, failed error) error {
	return s.update(ctx, func(tx storage.Tx) error {
		of, key := damages, []string{d.Digest.String()}
		if !d.Repository.IsZero() {
			repo, err := find(tx, d.Repository)
			if CodeOf(err) == RepositoryNotFound {
				return nil
			}
			if err != nil {
				return err
			}
			of, key = manifestDamages, repo.key(d.Digest.String())
		}
		row, err := of.Get(tx, key...)
		if err != nil {
			return ignoreNotFound(err)
		}
		row.TriedAt, row.Tried = s.now().UTC(), failed.Error()
		return of.Put(tx, row, key...)
	})
}

// fetchManifest heals a manifest.
func (s *Service) fetchManifest(ctx context.Context, d Damage, from HealSource) error {
	body, err := from.Manifest(ctx, d.Repository, d.Digest)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, d.Repository)
		if err != nil {
			return err
		}
		img, err := repo.image(tx, Ref{Digest: d.Digest})
		if err != nil {
			return err
		}
		if digest.FromBytes(d.Digest.Algorithm(), body) != d.Digest {
			return errors.New("the source gave other bytes")
		}
		return s.healManifest(ctx, tx, repo, img, body, "another registry had the right bytes")
	})
}

// healLayer asks for a layer in each repository that holds it, until one has it.
func (s *Service) healLayer(ctx context.Context, d Damage, from HealSource) error {
	names, err := s.allHolders(ctx, d.Digest)
	if err != nil {
		return err
	}
	failed := errors.New("no repository holds it")
	for _, n := range names {
		if failed = s.fetchLayer(ctx, n, d, from); failed == nil {
			return nil
		}
	}
	return failed
}

// allHolders are some repositories of all registries that hold a layer.
func (s *Service) allHolders(ctx context.Context, d digest.Digest) (list []Name, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		list = nil
		for of, err := range registries.Scan(r, table.Select{}) {
			if err != nil {
				return err
			}
			for f, err := range holders.Scan(r, table.Select{Prefix: append(of.Key[:2:2], d.String()), Limit: healAsks}) {
				if err != nil {
					return err
				}
				list = append(list, Name{ID{f.Key[0], f.Key[1]}, f.Row.Repository})
			}
			if len(list) >= healAsks {
				return nil
			}
		}
		return nil
	})
	return list, err
}

// fetchLayer puts the bytes of a source into a new blob, and that in the place of the
// damaged one. Until then the blob is nobody's, and young enough to be left alone.
func (s *Service) fetchLayer(ctx context.Context, n Name, d Damage, from HealSource) error {
	src, err := from.OpenLayer(ctx, n, d.Digest)
	if err != nil {
		return err
	}
	defer src.Close()
	blob, h := newBlobID(s.now()), d.Digest.Algorithm().New()
	_, err = s.blobs.Append(ctx, blob, 0, io.TeeReader(io.LimitReader(src, d.Size+1), h))
	if err == nil && digest.FromHash(d.Digest.Algorithm(), h) != d.Digest {
		err = errors.New("the source gave other bytes")
	}
	if err == nil {
		err = s.takeHealed(ctx, d, blob)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("layer %s of %q: %w", d.Digest, n, err), s.blobs.Delete(context.WithoutCancel(ctx), blob))
	}
	s.wakeJanitor()
	return nil
}

func (s *Service) takeHealed(ctx context.Context, d Damage, blob string) error {
	if err := s.blobs.Seal(ctx, blob); err != nil {
		return err
	}
	stamp, err := s.stampOf(ctx, blob)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx storage.Tx) error {
		content, err := contents.Get(tx, d.Digest.String())
		if err != nil {
			return err
		}
		if content.Blob != d.Blob {
			return errors.New("it was healed by others meanwhile")
		}
		_, err = s.replaceContent(ctx, tx, d.Digest, content, blob, stamp, "another registry had the right bytes")
		return err
	})
}
