package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
)

// Push is an image to be stored.
type Push struct {
	Tags      []Tag  // set together, or none is; none (a zero Tag is none): stored without a tag
	MediaType string // Content-Type or imageManifestMediaType; "" takes the manifest's own
	Body      []byte // stored byte for byte
	// OwnTag takes the tag that a manifest of Docker schema 1 calls itself by, where
	// Tags has none.
	OwnTag bool
	// Want is the digest that the caller says the body has; zero if it says none.
	Want digest.Digest
	// MayCreate says that the caller may create the repository if it is
	// missing; it is created only where the server's CreateOnPush says so too.
	MayCreate bool
	// AnyTags says that ECR's bound on the tags of an image does not hold, but for one that
	// Limits.Tags sets.
	AnyTags bool
	// May is asked for each tag of the push, or once where it has none.
	May May
	// MaySign is asked for each profile that is to sign the image: see SigningStatuses.
	MaySign MaySign
	// Origin says that it is another server that brings what was pushed there. A tag that
	// has moved since is left where it is, an image that was deleted since is not taken,
	// neither of which is refused; and nothing of it is replicated any further.
	Origin *Origin
}

// Pushed is the outcome of a push.
type Pushed struct {
	Image Image
	Tags  []Tag // those of the push, or the manifest's own
	// Body is the manifest as it is kept. An image of schema 1 that was there
	// keeps the signatures that it had, since they are no part of what its digest is of.
	Body []byte
	// Existed says that nothing changed: the same image was there under all of
	// the tags or, without a tag, was there at all. An archived image comes back,
	// and replication and signing that have failed are tried again.
	Existed bool
}

// PutImage stores an image and its tags. A tag that names another image is
// moved if the repository's tag rule lets it.
// Refusals: RepositoryNotFound, ManifestInvalid, ManifestNotJSON,
// ManifestTooLarge, MediaTypeUnsupported, MediaTypeMissing,
// ImageDigestMismatch, LayersMissing, ChildrenMissing, TagImmutable,
// TooManyTags, TooManyImages, TooManyInRegistry, QuotaExceeded, TooManyLayers; TagInvalid with OwnTag; and what
// Push.May says.
func (s *Service) PutImage(ctx context.Context, name Name, p Push) (Pushed, error) {
	m, d, err := s.readPush(name, p)
	if err == nil && p.OwnTag {
		p.Tags, err = ownTag(p.Tags, m)
	}
	if err != nil {
		return Pushed{}, s.unlessMissing(ctx, name, err, p.MayCreate)
	}
	signers, err := s.signers(ctx, name, p, m)
	if err != nil {
		return Pushed{}, err
	}
	put := func() (done Pushed, err error) {
		err = s.update(ctx, func(tx storage.Tx) error {
			repo, err := s.findForPush(ctx, tx, name, p.MayCreate)
			if err != nil {
				return err
			}
			done, err = s.put(ctx, tx, pushing{repo: repo, manifest: m, digest: d, Push: p, sparse: s.live.Load().SparseIndexes, signers: signers})
			return err
		})
		return done, err
	}
	done, err := put()
	var lacks *Error
	if errors.As(err, &lacks) && lacks.Code == LayersMissing && s.awaitLayers(ctx, name, lacks.Digests) {
		return put()
	}
	return done, err
}

// unlessMissing is err, unless the repository is missing: that goes first.
func (s *Service) unlessMissing(ctx context.Context, name Name, err error, mayCreate bool) error {
	if _, missing := s.Repository(ctx, name); missing != nil && !(mayCreate && s.live.Load().CreateOnPush == CreateAlways) {
		return missing
	}
	return err
}

// readPush checks what can be checked without the index.
func (s *Service) readPush(name Name, p Push) (manifest.Manifest, digest.Digest, error) {
	if limit := s.Limits().Manifest; int64(len(p.Body)) > limit {
		e := refuse(ManifestTooLarge, "a manifest has at most %d bytes", limit)
		e.Name, e.Limit = name, limit
		return manifest.Manifest{}, digest.Digest{}, e
	}
	algorithm := digest.SHA256
	if !p.Want.IsZero() {
		algorithm = p.Want.Algorithm()
	}
	m, d, err := s.parse(p.MediaType, p.Body, algorithm)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Name = name
		}
		return manifest.Manifest{}, digest.Digest{}, err
	}
	if !p.Want.IsZero() && p.Want != d {
		e := refuse(ImageDigestMismatch, "the manifest's digest is %s, not %s", d, p.Want)
		e.Name, e.Ref = name, Ref{Digest: p.Want}
		return manifest.Manifest{}, digest.Digest{}, e
	}
	return m, d, nil
}

// ownTag is the tag that a manifest has of its own, unless the list has one.
func ownTag(list []Tag, m manifest.Manifest) ([]Tag, error) {
	named := func(t Tag) bool { return !t.IsZero() }
	if m.Tag == "" || slices.ContainsFunc(list, named) {
		return list, nil
	}
	tag, err := ParseTag(m.Tag)
	return []Tag{tag}, err
}

func parseCode(err error) Code {
	switch {
	case errors.Is(err, manifest.ErrNotJSON):
		return ManifestNotJSON
	case errors.Is(err, manifest.ErrNoMediaType):
		return MediaTypeMissing
	case errors.Is(err, manifest.ErrUnsupported):
		return MediaTypeUnsupported
	}
	return ManifestInvalid
}

// pushing is a push inside its transaction.
type pushing struct {
	Push
	sparse   bool // indexes may name images that are not there
	repo     repository
	manifest manifest.Manifest
	digest   digest.Digest
	signers  []signer
}

func (s *Service) put(ctx context.Context, tx storage.Tx, p pushing) (Pushed, error) {
	if err := p.mayPush(tx); err != nil {
		return Pushed{}, err
	}
	if late, err := p.heed(tx); err != nil || late {
		return p.lateAnswer(), cmp.Or(err, s.moveAway(ctx, tx, p))
	}
	img, there, err := s.storeImage(tx, &p)
	if err != nil {
		return Pushed{}, err
	}
	if there {
		if err := s.healManifest(ctx, tx, p.repo, img, p.Body, "the manifest was pushed again"); err != nil {
			return Pushed{}, err
		}
	}
	back, err := s.unarchive(ctx, tx, &p.repo, &img, there, p.comesBack(s))
	if err != nil {
		return Pushed{}, err
	}
	set, err := s.setTags(tx, p.repo, p.Push, &img)
	if err != nil {
		return Pushed{}, err
	}
	if there && manifest.IsSchema1(p.manifest.MediaType) {
		if p.Body, err = p.repo.manifest(tx, img); err != nil {
			return Pushed{}, err
		}
	}
	done := Pushed{Image: img.row.public(p.repo.name, img.digest), Tags: p.Tags, Body: p.Body}
	if there && !back && len(set) == 0 {
		done.Existed = true
		return done, s.sendOn(tx, p, nil)
	}
	if !there || p.Origin == nil {
		img.row.Replica = p.Origin != nil
	}
	if err := images.Put(tx, img.row, p.repo.key(img.digest.String())...); err != nil {
		return Pushed{}, err
	}
	return done, s.recordPush(ctx, tx, p, img, set)
}

// recordPush writes an event for each tag that was set, or one for an image
// without any, and has it scanned, signed and replicated.
func (s *Service) recordPush(ctx context.Context, tx storage.Tx, p pushing, img stored, set []Tag) error {
	if len(set) == 0 {
		set = []Tag{{}}
	}
	for _, tag := range set {
		e := eventRow{Digest: img.digest, MediaType: img.row.MediaType, Tag: tag.s}
		if err := s.record(ctx, tx, ImagePushed, p.repo, e); err != nil {
			return err
		}
	}
	if err := s.scanArrived(tx, p.repo, img); err != nil {
		return err
	}
	return s.sendOn(tx, p, set)
}

// sendOn has a push signed and replicated, unless it came by replication.
func (s *Service) sendOn(tx storage.Tx, p pushing, set []Tag) error {
	if p.Origin != nil {
		return p.noteOrigin(tx)
	}
	if err := s.planSignings(tx, p); err != nil {
		return err
	}
	return s.replicate(tx, p.repo, p.digest, set)
}

// comesBack is what an archived image does that is pushed again.
func (p *pushing) comesBack(s *Service) activation {
	if p.Origin != nil {
		return s.activate
	}
	return s.bringBack
}

// storeImage writes what belongs to an image but its own row, unless the image
// is there already.
func (s *Service) storeImage(tx storage.Tx, p *pushing) (img stored, there bool, err error) {
	img.digest = p.digest
	img.row, err = images.Get(tx, p.repo.key(p.digest.String())...)
	if err == nil || !errors.Is(err, storage.ErrNotFound) {
		return img, err == nil, err
	}
	if limit := s.Limits().Images; p.repo.row.Images >= limit {
		e := refuse(TooManyImages, "%q holds %d images, as many as it may", p.repo.name, limit)
		e.Name, e.Limit = p.repo.name, int64(limit)
		return img, false, e
	}
	if limit := s.Limits().Layers; len(p.manifest.Layers) > limit {
		e := refuse(TooManyLayers, "an image has at most %d layers", limit)
		e.Name, e.Limit = p.repo.name, int64(limit)
		return img, false, e
	}
	if _, err := p.repo.forgetTrashed(tx, p.digest); err != nil {
		return img, false, err
	}
	img.row = p.newRow()
	img.row.PushedAt = s.now().UTC()
	used, err := p.refer(tx)
	if err != nil {
		return img, false, err
	}
	img.row.Size, img.row.Layers = used.size, used.layers
	if err := p.repo.putManifest(tx, p.digest, p.Body); err != nil {
		return img, false, err
	}
	if err := s.countImage(tx, p.repo, img.row, used.fresh); err != nil {
		return img, false, err
	}
	p.repo.row.Images++
	return img, false, p.repo.put(tx)
}

func (p *pushing) newRow() imageRow {
	row := imageRow{MediaType: p.manifest.MediaType, ManifestSize: int64(len(p.Body)), ArtifactType: p.manifest.ArtifactType}
	if c := p.manifest.Config; c != nil {
		row.ConfigMediaType = c.MediaType
		setDefault(&row.ArtifactType, c.MediaType)
	}
	if p.manifest.Subject != nil {
		row.Subject = p.manifest.Subject.Digest
	}
	return row
}

// used is how much a new image uses.
type used struct {
	size   int64 // of the image, as ECR has it
	layers int64 // of layers, each once
	fresh  int64 // of layers that no image used before
}

// refer writes the references of a new image after checking that what it
// refers to is there, and returns how much that is.
func (p *pushing) refer(tx storage.Tx) (used, error) {
	all, err := p.useLayers(tx)
	if err != nil {
		return used{}, err
	}
	largest, err := p.useChildren(tx)
	if err != nil {
		return used{}, err
	}
	all.size += largest
	if sub := p.manifest.Subject; sub != nil {
		row := referrerRow{MediaType: p.manifest.MediaType, ArtifactType: p.newRow().ArtifactType, Size: int64(len(p.Body))}
		err = referrers.Put(tx, row, p.repo.key(sub.Digest.String(), p.digest.String())...)
	}
	return all, err
}

// blobsOf are the config and layers of a manifest.
func blobsOf(m manifest.Manifest) []manifest.Descriptor {
	var list []manifest.Descriptor
	if m.Config != nil {
		list = append(list, *m.Config)
	}
	return append(list, m.Layers...)
}

func (p *pushing) useLayers(tx storage.Tx) (all used, err error) {
	var missing []digest.Digest
	seen := map[digest.Digest]bool{}
	for _, b := range blobsOf(p.manifest) {
		row, err := held.Get(tx, p.repo.key(b.Digest.String())...)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			if !b.Foreign && !b.Optional {
				missing = append(missing, b.Digest)
			}
			continue
		case err != nil:
			return used{}, err
		case row.Size != b.Size && !b.Optional && !b.Unsized:
			return used{}, p.wrongSize(b, row.Size)
		}
		damaged, err := damages.Has(tx, b.Digest.String())
		if err != nil {
			return used{}, err
		}
		if damaged && !b.Optional { // who sends it again heals it
			missing = append(missing, b.Digest)
			continue
		}
		all.size += row.Size
		if err := layerUses.Put(tx, layerUseRow{b.MediaType}, p.repo.key(b.Digest.String(), p.digest.String())...); err != nil {
			return used{}, err
		}
		if seen[b.Digest] {
			continue
		}
		seen[b.Digest] = true
		all.layers += row.Size
		if row.Fresh || row.Hidden {
			if row.Fresh {
				all.fresh += row.Size
			}
			row.Fresh = false
			row.show()
			if err := held.Put(tx, row, p.repo.key(b.Digest.String())...); err != nil {
				return used{}, err
			}
		}
	}
	if missing != nil {
		e := refuse(LayersMissing, "layers that the manifest names are not in %q: %v", p.repo.name, missing)
		e.Name, e.Digests = p.repo.name, missing
		return used{}, e
	}
	return all, nil
}

func (p *pushing) useChildren(tx storage.Tx) (largest int64, err error) {
	var missing []digest.Digest
	for _, c := range p.manifest.Manifests {
		row, err := images.Get(tx, p.repo.key(c.Digest.String())...)
		absent := errors.Is(err, storage.ErrNotFound)
		switch {
		case absent && c.Optional:
			continue
		case absent && !p.sparse:
			missing = append(missing, c.Digest)
			continue
		case err != nil && !absent:
			return 0, err
		case !absent && row.ManifestSize != c.Size && !c.Optional:
			return 0, p.wrongSize(c, row.ManifestSize)
		}
		// Of an absent one too: if it comes later, it stays as long as the index.
		largest = max(largest, row.Size)
		if err := children.Put(tx, noRow{}, p.repo.key(c.Digest.String(), p.digest.String())...); err != nil {
			return 0, err
		}
	}
	if missing != nil {
		e := refuse(ChildrenMissing, "images that the index names are not in %q: %v", p.repo.name, missing)
		e.Name, e.Digests = p.repo.name, missing
		return 0, e
	}
	return largest, nil
}

func (p *pushing) wrongSize(d manifest.Descriptor, real int64) *Error {
	e := refuse(ManifestInvalid, "%s has %d bytes, not %d as the manifest says", d.Digest, real, d.Size)
	e.Name = p.repo.name
	return e
}

// setTags makes tags name img, and returns those for which that changed
// anything.
func (s *Service) setTags(tx storage.Tx, repo repository, p Push, img *stored) (set []Tag, err error) {
	most := s.mostTags()
	if !p.AnyTags {
		most = cmp.Or(s.Limits().Tags, ecrTags)
	}
	for _, tag := range p.Tags {
		changed, err := s.setTag(tx, repo, tag, img, most)
		if err != nil {
			return nil, err
		}
		if changed {
			set = append(set, tag)
		}
	}
	return set, nil
}

// ecrTags is how many tags an image has at ECR at most (ECR reference,
// errors-and-limits.md section 8).
const ecrTags = 1_000

// mostTags is how many tags an image may have by what the settings say alone.
func (s *Service) mostTags() int { return cmp.Or(s.Limits().Tags, math.MaxInt) }

// setTag makes tag name img, which may have so many, whose count of tags it keeps, and says
// whether that changed anything.
func (s *Service) setTag(tx storage.Tx, repo repository, tag Tag, img *stored, most int) (changed bool, err error) {
	if tag.IsZero() {
		return false, nil
	}
	old, err := tags.Get(tx, repo.key(tag.s)...)
	switch {
	case err == nil && old.Digest == img.digest:
		return false, nil
	case err == nil:
		if err := repo.moveTag(tx, tag, old.Digest); err != nil {
			return false, err
		}
	case !errors.Is(err, storage.ErrNotFound):
		return false, err
	}
	if img.row.Tags >= most {
		e := refuse(TooManyTags, "image %s of %q has %d tags, as many as it may", img.digest, repo.name, most)
		e.Name, e.Ref, e.Limit = repo.name, Ref{tag, img.digest}, int64(most)
		return false, e
	}
	img.row.Tags++
	img.row.TaggedAt = s.now().UTC()
	if err := tags.Put(tx, tagRow{img.digest}, repo.key(tag.s)...); err != nil {
		return false, err
	}
	return true, imageTags.Put(tx, noRow{}, repo.key(img.digest.String(), tag.s)...)
}

// moveTag takes a tag from the image that has it, if the tag rule lets it.
func (r repository) moveTag(tx storage.Tx, tag Tag, from digest.Digest) error {
	if (TagRule{r.row.Mutability, r.row.Exclusions}).Immutable(tag) {
		e := refuse(TagImmutable, "tag %q of %q is immutable", tag, r.name)
		e.Name, e.Ref = r.name, Ref{Tag: tag}
		return e
	}
	row, err := images.Get(tx, r.key(from.String())...)
	if err != nil {
		return fmt.Errorf("image %s that tag %q names: %w", from, tag, err)
	}
	row.Tags--
	if err := images.Put(tx, row, r.key(from.String())...); err != nil {
		return err
	}
	return imageTags.Delete(tx, r.key(from.String(), tag.s)...)
}
