package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Brought is a manifest that upstream gave.
type Brought struct {
	Name      Name
	From      Source
	MediaType string
	Body      []byte
	// Want is the digest that it must have.
	Want digest.Digest
	// Tag is what it was asked for by; zero if that was its digest.
	Tag Tag
	// MayCreate says that the repository is made if it is missing.
	MayCreate bool
}

// Pending is an image that upstream gave and that is not whole here yet. Until it is, it
// is no image to any call but pulls: see Manifest.
type Pending struct {
	Name         Name
	RepositoryID string
	Digest       digest.Digest
	Since        time.Time
	// Prefix is that of the rule that it came by, and Upstream the repository's name
	// there.
	Prefix, Upstream string
	Tags             []string
}

// PendingLayer is a layer of an image that is not whole here yet.
type PendingLayer struct {
	Name             Name
	RepositoryID     string
	Digest           digest.Digest
	Size             int64
	Prefix, Upstream string // as in Pending
}

func (row pendingRow) public(key []string, d digest.Digest) Pending {
	return Pending{
		Name: Name{ID{key[0], key[1]}, row.Repository}, RepositoryID: key[2], Digest: d, Since: row.At,
		Prefix: row.Prefix, Upstream: row.Upstream, Tags: row.Tags,
	}
}

// key is the key of the image's row.
func (p Pending) key() []string {
	return []string{p.Name.id.Account, p.Name.id.Region, p.RepositoryID, p.Digest.String()}
}

// KeepBrought notes what upstream gave: an image that is here gets the tag, unless that is
// immutable or was pushed meanwhile; any other is pending. What upstream says is checked
// as a push is. Refusals: those of PutImage for its manifest; RepositoryNotFound without
// MayCreate, TooManyRepositories.
func (s *Service) KeepBrought(ctx context.Context, b Brought) (Pending, error) {
	m, d, err := s.readPush(b.Name, Push{MediaType: b.MediaType, Body: b.Body, Want: b.Want})
	if err != nil {
		return Pending{}, err
	}
	if slices.ContainsFunc(blobsOf(m), func(b manifest.Descriptor) bool { return b.Unsized }) {
		return Pending{}, refuse(MediaTypeUnsupported, "an upstream image whose layers have no sizes cannot be kept: it is of a form before 2016")
	}
	var p Pending
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, b.Name)
		if CodeOf(err) == RepositoryNotFound && b.MayCreate {
			repo, err = s.createFor(ctx, tx, b.Name, ForPullThrough)
		}
		if err != nil {
			return err
		}
		row, err := s.noteBrought(tx, repo, b, m, d)
		p = row.public(repo.key(), d)
		p.Name = b.Name
		return err
	})
	return p, err
}

func (s *Service) noteBrought(tx storage.Tx, repo repository, b Brought, m manifest.Manifest, d digest.Digest) (pendingRow, error) {
	if err := s.noteAsked(tx, repo, b.Tag, d); err != nil {
		return pendingRow{}, err
	}
	if there, err := repo.hasTagged(tx, d, b.Tag); there || err != nil {
		return pendingRow{}, err
	}
	row, err := pendings.Get(tx, repo.key(d.String())...)
	if ignoreNotFound(err) != nil {
		return row, err
	}
	if tag := b.Tag.s; tag != "" && !slices.Contains(row.Tags, tag) {
		row.Tags = append(row.Tags, tag)
	}
	if err == nil {
		return row, pendings.Put(tx, row, repo.key(d.String())...)
	}
	if err := repo.checkPending(tx); err != nil {
		return row, err
	}
	row.Repository, row.Prefix, row.Upstream = b.Name.path, b.From.Rule.Prefix, b.From.Repository
	row.MediaType, row.Size, row.At = m.MediaType, int64(len(b.Body)), s.now().UTC()
	for n, rest := 0, b.Body; len(rest) > 0; n++ {
		size := min(len(rest), storage.MaxValue)
		if err := pendingChunks.Put(tx, rest[:size], repo.key(d.String(), chunkKey(n))...); err != nil {
			return row, err
		}
		rest = rest[size:]
	}
	for _, l := range wantedLayers(m) {
		if err := pendingLayers.Put(tx, pendingLayerRow{l.Size}, repo.key(l.Digest.String(), d.String())...); err != nil {
			return row, err
		}
	}
	return row, pendings.Put(tx, row, repo.key(d.String())...)
}

// checkPending checks that one image more may be on its way.
func (r repository) checkPending(rd storage.Reader) error {
	n, err := countRows(pendings.Scan(rd, table.Select{Prefix: r.key(), Limit: maxPending}))
	if err != nil || n < maxPending {
		return err
	}
	e := refuse(TooManyImages, "%d images of %q are on their way, as many as may be", maxPending, r.name)
	e.Name, e.Limit = r.name, maxPending
	return e
}

// hasTagged says whether an image is here, under a tag unless that is zero.
func (r repository) hasTagged(rd storage.Reader, d digest.Digest, tag Tag) (bool, error) {
	there, err := images.Has(rd, r.key(d.String())...)
	if err != nil || !there || tag.IsZero() {
		return there, err
	}
	now, err := tags.Get(rd, r.key(tag.s)...)
	return now.Digest == d, ignoreNotFound(err)
}

// noteAsked notes what upstream says of a tag.
func (s *Service) noteAsked(tx storage.Tx, repo repository, tag Tag, d digest.Digest) error {
	if tag.IsZero() {
		return nil
	}
	now, err := tags.Get(tx, repo.key(tag.s)...)
	if ignoreNotFound(err) != nil {
		return err
	}
	row := mirroredTagRow{Digest: d, Was: now.Digest, AskedAt: s.now().UTC()}
	return mirroredTags.Put(tx, row, repo.key(tag.s)...)
}

// wantedLayers are what a manifest needs of layers.
func wantedLayers(m manifest.Manifest) (list []manifest.Descriptor) {
	for _, b := range blobsOf(m) {
		if !b.Foreign && !b.Optional {
			list = append(list, b)
		}
	}
	return list
}

// NoteUnchanged notes that upstream says of a tag what it said before. Refusal:
// RepositoryNotFound.
func (s *Service) NoteUnchanged(ctx context.Context, name Name, tag Tag, d digest.Digest) error {
	return s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		row, err := mirroredTags.Get(tx, repo.key(tag.s)...)
		if err != nil || row.Digest != d {
			return ignoreNotFound(err)
		}
		row.AskedAt = s.now().UTC()
		return mirroredTags.Put(tx, row, repo.key(tag.s)...)
	})
}

// pendingBytes puts a pending manifest together.
func (r repository) pendingBytes(rd storage.Reader, d digest.Digest) (body []byte, err error) {
	for f, err := range pendingChunks.Scan(rd, table.Select{Prefix: r.key(d.String())}) {
		if err != nil {
			return nil, err
		}
		body = append(body, f.Row...)
	}
	return body, nil
}

// Lacking is what an image that is not whole needs of upstream.
type Lacking struct {
	Layers   []PendingLayer
	Children []digest.Digest // manifests that it lists
	Waiting  bool            // for some that it lists, which are pending themselves

	skipped []digest.Digest // that it lists, and that nobody waits for
}

// Bounds of what one upstream's lists bring about.
const (
	maxListed  = 1000   // images of a list that are brought with it; of longer ones none is
	maxPending = 10_000 // images of a repository that are on their way
)

// IsNone says that nothing is lacking.
func (l Lacking) IsNone() bool { return len(l.Layers)+len(l.Children) == 0 && !l.Waiting }

// CompletePending makes a pending image one of its repository's, with its tags and all
// that a push brings about, if nothing of it is lacking; else it says what is. One that
// is not pending any more, or whose repository is gone, lacks nothing. A refusal says
// that it cannot become one: see PutImage.
func (s *Service) CompletePending(ctx context.Context, p Pending) (lacking Lacking, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		lacking = Lacking{}
		repo, row, err := p.find(tx)
		if err != nil || row.At.IsZero() {
			return err
		}
		body, err := repo.pendingBytes(tx, p.Digest)
		if err != nil {
			return err
		}
		m, err := manifest.Parse(row.MediaType, body)
		if err != nil {
			return fmt.Errorf("manifest %s of %s was taken once: %w", p.Digest, repo.name, err)
		}
		if lacking, err = p.lacking(tx, repo, row, m); err != nil || !lacking.IsNone() {
			return err
		}
		row.Absent = append(row.Absent, lacking.skipped...)
		return s.settlePending(ctx, tx, repo, p, row, pushing{repo: repo, manifest: m, digest: p.Digest, sparse: true, Push: Push{Body: body}})
	})
	return lacking, err
}

// find looks a pending image up; its row is zero if it is not pending.
func (p Pending) find(rd storage.Reader) (repo repository, row pendingRow, err error) {
	repo, err = find(rd, p.Name)
	if CodeOf(err) == RepositoryNotFound || err == nil && repo.row.ID != p.RepositoryID {
		return repo, pendingRow{}, nil
	}
	if err != nil {
		return repo, row, err
	}
	row, err = pendings.Get(rd, p.key()...)
	return repo, row, ignoreNotFound(err)
}

func (p Pending) lacking(rd storage.Reader, repo repository, row pendingRow, m manifest.Manifest) (l Lacking, err error) {
	seen := map[digest.Digest]bool{}
	for _, b := range wantedLayers(m) {
		there, err := held.Has(rd, repo.key(b.Digest.String())...)
		if err == nil && there {
			var damaged bool
			damaged, err = damages.Has(rd, b.Digest.String())
			there = !damaged
		}
		if err != nil {
			return l, err
		}
		if !there && !seen[b.Digest] {
			seen[b.Digest] = true
			l.Layers = append(l.Layers, PendingLayer{p.Name, p.RepositoryID, b.Digest, b.Size, row.Prefix, row.Upstream})
		}
	}
	for _, c := range m.Manifests {
		there, err := images.Has(rd, repo.key(c.Digest.String())...)
		if err != nil {
			return l, err
		}
		if there || c.Optional || slices.Contains(row.Absent, c.Digest) {
			continue
		}
		if len(m.Manifests) > maxListed {
			l.skipped = append(l.skipped, c.Digest)
			continue
		}
		pending, err := pendings.Has(rd, repo.key(c.Digest.String())...)
		if err != nil {
			return l, err
		}
		if l.Waiting = l.Waiting || pending; !pending {
			l.Children = append(l.Children, c.Digest)
		}
	}
	return l, nil
}

// settlePending turns a pending image into an image.
func (s *Service) settlePending(ctx context.Context, tx storage.Tx, repo repository, p Pending, row pendingRow, push pushing) error {
	for _, name := range row.Tags {
		tag := Tag{name}
		ok, err := repo.mayRetag(tx, tag, p.Digest)
		if err != nil {
			return err
		}
		if ok {
			push.Tags = append(push.Tags, tag)
		}
	}
	there, err := images.Has(tx, p.key()...)
	if err != nil {
		return err
	}
	if _, err := s.put(ctx, tx, push); err != nil {
		return err
	}
	if !there {
		if err := mirroredImages.Put(tx, mirroredImageRow{repo.name.path, row.Prefix}, p.key()...); err != nil {
			return err
		}
	}
	for _, child := range row.Absent {
		if err := absentChildren.Put(tx, noRow{}, repo.key(child.String(), p.Digest.String())...); err != nil {
			return err
		}
	}
	if err := repo.removePending(tx, p.Digest, push.manifest); err != nil {
		return err
	}
	return s.recordSync(ctx, tx, repo, p, row, "SUCCESS", "")
}

// mayRetag says whether a tag is to name what upstream says it does: not if it is
// immutable, or was pushed since upstream was asked.
func (r repository) mayRetag(rd storage.Reader, tag Tag, d digest.Digest) (bool, error) {
	said, err := mirroredTags.Get(rd, r.key(tag.s)...)
	if err != nil || said.Digest != d { // upstream has another one meanwhile
		return false, ignoreNotFound(err)
	}
	now, err := tags.Get(rd, r.key(tag.s)...)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	case now.Digest == d:
		return true, nil
	}
	return now.Digest == said.Was && !(TagRule{r.row.Mutability, r.row.Exclusions}).Immutable(tag), nil
}

// removePending removes the rows of a pending image.
func (r repository) removePending(tx storage.Tx, d digest.Digest, m manifest.Manifest) error {
	for f, err := range pendingChunks.Scan(tx, table.Select{Prefix: r.key(d.String())}) {
		if err != nil {
			return err
		}
		if err := pendingChunks.Delete(tx, f.Key...); err != nil {
			return err
		}
	}
	for _, l := range wantedLayers(m) {
		if err := pendingLayers.Delete(tx, r.key(l.Digest.String(), d.String())...); err != nil {
			return err
		}
	}
	return pendings.Delete(tx, r.key(d.String())...)
}

// NoteAbsent notes that upstream does not have an image that a pending one lists: it is
// kept without.
func (s *Service) NoteAbsent(ctx context.Context, p Pending, child digest.Digest) error {
	return s.update(ctx, func(tx storage.Tx) error {
		_, row, err := p.find(tx)
		if err != nil || row.At.IsZero() || slices.Contains(row.Absent, child) {
			return err
		}
		row.Absent = append(row.Absent, child)
		return pendings.Put(tx, row, p.key()...)
	})
}

// DropPending gives a pending image up, and tells why. What of it is here is collected as
// layers are that no image uses.
func (s *Service) DropPending(ctx context.Context, p Pending, reason string) error {
	return s.update(ctx, func(tx storage.Tx) error {
		repo, row, err := p.find(tx)
		if err != nil || row.At.IsZero() {
			return err
		}
		body, err := repo.pendingBytes(tx, p.Digest)
		if err != nil {
			return err
		}
		m, err := manifest.Parse(row.MediaType, body)
		if err != nil {
			return err
		}
		for _, tag := range row.Tags {
			if err := repo.unsay(tx, tag, p.Digest); err != nil {
				return err
			}
		}
		if err := repo.removePending(tx, p.Digest, m); err != nil {
			return err
		}
		return s.recordSync(ctx, tx, repo, p, row, "FAILED", reason)
	})
}

// unsay forgets that upstream says that a tag names an image, and knows again what it said
// before.
func (r repository) unsay(tx storage.Tx, tag string, d digest.Digest) error {
	said, err := mirroredTags.Get(tx, r.key(tag)...)
	if err != nil || said.Digest != d {
		return ignoreNotFound(err)
	}
	if said.Was.IsZero() {
		return mirroredTags.Delete(tx, r.key(tag)...)
	}
	said.Digest, said.Was = said.Was, digest.Digest{}
	return mirroredTags.Put(tx, said, r.key(tag)...)
}

// recordSync writes the event that tells of a pending image's end, for each of its tags.
func (s *Service) recordSync(ctx context.Context, tx storage.Tx, repo repository, p Pending, row pendingRow, status, reason string) error {
	rule, err := pullThroughRules.Get(tx, repo.name.id.pullThroughKey(row.Prefix)...)
	if ignoreNotFound(err) != nil {
		return err
	}
	of := row.Tags
	if len(of) == 0 {
		of = []string{""}
	}
	for _, tag := range of {
		e := eventRow{Digest: p.Digest, MediaType: row.MediaType, Tag: tag, Detail: detail(SyncDetail{status, row.Prefix, rule.UpstreamHost, reason})}
		if err := s.record(ctx, tx, UpstreamAsked, repo, e); err != nil {
			return err
		}
	}
	return nil
}

// NoteSyncFailed writes the event that tells that what upstream gave, or said, could not
// be kept, also of a repository that there is not, as nothing was to be had for it.
func (s *Service) NoteSyncFailed(ctx context.Context, name Name, rule PullThroughRule, ref Ref, reason string) error {
	return s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if CodeOf(err) == RepositoryNotFound {
			repo, err = repository{name: name}, nil
		}
		if err != nil {
			return err
		}
		e := eventRow{Digest: ref.Digest, Tag: ref.Tag.s, Detail: detail(SyncDetail{"FAILED", rule.Prefix, rule.UpstreamHost, reason})}
		return s.record(ctx, tx, UpstreamAsked, repo, e)
	})
}

// Pending finds an image that is not whole; ok is false if there is none.
func (s *Service) Pending(ctx context.Context, name Name, d digest.Digest) (p Pending, ok bool, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		row, err := pendings.Get(r, repo.key(d.String())...)
		p, ok = row.public(repo.key(), d), err == nil
		return ignoreNotFound(err)
	})
	return p, ok, err
}

// Pendings lists images that are not whole, in a fixed order, those after the given one
// (nil for the first page), at most limit. One whose repository is gone, or in the trash,
// is none.
func (s *Service) Pendings(ctx context.Context, after *Pending, limit int) (page []Pending, err error) {
	var sel table.Select
	if after != nil {
		sel.After = after.key()
	}
	err = s.view(ctx, func(r storage.Reader) error {
		page = nil
		for f, err := range pendings.Scan(r, sel) {
			if err != nil {
				return err
			}
			d, err := digest.Parse(f.Key[3])
			if err != nil {
				return fmt.Errorf("key of a pending image: %w", err)
			}
			p := f.Row.public(f.Key[:3], d)
			repo, err := find(r, p.Name)
			if err != nil && CodeOf(err) != RepositoryNotFound {
				return err
			}
			if err != nil || repo.row.ID != p.RepositoryID {
				continue
			}
			if page = append(page, p); len(page) == limit {
				return nil
			}
		}
		return nil
	})
	return page, err
}
