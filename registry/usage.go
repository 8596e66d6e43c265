package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// RepositorySizes are the sizes of a repository.
type RepositorySizes struct {
	Name Name
	Sizes
}

// SizesOfRepositories lists the sizes of a registry's repositories in byte order of
// name, those after the given one ("" for the first page), at most limit. more says
// that there are others. Refusal: PageInvalid.
func (s *Service) SizesOfRepositories(ctx context.Context, id ID, after string, limit int) (page []RepositorySizes, more bool, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		var repos []repository
		repos, more, err = pageOf(repositories.Scan(r, id.selectAfter(after, limit)), limit, func(f table.Found[repositoryRow]) repository {
			return repository{Name{id, f.Key[2]}, f.Row}
		})
		page = nil
		for _, repo := range repos {
			row, rowErr := repositorySizes.Get(r, repo.row.ID)
			err = errors.Join(err, ignoreNotFound(rowErr))
			page = append(page, RepositorySizes{repo.name, row.public()})
		}
		return err
	})
	return page, more, err
}

// RepositorySizes are the sizes of one repository. Refusal: RepositoryNotFound.
func (s *Service) RepositorySizes(ctx context.Context, name Name) (of Sizes, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		row, err := repositorySizes.Get(r, repo.row.ID)
		of = row.public()
		return ignoreNotFound(err)
	})
	return of, err
}

// RegistrySizes are the sizes of a registry.
type RegistrySizes struct {
	ID ID
	Sizes
	Repositories int
}

// StoreSizes are the sizes of the whole store, and of each registry that has
// repositories or what is left of them, in order of account and region.
func (s *Service) StoreSizes(ctx context.Context) (of StoreSizes, list []RegistrySizes, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		row, err := storeSizes.Get(r, storeSizesKey)
		if ignoreNotFound(err) != nil {
			return err
		}
		of = StoreSizes{Contents: row.Contents, Condemned: row.Condemned, Uploads: row.Uploads}
		list, err = sizesOfRegistries(r)
		for _, reg := range list {
			of.Manifests += reg.manifests
		}
		return err
	})
	return of, list, err
}

// sizesOfRegistries are those of registries that have been in use.
func sizesOfRegistries(rd storage.Reader) (list []RegistrySizes, err error) {
	for f, err := range registries.Scan(rd, table.Select{}) {
		if err != nil {
			return nil, err
		}
		row, err := registrySizes.Get(rd, f.Key...)
		if ignoreNotFound(err) != nil {
			return nil, err
		}
		if f.Row.Repositories == 0 && row == (sizeRow{}) {
			continue
		}
		list = append(list, RegistrySizes{ID{f.Key[0], f.Key[1]}, row.public(), f.Row.Repositories})
	}
	return list, nil
}

// ImageSizes are how much an image has, in bytes.
type ImageSizes struct {
	Image
	// Logical is its manifest and the layers that it uses, each once. An index does
	// not count the images that it names.
	Logical int64
	// Unique is the part of it that no other image of the repository uses: the
	// manifest, and those layers.
	Unique int64
}

// Shared is the part of Logical that other images of the repository use too.
func (s ImageSizes) Shared() int64 { return s.Logical - s.Unique }

// SizesOfImages lists the sizes of a repository's images in sight, whatever their
// status, with their tags, in byte order of digest, those after the given digest (""
// for the first page), at most limit. next is as for Images. Refusals:
// RepositoryNotFound, PageInvalid.
func (s *Service) SizesOfImages(ctx context.Context, name Name, after string, limit int) (page []ImageSizes, next string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		page = nil
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		next, err = repo.eachImage(r, after, limit, func(img stored) (bool, error) {
			of, err := repo.imageSizes(r, img)
			page = append(page, of)
			return len(page) < limit, err
		})
		return err
	})
	return page, next, err
}

func (r repository) imageSizes(rd storage.Reader, img stored) (of ImageSizes, err error) {
	of = ImageSizes{Image: img.row.public(r.name, img.digest), Logical: img.row.logical(), Unique: img.row.ManifestSize}
	if of.Tags, err = r.tagsOf(rd, img.digest, "", 0); err != nil {
		return of, err
	}
	refs, err := r.references(rd, img, usesBy(img.row.status()))
	if err != nil {
		return of, err
	}
	for _, layer := range refs.blobs {
		alone, err := r.usesAlone(rd, layer, img)
		if err != nil {
			return of, err
		}
		if !alone {
			continue
		}
		row, err := held.Get(rd, r.key(layer.String())...)
		if err != nil {
			return of, fmt.Errorf("layer %s of image %s: %w", layer, img.digest, err)
		}
		of.Unique += row.Size
	}
	return of, nil
}

// usesAlone says whether an image uses a layer and no other image in sight does.
func (r repository) usesAlone(rd storage.Reader, layer digest.Digest, img stored) (bool, error) {
	uses := false
	for _, status := range []ImageStatus{Active, Archived} {
		for f, err := range usesBy(status).Scan(rd, table.Select{Prefix: r.key(layer.String()), Limit: 2}) {
			if err != nil || f.Key[4] != img.digest.String() {
				return false, err
			}
			uses = true
		}
	}
	return uses, nil
}
