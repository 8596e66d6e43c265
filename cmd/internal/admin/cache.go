package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
)

// The calls about what came from upstreams.
var (
	ListCache  = Call[CachePlace, CachePage]{"list-cache"}
	WarmCache  = Call[CacheWhat, CacheWarmed]{"warm-cache"}
	PurgeCache = Call[CacheWhat, CachePurged]{"purge-cache"}
)

// CachePlace is a registry, and how far its list was read; After is "" for its beginning.
type CachePlace struct {
	InRegistry
	After string `json:"after,omitempty"`
}

// CachePage is a page of images that came from upstreams. Those on their way are on the
// first one.
type CachePage struct {
	Images []CachedImage `json:"images"`
	Next   string        `json:"next,omitempty"` // "" for the last page
}

// CachedImage is an image that came from upstream. Its JSON form is what `cache ls --json`
// prints.
type CachedImage struct {
	Repository string    `json:"repository"`
	Digest     string    `json:"imageDigest"`
	Tags       []string  `json:"imageTags"`
	Prefix     string    `json:"ecrRepositoryPrefix"` // of the rule that it came by
	Bytes      int64     `json:"bytes"`               // 0 while it is on its way
	AskedAt    time.Time `json:"askedAt,omitzero"`    // when upstream was last asked for a tag of it
	Pending    bool      `json:"pending,omitempty"`   // it is on its way
}

// CacheWhat is a repository, or an image as REPOSITORY@DIGEST or REPOSITORY:TAG.
type CacheWhat struct {
	InRegistry
	What string `json:"what"`
}

func (q CacheWhat) subject() string { return q.What }

// CacheWarmed is an image that was brought.
type CacheWarmed struct {
	Repository string `json:"repository"`
	Digest     string `json:"imageDigest"`
	Bytes      int64  `json:"bytes"`
	Stale      bool   `json:"stale,omitempty"` // upstream could not be asked
}

// CachePurged is what was removed.
type CachePurged struct {
	Repository string `json:"repository"`
	Images     int    `json:"images"`
	Pending    int    `json:"pending"` // images on their way that were given up
	Bytes      int64  `json:"bytes"`
}

func (c *Clerk) answerCache(all answers) {
	answered(all, ListCache, c.listCache)
	answered(all, WarmCache, c.warmCache)
	answered(all, PurgeCache, c.purgeCache)
}

// cachePage is how much a page lists at most.
const cachePage = 500

func (c *Clerk) listCache(ctx context.Context, q CachePlace) (page CachePage, err error) {
	id, err := c.registryID(q.InRegistry)
	if err != nil {
		return page, err
	}
	r, err := c.Registry(ctx)
	if err != nil {
		return page, err
	}
	page.Images = []CachedImage{}
	if q.After == "" {
		if page.Images, err = pendingImages(ctx, r, id); err != nil {
			return page, err
		}
	}
	list, next, err := r.CachedImages(ctx, id, q.After, cachePage)
	page.Images, page.Next = append(page.Images, each(list, cachedImage)...), next
	return page, err
}

func cachedImage(img registry.CachedImage) CachedImage {
	return CachedImage{
		Repository: img.Name.String(), Digest: img.Digest.String(), Tags: each(img.Tags, registry.Tag.String), Prefix: img.Prefix,
		Bytes: img.Size, AskedAt: img.AskedAt, Pending: img.Pending,
	}
}

// pendingImages are those of a registry on their way.
func pendingImages(ctx context.Context, r *registry.Service, id registry.ID) ([]CachedImage, error) {
	list := []CachedImage{}
	var after *registry.Pending
	for {
		page, err := r.Pendings(ctx, after, cachePage)
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			if p.Name.ID() == id {
				list = append(list, CachedImage{
					Repository: p.Name.String(), Digest: p.Digest.String(), Tags: append([]string{}, p.Tags...), Prefix: p.Prefix, Pending: true,
				})
			}
		}
		if len(page) < cachePage {
			return list, nil
		}
		after = &page[len(page)-1]
	}
}

// errNoMirror says that a store without a server asks no upstream.
var errNoMirror = errors.New("only a running server asks upstreams")

// warmCache pulls as the root of the account does: who can ask here may do everything.
func (c *Clerk) warmCache(ctx context.Context, q CacheWhat) (done CacheWarmed, err error) {
	name, ref, r, err := c.cached(ctx, q)
	if err != nil {
		return done, err
	}
	if ref == (registry.Ref{}) {
		return done, fmt.Errorf("an image is asked for, as %s:TAG or %s@DIGEST", name, name)
	}
	mirrored, err := r.IsMirrored(ctx, name)
	if err == nil && c.Writes == nil {
		err = errNoMirror
	}
	if err == nil && !mirrored {
		err = errors.New("no pull-through rule covers the repository")
	}
	if err != nil {
		return done, err
	}
	id := name.ID()
	ctx = auth.WithPrincipal(ctx, auth.Principal{
		Kind: auth.Root, Account: id.Account, UserID: id.Account, Region: id.Region, ARN: "arn:aws:iam::" + id.Account + ":root",
	})
	img, _, err := r.Manifest(ctx, name, ref)
	if err != nil {
		return done, err
	}
	if err := r.AwaitWhole(ctx, name, img.Digest); err != nil {
		return done, err
	}
	whole, err := r.DescribeImage(ctx, name, registry.Ref{Digest: img.Digest})
	return CacheWarmed{name.String(), img.Digest.String(), whole.Size, img.Stale}, err
}

func (c *Clerk) purgeCache(ctx context.Context, q CacheWhat) (CachePurged, error) {
	name, ref, r, err := c.cached(ctx, q)
	if err != nil {
		return CachePurged{}, err
	}
	done, err := r.Purge(ctx, name, ref)
	return CachePurged{name.String(), done.Images, done.Pending, done.Bytes}, err
}

// cached reads what a question is about.
func (c *Clerk) cached(ctx context.Context, q CacheWhat) (name registry.Name, ref registry.Ref, r *registry.Service, err error) {
	id, err := c.registryID(q.InRegistry)
	if err != nil {
		return name, ref, nil, err
	}
	if name, ref, err = parseImage(id, q.What); err != nil {
		return name, ref, nil, err
	}
	r, err = c.Registry(ctx)
	return name, ref, r, err
}
