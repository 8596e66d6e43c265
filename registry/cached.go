package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// CachedImage is an image that came from upstream, or is on its way.
type CachedImage struct {
	Name   Name
	Digest digest.Digest
	Prefix string // of the rule that it came by
	Tags   []Tag
	Size   int64 // bytes of config and layers; 0 of one on its way
	// AskedAt is when upstream was last asked for one of its tags; zero if it never was.
	AskedAt time.Time
	// Pending says that it is not whole yet.
	Pending bool
}

// CachedImages lists the images of a registry that came from upstream and are whole, those
// after the given place ("" for the first page), at most limit. next is the value of after
// for the next page, "" if there is none.
func (s *Service) CachedImages(ctx context.Context, id ID, after string, limit int) (page []CachedImage, next string, err error) {
	sel := table.Select{Prefix: []string{id.Account, id.Region}, Limit: limit}
	if repo, d, ok := strings.Cut(after, "/"); ok {
		sel.After = []string{repo, d}
	}
	err = s.view(ctx, func(r storage.Reader) error {
		page, next = nil, ""
		n := 0
		for f, err := range mirroredImages.Scan(r, sel) {
			if err != nil {
				return err
			}
			if n++; n == limit {
				next = f.Key[2] + "/" + f.Key[3]
			}
			img, ok, err := cachedImage(r, f)
			if err != nil {
				return err
			}
			if ok {
				page = append(page, img)
			}
		}
		return nil
	})
	return page, next, err
}

// cachedImage is what there is to say of one; ok is false if its repository is gone.
func cachedImage(rd storage.Reader, f table.Found[mirroredImageRow]) (img CachedImage, ok bool, err error) {
	name := Name{ID{f.Key[0], f.Key[1]}, f.Row.Repository}
	repo, err := find(rd, name)
	if CodeOf(err) == RepositoryNotFound || err == nil && repo.row.ID != f.Key[2] {
		return img, false, nil
	}
	if err != nil {
		return img, false, err
	}
	d, err := digest.Parse(f.Key[3])
	if err != nil {
		return img, false, fmt.Errorf("key of an image of upstream's: %w", err)
	}
	found, err := repo.image(rd, Ref{Digest: d})
	if err != nil {
		return img, false, err
	}
	img = CachedImage{Name: name, Digest: d, Prefix: f.Row.Prefix, Size: found.row.Size}
	if img.Tags, err = repo.tagsOf(rd, d, "", 0); err != nil {
		return img, false, err
	}
	for _, tag := range img.Tags {
		said, err := mirroredTags.Get(rd, repo.key(tag.s)...)
		if ignoreNotFound(err) != nil {
			return img, false, err
		}
		if said.AskedAt.After(img.AskedAt) {
			img.AskedAt = said.AskedAt
		}
	}
	return img, true, nil
}

// AwaitWhole waits until an image that upstream gave is whole. The error is a refusal with
// the code ImageNotFound if it was given up.
func (s *Service) AwaitWhole(ctx context.Context, name Name, d digest.Digest) error {
	return s.await(ctx, func() (bool, error) {
		_, pending, err := s.Pending(ctx, name, d)
		if err != nil || pending {
			return false, err
		}
		_, err = s.DescribeImage(ctx, name, Ref{Digest: d})
		return err == nil, err
	})
}

// Purged is what Purge removed.
type Purged struct {
	Images, Pending int
	Bytes           int64 // of the images, a layer counted for each that uses it
}

// Purge removes from a repository the images that came from upstream, or the one that ref
// names, as a deletion does, and gives up those on their way. Images stay that have a tag
// which was pushed, that a list which stays needs, or that are protected.
// Refusals: RepositoryNotFound, ImageNotFound.
func (s *Service) Purge(ctx context.Context, name Name, ref Ref) (done Purged, err error) {
	list, err := s.purgeable(ctx, name, ref)
	if err != nil {
		return done, err
	}
	for progress := true; progress && len(list) > 0; {
		var left []CachedImage
		progress = false
		for _, img := range list {
			err := s.purgeCached(ctx, img)
			switch code := CodeOf(err); {
			case code == ImageReferenced:
				left = append(left, img)
			case code == Protected || code == ImageNotFound:
			case err != nil:
				return done, err
			case img.Pending:
				done.Pending++
				progress = true
			default:
				done.Images++
				done.Bytes += img.Size
				progress = true
			}
		}
		list = left
	}
	return done, nil
}

func (s *Service) purgeCached(ctx context.Context, img CachedImage) error {
	if !img.Pending {
		_, err := s.DeleteImage(ctx, img.Name, Ref{Digest: img.Digest}, nil)
		return err
	}
	p, ok, err := s.Pending(ctx, img.Name, img.Digest)
	if err != nil || !ok {
		return err
	}
	return s.DropPending(ctx, p, "it was purged")
}

// purgeable are the images that a purge is about.
func (s *Service) purgeable(ctx context.Context, name Name, ref Ref) (list []CachedImage, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		list = nil
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		var only digest.Digest
		if ref != (Ref{}) {
			if only, err = repo.cachedDigest(r, ref); err != nil {
				return err
			}
		}
		for f, err := range mirroredImages.Scan(r, table.Select{Prefix: repo.key()}) {
			if err != nil {
				return err
			}
			img, ok, err := cachedImage(r, f)
			if err != nil {
				return err
			}
			pushed, err := repo.hasPushed(r, img)
			if err != nil {
				return err
			}
			if ok && !pushed && (only.IsZero() || only == img.Digest) {
				list = append(list, img)
			}
		}
		for f, err := range pendings.Scan(r, table.Select{Prefix: repo.key()}) {
			if err != nil {
				return err
			}
			d, err := digest.Parse(f.Key[3])
			if err != nil {
				return err
			}
			if only.IsZero() || only == d {
				list = append(list, CachedImage{Name: name, Digest: d, Prefix: f.Row.Prefix, Pending: true})
			}
		}
		return nil
	})
	return list, err
}

// cachedDigest is the digest that is meant, also of an image on its way.
func (r repository) cachedDigest(rd storage.Reader, ref Ref) (digest.Digest, error) {
	img, err := r.image(rd, ref)
	if CodeOf(err) != ImageNotFound {
		return img.digest, err
	}
	if ref.Tag.IsZero() {
		return ref.Digest, nil
	}
	said, missing := mirroredTags.Get(rd, r.key(ref.Tag.s)...)
	if errors.Is(missing, storage.ErrNotFound) {
		return digest.Digest{}, err
	}
	return said.Digest, missing
}

// hasPushed says whether an image has a tag that upstream did not give it.
func (r repository) hasPushed(rd storage.Reader, img CachedImage) (bool, error) {
	for _, tag := range img.Tags {
		said, err := mirroredTags.Get(rd, r.key(tag.s)...)
		if errors.Is(err, storage.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if said.Digest != img.Digest && said.Was != img.Digest {
			return true, nil
		}
	}
	return false, nil
}
