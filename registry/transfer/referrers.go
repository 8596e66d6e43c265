package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/peer"
)

// standsFor is the subject whose referrers an index under a tag names, in registries
// without an API for that (distribution-spec v1.1, "Referrers Tag Schema").
func standsFor(tag string) (digest.Digest, bool) {
	d, err := digest.Parse(strings.Replace(tag, "-", ":", 1))
	return d, err == nil && !isDigest(tag)
}

// subject copies an image and what refers to it in place of a tag that stands for
// that: the target has its own way.
func (c *copier) subject(ctx context.Context, j *job, m peer.Manifest, s *share) error {
	if c.NoReferrers || c.Platform != "" {
		return nil
	}
	if err := c.put(ctx, j, m, s, 0); err != nil {
		return err
	}
	return c.referrers(ctx, j, m, s)
}

// referrers copies what refers to an image or to a part of it: by the API or the tag
// that stands for it, and by the tags that cosign gives.
func (c *copier) referrers(ctx context.Context, j *job, m peer.Manifest, s *share) error {
	f := &following{copier: c, job: j, share: s, seen: map[digest.Digest]bool{}}
	return f.manifest(ctx, m, 0)
}

// following is the search for what refers to an image.
type following struct {
	*copier
	job   *job
	share *share
	seen  map[digest.Digest]bool
}

// manifest copies what refers to a manifest and to its parts.
func (f *following) manifest(ctx context.Context, m peer.Manifest, depth int) error {
	if err := f.digest(ctx, m.Digest, depth); err != nil {
		return err
	}
	parsed, err := manifest.Parse(m.MediaType, m.Body)
	if err != nil {
		return nil // it was said when it was put
	}
	for _, child := range parsed.Manifests {
		if (manifest.Manifest{MediaType: child.MediaType}).IsIndex() && depth < maxDepth {
			body, err := f.read(ctx, f.job, child.Digest.String())
			if err == nil {
				err = f.manifest(ctx, body, depth+1)
			}
			if err != nil && !isGone(err) {
				return err
			}
		} else if err := f.digest(ctx, child.Digest, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// digest copies what refers to a digest.
func (f *following) digest(ctx context.Context, d digest.Digest, depth int) error {
	if f.seen[d] || depth > maxDepth {
		return nil
	}
	f.seen[d] = true
	found, err := f.From.Referrers(ctx, f.job.from, d)
	if err != nil && !isGone(err) {
		if err = f.denied(f.job.from, "what refers to images", err); err != nil {
			return fmt.Errorf("what refers to %s: %w", d, err)
		}
	}
	for _, one := range found {
		if err := f.one(ctx, one.Digest.String(), "", depth); err != nil {
			return err
		}
	}
	if !f.job.explicit {
		return nil // cosign's tags are among all
	}
	name := string(d.Algorithm()) + "-" + d.Encoded()
	for _, kind := range []string{".sig", ".att", ".sbom"} { // cosign's, with which it signs where there are no referrers
		if err := f.one(ctx, name+kind, name+kind, depth); err != nil {
			return err
		}
	}
	return nil
}

// one copies one that refers to another, if it is there, and what refers to it. Some
// registries deny what is not there.
func (f *following) one(ctx context.Context, ref, tag string, depth int) error {
	m, err := f.read(ctx, f.job, ref)
	if isGone(err) || tag != "" && errors.Is(err, peer.ErrDenied) {
		return nil
	}
	if err == nil {
		err = f.put(ctx, f.job, m, f.share, 0)
	}
	if err == nil && tag != "" {
		err = f.retag(ctx, f.job, tag, m)
	}
	if err != nil {
		return fmt.Errorf("what refers to it, %s: %w", ref, err)
	}
	return f.manifest(ctx, m, depth+1)
}

// retag gives a manifest a tag unless it has it.
func (c *copier) retag(ctx context.Context, j *job, tag string, m peer.Manifest) error {
	if there, err := c.To.Head(ctx, j.to, tag); err == nil && there.Digest == m.Digest {
		return nil
	}
	return c.push(ctx, j, tag, m)
}
