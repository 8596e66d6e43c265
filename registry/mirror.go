package registry

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Mirror asks the upstreams of pull-through rules. Its refusals have the codes
// UpstreamUnavailable, UpstreamTooMany and UpstreamDenied, ImageNotFound where upstream
// does not have what was asked for, and LayerNotFound.
type Mirror interface {
	// Bring asks upstream for an image and notes what it says, by KeepBrought or
	// NoteUnchanged; news says that it was the former. It returns ErrMayNotImport if the caller may not have anything brought.
	Bring(ctx context.Context, b Bringing) (news bool, err error)
	// OpenLayer opens a layer that is on its way, or starts it; reads wait for what has
	// not come yet. The reader is the caller's to close.
	OpenLayer(ctx context.Context, p PendingLayer) (io.ReadSeekCloser, error)
	// FetchLayer is OpenLayer for who waits until the layer is kept.
	FetchLayer(ctx context.Context, p PendingLayer) error
	// Expects says whether a layer may be counted on: not if its last fetch failed.
	Expects(p PendingLayer) bool
	// Referrers brings the referrers of an image that upstream has and this registry does not.
	Referrers(ctx context.Context, name Name, from Source, subject digest.Digest) error
	// Validate logs in to the upstream of a rule.
	Validate(ctx context.Context, id ID, rule PullThroughRule) error
	// Served counts an answer: whether all of it was here, and whether it may be stale.
	Served(id ID, rule PullThroughRule, as Serving)
}

// Serving is how a pull of a mirrored image was answered.
type Serving int

// The ways.
const (
	ServedHit   Serving = iota // upstream was not asked, or had nothing new
	ServedMiss                 // it had
	ServedStale                // it could not be asked
)

// Bringing is what is to be brought from upstream.
type Bringing struct {
	Name Name
	From Source
	Ref  Ref
	// Known is what is known here of the tag already; zero if nothing is.
	Known digest.Digest
	// Missing says that the repository is not there, so that the caller must be allowed to
	// make it.
	Missing bool
}

// ErrMayNotImport says that the caller may not have images brought from upstream.
var ErrMayNotImport = errors.New("the caller may not have images brought from upstream")

// SetMirror has pull-through rules obeyed. It must come before any request; without it
// rules are kept, and nothing is asked of upstreams.
func (s *Service) SetMirror(m Mirror) { s.mirror = m }

// standing is how what a pull names stands to upstream.
type standing struct {
	covered bool // by a rule
	from    Source
	missing bool          // the repository is
	pending digest.Digest // the pending image that is meant, zero if there is none
	here    bool          // there is an image of that name
	settled bool          // upstream's word would change nothing: a digest, an immutable tag, or one that was pushed here
	said    mirroredTagRow
}

// isDue says whether upstream is to be asked.
func (st standing) isDue(now time.Time, revalidate time.Duration) bool {
	switch {
	case !st.covered || st.here && st.settled:
		return false
	case !st.here && st.pending.IsZero():
		return true
	}
	return !st.settled && now.Sub(st.said.AskedAt) >= revalidate
}

func (s *Service) standingOf(ctx context.Context, name Name, ref Ref) (standing, error) {
	ruled, err := s.ruled.Get(name.id, func() (ruled bool, err error) {
		err = s.view(ctx, func(r storage.Reader) error {
			n, err := countRows(pullThroughRules.Scan(r, table.Select{Prefix: []string{name.id.Account, name.id.Region}, Limit: 1}))
			ruled = n > 0
			return err
		})
		return ruled, err
	})
	if err != nil || !ruled {
		return standing{}, err
	}
	return s.standings.Get(named{name, ref}, func() (st standing, err error) {
		err = s.view(ctx, func(r storage.Reader) (err error) {
			st, err = lookUpStanding(r, name, ref)
			return err
		})
		return st, err
	})
}

func lookUpStanding(rd storage.Reader, name Name, ref Ref) (st standing, err error) {
	st.from, st.covered, err = sourceOf(rd, name)
	if err != nil || !st.covered || ref == (Ref{}) {
		return st, err
	}
	repo, err := find(rd, name)
	if CodeOf(err) == RepositoryNotFound {
		st.missing, st.settled = true, ref.Tag.IsZero()
		return st, nil
	}
	if err != nil {
		return st, err
	}
	if ref.Tag.IsZero() {
		return st.ofDigest(rd, repo, ref.Digest)
	}
	return st.ofTag(rd, repo, ref.Tag)
}

func (st standing) ofDigest(rd storage.Reader, repo repository, d digest.Digest) (_ standing, err error) {
	st.settled = true
	if st.here, err = images.Has(rd, repo.key(d.String())...); err != nil || st.here {
		return st, err
	}
	pending, err := pendings.Has(rd, repo.key(d.String())...)
	if pending {
		st.pending = d
	}
	return st, err
}

func (st standing) ofTag(rd storage.Reader, repo repository, tag Tag) (_ standing, err error) {
	now, err := tags.Get(rd, repo.key(tag.s)...)
	if ignoreNotFound(err) != nil {
		return st, err
	}
	st.here = err == nil
	st.said, err = mirroredTags.Get(rd, repo.key(tag.s)...)
	if errors.Is(err, storage.ErrNotFound) {
		st.settled = st.here // it was pushed
		return st, nil
	}
	if err != nil {
		return st, err
	}
	if st.here {
		pushed := now.Digest != st.said.Digest && now.Digest != st.said.Was
		st.settled = pushed || (TagRule{repo.row.Mutability, repo.row.Exclusions}).Immutable(tag)
		if st.settled || now.Digest == st.said.Digest {
			return st, nil
		}
	}
	pending, err := pendings.Has(rd, repo.key(st.said.Digest.String())...)
	if pending {
		st.pending = st.said.Digest
	}
	return st, err
}

// found is an image that can be pulled, with its manifest where that is asked for.
type found struct {
	image Image
	body  []byte
	of    repository // of a pending image; the pull of any other one has been noted
}

// pull answers a pull. here looks for the image in this registry alone. Where a rule says
// that it is upstream's, and it is not here or its tag was not asked for in a while,
// upstream is asked first.
func (s *Service) pull(ctx context.Context, name Name, ref Ref, here func() (found, error)) (found, error) {
	got, err := here()
	code := CodeOf(err)
	absent := code == RepositoryNotFound || code == ImageNotFound || code == TagMismatch
	if s.mirror == nil || err == nil && ref.Tag.IsZero() || err != nil && !absent {
		return got, err
	}
	st, failed := s.standingOf(ctx, name, ref)
	switch {
	case failed != nil:
		return got, failed
	case !st.covered || st.here && st.settled && err == nil:
		return got, err
	case st.here && st.settled: // since the first look
		return here()
	}
	as := ServedHit
	var why error
	if st.isDue(s.now(), s.live.Load().Revalidate) {
		as, why = s.bring(ctx, name, ref, st)
		if st, failed = s.standingOf(ctx, name, ref); failed != nil {
			return got, failed
		}
	}
	if !st.pending.IsZero() {
		got, err = s.pendingImage(ctx, name, st.pending, ref)
	} else {
		got, err = here() // after the look at what is pending, which may have become whole
	}
	if err != nil {
		if why != nil && !errors.Is(why, ErrMayNotImport) && CodeOf(why) != ImageNotFound && CodeOf(err) != TagMismatch {
			return found{}, why
		}
		return found{}, err
	}
	got.image.Stale = as == ServedStale
	s.mirror.Served(name.id, st.from.Rule, as)
	return got, nil
}

// bring asks upstream. why is its refusal, or the fault that kept it from being asked.
func (s *Service) bring(ctx context.Context, name Name, ref Ref, st standing) (as Serving, why error) {
	b := Bringing{Name: name, From: st.from, Ref: ref, Known: st.said.Digest, Missing: st.missing}
	if !st.here && st.pending.IsZero() {
		b.Known = digest.Digest{}
	}
	switch news, err := s.mirror.Bring(ctx, b); {
	case err == nil && news:
		return ServedMiss, nil
	case err == nil:
		return ServedHit, nil
	case errors.Is(err, ErrMayNotImport):
		return ServedHit, err
	default:
		if CodeOf(err) == "" && ctx.Err() == nil {
			s.log.Warn("upstream could not be asked", "repository", name, "upstream", st.from.Rule.UpstreamHost, "error", err)
		}
		return ServedStale, err
	}
}

// pendingImage is an image that is not whole, with its manifest. Its layers can be read.
func (s *Service) pendingImage(ctx context.Context, name Name, d digest.Digest, ref Ref) (f found, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		f.of = repo
		if !ref.Digest.IsZero() && ref.Digest != d {
			e := refuse(TagMismatch, "tag %q of %q does not name %s", ref.Tag, name, ref.Digest)
			e.Name, e.Ref = name, ref
			return e
		}
		row, err := pendings.Get(r, repo.key(d.String())...)
		if errors.Is(err, storage.ErrNotFound) { // it is whole since
			img, err := repo.image(r, Ref{Digest: d})
			if err != nil {
				return err
			}
			f.image = img.row.public(name, d)
			f.body, err = repo.manifest(r, img)
			return err
		}
		if err != nil {
			return err
		}
		f.image = Image{Name: name, Digest: d, MediaType: row.MediaType, ManifestSize: row.Size, PushedAt: row.At, Status: Active}
		f.body, err = repo.pendingBytes(r, d)
		if err != nil {
			return err
		}
		m, err := manifest.Parse(row.MediaType, f.body)
		if m.Subject != nil {
			f.image.Subject = m.Subject.Digest
		}
		return err
	})
	return f, err
}

// pendingLayer finds a layer of an image that is not whole. ok is false if no such image
// needs it.
func (s *Service) pendingLayer(ctx context.Context, name Name, d digest.Digest) (p PendingLayer, ok bool, err error) {
	if s.mirror == nil {
		return p, false, nil
	}
	err = s.view(ctx, func(r storage.Reader) error {
		p, ok = PendingLayer{}, false
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		for f, err := range pendingLayers.Scan(r, table.Select{Prefix: repo.key(d.String()), Limit: 1}) {
			if err != nil {
				return err
			}
			row, err := pendings.Get(r, repo.key(f.Key[4])...)
			if err != nil {
				return ignoreNotFound(err)
			}
			p, ok = PendingLayer{name, repo.row.ID, d, f.Row.Size, row.Prefix, row.Upstream}, true
		}
		return nil
	})
	return p, ok, err
}

// openPending opens a layer that is on its way; missing is why it is not here.
func (s *Service) openPending(ctx context.Context, name Name, d digest.Digest, missing error) (Layer, io.ReadSeekCloser, error) {
	p, ok, err := s.pendingLayer(ctx, name, d)
	if err != nil {
		return Layer{}, nil, err
	}
	if !ok {
		// It is here if its image became whole since the look for it.
		if _, _, err := s.locate(ctx, name, d); err != nil {
			return Layer{}, nil, missing
		}
		return s.OpenLayer(ctx, name, d)
	}
	r, err := s.mirror.OpenLayer(ctx, p)
	if errors.Is(err, ErrCome) {
		return s.OpenLayer(ctx, name, d)
	}
	return Layer{Digest: d, Size: p.Size}, r, err
}

// IsDue says whether upstream is to be asked for an image now. Whoever had it asked a
// moment ago has settled it for those who found that it is to be asked.
func (s *Service) IsDue(ctx context.Context, name Name, ref Ref) (bool, error) {
	st, err := s.standingOf(ctx, name, ref)
	return st.isDue(s.now(), s.live.Load().Revalidate), err
}

// IsMirrored says whether a repository, which need not be there, falls under a rule that
// is obeyed.
func (s *Service) IsMirrored(ctx context.Context, name Name) (bool, error) {
	if s.mirror == nil {
		return false, nil
	}
	st, err := s.standingOf(ctx, name, Ref{})
	return st.covered, err
}

// bringReferrers has the referrers brought that upstream has of an image. Without them
// the list is of those that are here.
func (s *Service) bringReferrers(ctx context.Context, name Name, subject digest.Digest) {
	if s.mirror == nil {
		return
	}
	st, err := s.standingOf(ctx, name, Ref{Digest: subject})
	if err == nil && st.covered && !st.missing {
		err = s.mirror.Referrers(ctx, name, st.from, subject)
	}
	if err != nil && !errors.Is(err, ErrMayNotImport) && ctx.Err() == nil {
		s.log.Warn("upstream could not be asked for referrers", "repository", name, "image", subject, "error", err)
	}
}

// awaitLayers waits for layers that are on their way from upstream: whoever pushes an
// image of them was told that they are here. It says whether all have come.
func (s *Service) awaitLayers(ctx context.Context, name Name, list []digest.Digest) bool {
	for _, d := range list {
		p, ok, err := s.pendingLayer(ctx, name, d)
		if err != nil {
			return false
		}
		if !ok {
			if _, _, err := s.locate(ctx, name, d); err != nil {
				return false
			}
			continue
		}
		if err := s.mirror.FetchLayer(ctx, p); err != nil {
			return false
		}
	}
	return true
}
