package admin

import (
	"cmp"
	"context"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// The calls about sizes. Lists come in pages.
var (
	ShowSizes            = Call[None, StoreUsage]{"show-sizes"}
	ListRepositoriesUsed = Call[UsageQuestion, RepositoriesUsage]{"list-sizes-of-repositories"}
	ListImagesUsed       = Call[UsageQuestion, ImagesUsage]{"list-sizes-of-images"}
)

// UsageQuestion asks for a page of sizes.
type UsageQuestion struct {
	Account    string `json:"account,omitempty"`    // "" means the server's own
	Region     string `json:"region,omitempty"`     // "" means the server's own
	Repository string `json:"repository,omitempty"` // whose images
	After      string `json:"after,omitempty"`      // the Next of the page before
}

// Usage is how much something has, in bytes. docs/sizes.md says what is counted where.
type Usage struct {
	Images      int64 `json:"images"`
	Logical     int64 `json:"logical"`
	Unique      int64 `json:"unique"`
	Shared      int64 `json:"shared"`
	Physical    int64 `json:"physical"`
	Pending     int64 `json:"pending"`
	TrashImages int64 `json:"trashImages"`
	Trash       int64 `json:"trash"`
}

// StoreUsage is how much a server has.
type StoreUsage struct {
	Account    string          `json:"account"` // of the server's own registry, as Region
	Region     string          `json:"region"`
	Physical   int64           `json:"physical"` // all of it
	Layers     int64           `json:"layers"`
	Manifests  int64           `json:"manifests"`
	Uploads    int64           `json:"uploads"`
	Condemned  int64           `json:"condemned"` // about to be deleted
	Registries []RegistryUsage `json:"registries"`
}

// RegistryUsage is how much a registry has.
type RegistryUsage struct {
	Account      string `json:"account"`
	Region       string `json:"region"`
	Repositories int    `json:"repositories"`
	Usage
}

// RepositoriesUsage is a page of repositories.
type RepositoriesUsage struct {
	Repositories []RepositoryUsage `json:"repositories"`
	Next         string            `json:"next,omitempty"` // "" for the last page
}

// RepositoryUsage is how much a repository has.
type RepositoryUsage struct {
	Account    string `json:"account"`
	Region     string `json:"region"`
	Repository string `json:"repository"`
	Usage
}

// ImagesUsage is a page of images, with their repository.
type ImagesUsage struct {
	Repository RepositoryUsage `json:"repository"`
	Images     []ImageUsage    `json:"images"`
	Next       string          `json:"next,omitempty"` // "" for the last page
}

// ImageUsage is how much an image has.
type ImageUsage struct {
	Digest   string    `json:"digest"`
	Tags     []string  `json:"tags"`
	Status   string    `json:"status"`
	PushedAt time.Time `json:"pushedAt"`
	Logical  int64     `json:"logical"`
	Unique   int64     `json:"unique"`
	Shared   int64     `json:"shared"`
}

func (c *Clerk) answerSizes(all answers) {
	answered(all, ShowSizes, c.showSizes)
	answered(all, ListRepositoriesUsed, c.listRepositoriesUsed)
	answered(all, ListImagesUsed, c.listImagesUsed)
}

func (c *Clerk) showSizes(ctx context.Context, _ None) (StoreUsage, error) {
	s, err := c.Registry(ctx)
	if err != nil {
		return StoreUsage{}, err
	}
	of, list, err := s.StoreSizes(ctx)
	return StoreUsage{
		Account: c.Account, Region: c.Region,
		Physical: of.Physical(), Layers: of.Contents, Manifests: of.Manifests, Uploads: of.Uploads, Condemned: of.Condemned,
		Registries: each(list, func(r registry.RegistrySizes) RegistryUsage {
			return RegistryUsage{r.ID.Account, r.ID.Region, r.Repositories, usage(r.Sizes)}
		}),
	}, err
}

func usage(s registry.Sizes) Usage {
	return Usage{
		Images: s.Images, Logical: s.Logical, Unique: s.Unique, Shared: s.Shared(), Physical: s.Physical,
		Pending: s.Pending, TrashImages: s.TrashImages, Trash: s.Trash,
	}
}

func (c *Clerk) usageOf(of registry.RepositorySizes) RepositoryUsage {
	id := of.Name.ID()
	return RepositoryUsage{id.Account, id.Region, of.Name.String(), usage(of.Sizes)}
}

// usagePage is how many repositories or images are in a page.
const usagePage = 200

func (c *Clerk) listRepositoriesUsed(ctx context.Context, q UsageQuestion) (RepositoriesUsage, error) {
	s, id, err := c.inRegistry(ctx, q)
	if err != nil {
		return RepositoriesUsage{}, err
	}
	list, more, err := s.SizesOfRepositories(ctx, id, q.After, usagePage)
	page := RepositoriesUsage{Repositories: each(list, c.usageOf)}
	if more {
		page.Next = list[len(list)-1].Name.String()
	}
	return page, err
}

func (c *Clerk) inRegistry(ctx context.Context, q UsageQuestion) (*registry.Service, registry.ID, error) {
	s, err := c.Registry(ctx)
	if err != nil {
		return nil, registry.ID{}, err
	}
	id, err := registry.ParseID(c.account(q.Account), cmp.Or(q.Region, c.Region))
	return s, id, err
}

func (c *Clerk) listImagesUsed(ctx context.Context, q UsageQuestion) (page ImagesUsage, err error) {
	s, id, err := c.inRegistry(ctx, q)
	if err != nil {
		return page, err
	}
	name, err := registry.ParseName(id, q.Repository)
	if err != nil {
		return page, err
	}
	of, err := s.RepositorySizes(ctx, name)
	if err != nil {
		return page, err
	}
	list, next, err := s.SizesOfImages(ctx, name, q.After, usagePage)
	return ImagesUsage{c.usageOf(registry.RepositorySizes{Name: name, Sizes: of}), each(list, imageUsage), next}, err
}

func imageUsage(i registry.ImageSizes) ImageUsage {
	return ImageUsage{
		Digest: i.Digest.String(), Tags: each(i.Tags, registry.Tag.String), Status: string(i.Status), PushedAt: i.PushedAt,
		Logical: i.Logical, Unique: i.Unique, Shared: i.Shared(),
	}
}
