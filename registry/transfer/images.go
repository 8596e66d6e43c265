package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
)

const (
	maxDepth = 8 // of indexes in indexes, and of what refers to what refers to an image
	maxTries = 3 // of an image whose source or target is away for a moment
)

// image copies one image. An error of it is told of; it does not end the run.
func (c *copier) image(ctx context.Context, j *job, ref string) {
	share := c.tally.begin(j.from, ref)
	var err error
	for tries := 1; ; tries++ {
		err = c.bring(ctx, j, ref, share)
		if err == nil || tries == maxTries || !isAway(err) || remote.Wait(ctx, time.Duration(tries)*c.Pause) != nil {
			break
		}
	}
	if err != nil {
		c.tally.fail(ctx, j.from, ref, err)
	}
	c.tally.end(share, err)
	c.away(err)
}

// maxAway is how many images may fail one after the other because a registry is not
// there, before the run gives up.
const maxAway = 12

// away ends the run when the source or the target does not come back.
func (c *copier) away(err error) {
	if !isAway(err) {
		c.gone.Store(0)
	} else if c.gone.Add(1) == maxAway {
		c.giveUp(fmt.Errorf("given up, %d images one after the other: %w", maxAway, err))
	}
}

// isAway says that a registry cannot be asked for now.
func isAway(err error) bool {
	return errors.Is(err, peer.ErrUnavailable) || errors.Is(err, peer.ErrTooMany)
}

// bring copies an image under a reference, and what refers to it.
func (c *copier) bring(ctx context.Context, j *job, ref string, s *share) error {
	if subject, ok := standsFor(ref); ok {
		if m, err := c.read(ctx, j, subject.String()); err == nil {
			s.there = true
			return c.subject(ctx, j, m, s)
		}
	}
	m, err := c.read(ctx, j, ref)
	if err != nil {
		return err
	}
	if m, ref, err = c.chosen(ctx, j, m, ref); err != nil {
		return err
	}
	there, err := c.To.Head(ctx, j.to, ref)
	if err != nil && !isGone(err) {
		return fmt.Errorf("the target: %w", err)
	}
	if err == nil && there.Digest == m.Digest {
		s.there = true
	} else {
		if err := c.put(ctx, j, m, s, 0); err != nil {
			return err
		}
		if !isDigest(ref) {
			if err := c.push(ctx, j, ref, m); err != nil {
				return err
			}
		}
	}
	if c.NoReferrers || j.whole {
		return nil
	}
	return c.referrers(ctx, j, m, s)
}

// read reads a manifest from the source, and hashes it.
func (c *copier) read(ctx context.Context, j *job, ref string) (peer.Manifest, error) {
	m, err := c.From.Manifest(ctx, j.from, ref)
	if err != nil {
		return m, err
	}
	signed, err := manifest.Digested(m.MediaType, m.Body)
	if err != nil {
		return m, fmt.Errorf("%w: %w", peer.ErrWrong, err)
	}
	want := m.Digest
	if asked, err := digest.Parse(ref); err == nil {
		want = asked
	}
	if !want.Matches(signed) || m.Digest != want {
		return m, fmt.Errorf("%w: the bytes of manifest %s have another digest", peer.ErrWrong, want)
	}
	return m, nil
}

// put puts a manifest into the target with all that it needs, under its digest.
func (c *copier) put(ctx context.Context, j *job, m peer.Manifest, s *share, depth int) error {
	return c.manifests.do(ctx, place{j.to, m.Digest}, func() error {
		_, err := c.To.Head(ctx, j.to, m.Digest.String())
		if err == nil {
			return nil
		}
		if !isGone(err) {
			return fmt.Errorf("the target: %w", err)
		}
		parsed, err := manifest.Parse(m.MediaType, m.Body)
		if err != nil {
			return fmt.Errorf("manifest %s: %w: %w", m.Digest, peer.ErrWrong, err)
		}
		missing, err := c.children(ctx, j, parsed, s, depth)
		if err == nil {
			err = c.layers(ctx, j, parsed, s)
		}
		if err == nil {
			m.MediaType = parsed.MediaType
			err = c.push(ctx, j, m.Digest.String(), m)
		}
		return c.lacking(j, m.Digest, missing, err)
	})
}

// lacking tells of an index whose children are not all at the source: the target's
// rules say whether it takes that.
func (c *copier) lacking(j *job, d digest.Digest, missing []digest.Digest, err error) error {
	switch {
	case len(missing) == 0:
		return err
	case err != nil:
		return fmt.Errorf("%d of the manifests of index %s are not at the source (%s), and the target: %w", len(missing), d, missing[0], err)
	}
	c.tally.note("%s: %d of the manifests of index %s are not at the source (%s …)", j.from, len(missing), d, missing[0])
	return nil
}

// children copies the manifests of an index, and says which of them the source lacks.
func (c *copier) children(ctx context.Context, j *job, m manifest.Manifest, s *share, depth int) (missing []digest.Digest, err error) {
	if len(m.Manifests) > 0 && depth == maxDepth {
		return nil, fmt.Errorf("%w: indexes in indexes, more than %d deep", peer.ErrWrong, maxDepth)
	}
	for _, child := range m.Manifests {
		if _, err := c.To.Head(ctx, j.to, child.Digest.String()); err == nil {
			continue
		}
		body, err := c.read(ctx, j, child.Digest.String())
		if isGone(err) {
			missing = append(missing, child.Digest)
			continue
		}
		if err == nil && child.Size != int64(len(body.Body)) && !child.Unsized {
			err = fmt.Errorf("%w: manifest %s has %d bytes, and its index says %d", peer.ErrWrong, child.Digest, len(body.Body), child.Size)
		}
		if err == nil {
			err = c.put(ctx, j, body, s, depth+1)
		}
		if err != nil {
			return missing, err
		}
	}
	return missing, nil
}

// push names a manifest in the target.
func (c *copier) push(ctx context.Context, j *job, ref string, m peer.Manifest) error {
	if c.DryRun {
		return nil
	}
	if err := j.made(ctx); err != nil {
		return err
	}
	if err := c.To.PushManifest(ctx, j.to, ref, m.MediaType, m.Body); err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	c.tally.manifests.Add(1)
	return nil
}

// layers copies the blobs of an image side by side.
func (c *copier) layers(ctx context.Context, j *job, m manifest.Manifest, s *share) error {
	all := m.Layers
	if m.Config != nil {
		all = append([]manifest.Descriptor{*m.Config}, all...)
	}
	for _, d := range all {
		s.expect(d.Size)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var layers sync.WaitGroup
	for _, d := range all {
		layers.Go(func() {
			if err := c.blob(ctx, j, d, s); err != nil {
				cancel(err)
			}
		})
	}
	layers.Wait()
	return context.Cause(ctx)
}
