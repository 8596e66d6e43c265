package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Ref names an image of a repository by tag, by digest, or by both, which must
// then agree. The zero value names none.
type Ref struct {
	Tag    Tag
	Digest digest.Digest
}

// Image is a manifest in a repository.
type Image struct {
	Name            Name
	Digest          digest.Digest
	MediaType       string
	ManifestSize    int64 // bytes of the manifest
	Size            int64 // bytes of config and layers; of an index, of its largest child
	PushedAt        time.Time
	ArtifactType    string        // artifactType, else the config's media type; "" for an index without one
	ConfigMediaType string        // "" for an index
	Subject         digest.Digest // zero if it is no referrer
	Status          ImageStatus
	// ArchivedAt and ActivatedAt are the last times that it went into the
	// archive and came back, PulledAt that it was pulled, TaggedAt that a tag
	// came to it; zero if that never was.
	ArchivedAt, ActivatedAt, PulledAt, TaggedAt time.Time
	// Stale says that upstream was to be asked whether the tag still names the image, and
	// could not be.
	Stale bool
	// Tags, in byte order. Only Images and DescribeImage fill it.
	Tags []Tag
}

// TagFilter chooses images by whether they have tags.
type TagFilter string

// The filters, as ECR names them. The zero value is AnyImage.
const (
	AnyImage     TagFilter = "ANY"
	TaggedOnly   TagFilter = "TAGGED"
	UntaggedOnly TagFilter = "UNTAGGED"
)

func (f TagFilter) takes(row imageRow) bool {
	switch f {
	case TaggedOnly:
		return row.Tags > 0
	case UntaggedOnly:
		return row.Tags == 0
	}
	return true
}

// ImageStatus says whether an image can be pulled (ECR reference, policies.md
// section 11).
type ImageStatus string

// The statuses. Only an active image is pulled.
const (
	Active     ImageStatus = "ACTIVE"
	Archived   ImageStatus = "ARCHIVED"
	Activating ImageStatus = "ACTIVATING" // on its way back from the archive
)

// status is that of an image; rows leave the usual one out.
func (row imageRow) status() ImageStatus {
	if row.Status == "" {
		return Active
	}
	return row.Status
}

// StatusFilter chooses images by their status: an ImageStatus, or AnyStatus.
// The zero value is Active, as at ECR.
type StatusFilter string

// AnyStatus takes all images.
const AnyStatus StatusFilter = "ANY"

func (f StatusFilter) takes(row imageRow) bool {
	switch f {
	case "":
		return row.status() == Active
	case AnyStatus:
		return true
	}
	return StatusFilter(row.status()) == f
}

// ImageFilter chooses images. The zero value takes the active ones.
type ImageFilter struct {
	Tags   TagFilter
	Status StatusFilter
}

func (f ImageFilter) takes(row imageRow) bool { return f.Tags.takes(row) && f.Status.takes(row) }

func (row imageRow) public(name Name, d digest.Digest) Image {
	return Image{
		Name: name, Digest: d, MediaType: row.MediaType, ManifestSize: row.ManifestSize, Size: row.Size,
		PushedAt: row.PushedAt, ArtifactType: row.ArtifactType, ConfigMediaType: row.ConfigMediaType, Subject: row.Subject,
		Status: row.status(), ArchivedAt: row.ArchivedAt, ActivatedAt: row.ActivatedAt, PulledAt: row.PulledAt, TaggedAt: row.TaggedAt,
	}
}

// stored is an image's row with its digest, inside a transaction.
type stored struct {
	digest digest.Digest
	row    imageRow
}

// image finds what ref names, or refuses with ImageNotFound or TagMismatch.
func (r repository) image(rd storage.Reader, ref Ref) (stored, error) {
	d, err := r.resolve(rd, ref)
	if err != nil {
		return stored{}, err
	}
	row, err := images.Get(rd, r.key(d.String())...)
	if errors.Is(err, storage.ErrNotFound) {
		return stored{}, r.imageNotFound(ref)
	}
	return stored{d, row}, err
}

func (r repository) resolve(rd storage.Reader, ref Ref) (digest.Digest, error) {
	if ref.Tag.IsZero() {
		return ref.Digest, nil
	}
	tag, err := tags.Get(rd, r.key(ref.Tag.s)...)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return digest.Digest{}, r.imageNotFound(ref)
	case err == nil && !ref.Digest.IsZero() && ref.Digest != tag.Digest:
		e := refuse(TagMismatch, "tag %q of %q does not name %s", ref.Tag, r.name, ref.Digest)
		e.Name, e.Ref = r.name, ref
		return digest.Digest{}, e
	}
	return tag.Digest, err
}

func (r repository) imageNotFound(ref Ref) *Error {
	e := refuse(ImageNotFound, "no image %q %s in %q", ref.Tag, ref.Digest, r.name)
	e.Name, e.Ref = r.name, ref
	return e
}

// tagsOf lists the tags of an image in byte order, those after the given one.
func (r repository) tagsOf(rd storage.Reader, d digest.Digest, after string, limit int) (list []Tag, err error) {
	sel := table.Select{Prefix: r.key(d.String()), Limit: limit}
	if after != "" {
		sel.After = []string{after}
	}
	for f, err := range imageTags.Scan(rd, sel) {
		if err != nil {
			return nil, err
		}
		list = append(list, Tag{f.Key[4]})
	}
	return list, nil
}

// onImage runs fn on the image that ref names, on one snapshot.
func (s *Service) onImage(ctx context.Context, name Name, ref Ref, fn func(storage.Reader, repository, stored) error) error {
	return s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		img, err := repo.image(r, ref)
		if err != nil {
			return err
		}
		return fn(r, repo, img)
	})
}

// Image finds an image that can be pulled, without its tags. It is what HEAD of a
// manifest asks, and counts as a pull like Manifest, but is no event: clients that
// have an image look in this way whether it is still the one, and ECR takes both for
// BatchGetImage (ECR reference, registry-http.md section 5, as likely). An image whose
// manifest is known to be damaged is not found: see PresentLayer.
// Refusals: RepositoryNotFound, ImageNotFound, ImageArchived; TagMismatch if tag and
// digest are both given and disagree. What a pull-through rule says is upstream's, and is
// not here or was not asked for in a while, is asked for there; then there are those of
// Mirror.Bring too.
func (s *Service) Image(ctx context.Context, name Name, ref Ref) (Image, error) {
	f, err := s.pull(ctx, name, ref, func() (f found, err error) {
		f.image, err = s.imageHere(ctx, name, ref)
		return f, err
	})
	return f.image, err
}

// imageHere is Image without a look at upstream.
func (s *Service) imageHere(ctx context.Context, name Name, ref Ref) (Image, error) {
	p, err := s.pullable.Get(named{name, ref}, func() (pullable, error) { return s.lookUpPullable(ctx, name, ref) })
	if err != nil {
		return Image{}, err
	}
	s.notePull(ctx, p.of, p.digest)
	return p.row.public(name, p.digest), nil
}

// named is an image by its repository and what names it there.
type named struct {
	repository Name
	image      Ref
}

// pullable is an image that can be pulled, and the repository that has it.
type pullable struct {
	stored
	of repository
}

// maxPullable is how many of them are known without looking them up again.
const maxPullable = 4096

func (s *Service) lookUpPullable(ctx context.Context, name Name, ref Ref) (p pullable, err error) {
	err = s.onImage(ctx, name, ref, func(r storage.Reader, repo repository, found stored) error {
		p = pullable{found, repo}
		if err := repo.checkActive(found); err != nil {
			return err
		}
		damaged, err := manifestDamages.Has(r, repo.key(found.digest.String())...)
		if err == nil && damaged { // as for PresentLayer
			err = repo.imageNotFound(ref)
		}
		return err
	})
	return p, err
}

// DescribeImage finds an image with its tags, whatever its status. Refusals as for
// Image, but for ImageArchived.
func (s *Service) DescribeImage(ctx context.Context, name Name, ref Ref) (img Image, err error) {
	err = s.onImage(ctx, name, ref, func(r storage.Reader, repo repository, found stored) (err error) {
		img = found.row.public(name, found.digest)
		img.Tags, err = repo.tagsOf(r, found.digest, "", 0)
		return err
	})
	return img, err
}

// Manifest finds an image and its manifest's bytes, which have been held
// against the digest. They are shared, and not to be changed. It is a pull, whose time is
// noted: see Options.PullTimeFlush. Refusals as for Image, and ImageDamaged.
func (s *Service) Manifest(ctx context.Context, name Name, ref Ref) (img Image, body []byte, err error) {
	f, err := s.pull(ctx, name, ref, func() (f found, err error) {
		f.image, f.body, err = s.manifestHere(ctx, name, ref)
		return f, err
	})
	if err == nil && !f.of.name.IsZero() {
		s.notePull(ctx, f.of, f.image.Digest)
		s.notePullEvent(ctx, f.of, f.image, ref.Tag)
	}
	return f.image, f.body, err
}

// manifestHere is Manifest without a look at upstream.
func (s *Service) manifestHere(ctx context.Context, name Name, ref Ref) (img Image, body []byte, err error) {
	looked := false
	p, err := s.pullable.Get(named{name, ref}, func() (p pullable, err error) {
		looked = true
		p, body, err = s.lookUpManifest(ctx, name, ref)
		return p, err
	})
	if err == nil && !looked {
		p, body, err = s.knownManifest(ctx, name, ref, p)
	}
	if err != nil {
		return Image{}, nil, err
	}
	img = p.row.public(name, p.digest)
	s.notePull(ctx, p.of, img.Digest)
	s.notePullEvent(ctx, p.of, img, ref.Tag)
	return img, body, nil
}

// knownManifest is the manifest of an image that is known. If anything is wrong with it,
// such as that the image was deleted a moment ago, a whole look-up tells what.
func (s *Service) knownManifest(ctx context.Context, name Name, ref Ref, p pullable) (_ pullable, body []byte, err error) {
	if body, ok := s.bodies.get(p.stored); ok {
		return p, body, nil
	}
	err = s.view(ctx, func(r storage.Reader) (err error) {
		body, err = p.of.manifest(r, p.stored)
		return err
	})
	if err != nil {
		return s.lookUpManifest(ctx, name, ref)
	}
	s.bodies.keep(p.stored, body)
	return p, body, nil
}

// lookUpManifest finds an image with its manifest.
func (s *Service) lookUpManifest(ctx context.Context, name Name, ref Ref) (p pullable, body []byte, err error) {
	err = s.onImage(ctx, name, ref, func(r storage.Reader, repo repository, found stored) (err error) {
		p = pullable{found, repo}
		if err := repo.checkActive(found); err != nil {
			return err
		}
		body, err = repo.manifest(r, found)
		return err
	})
	if err == nil {
		s.bodies.keep(p.stored, body)
	}
	return p, body, s.noteManifest(ctx, err)
}

// manifest reads an image's manifest and checks it against its digest.
func (r repository) manifest(rd storage.Reader, img stored) ([]byte, error) {
	body, err := r.manifestBytes(rd, img)
	if err != nil {
		return nil, err
	}
	digested, err := manifest.Digested(img.row.MediaType, body)
	if err != nil || !img.digest.Matches(digested) {
		return nil, &manifestDamaged{r, img, foundInstead(digest.FromBytes(img.digest.Algorithm(), digested), err)}
	}
	return body, nil
}

// manifestBytes puts a manifest's rows together.
func (r repository) manifestBytes(rd storage.Reader, img stored) ([]byte, error) {
	if img.row.ManifestSize <= storage.MaxValue {
		row, err := manifests.Get(rd, r.key(img.digest.String(), onlyChunk)...)
		return row, ignoreNotFound(err) // what has no rows is damaged, as its digest will tell
	}
	body := make([]byte, 0, img.row.ManifestSize)
	for f, err := range manifests.Scan(rd, table.Select{Prefix: r.key(img.digest.String())}) {
		if err != nil {
			return nil, err
		}
		body = append(body, f.Row...)
	}
	return body, nil
}

// putManifest keeps a manifest's bytes in as many rows as it takes.
func (r repository) putManifest(tx storage.Tx, d digest.Digest, body []byte) error {
	for n := 0; len(body) > 0; n++ {
		size := min(len(body), storage.MaxValue)
		if err := manifests.Put(tx, body[:size], r.key(d.String(), chunkKey(n))...); err != nil {
			return err
		}
		body = body[size:]
	}
	return nil
}

// onlyChunk is chunkKey of the first.
const onlyChunk = "0000"

func chunkKey(n int) string { return fmt.Sprintf("%04d", n) }

// parsed reads an image's manifest anew, to learn what it refers to.
func (r repository) parsed(rd storage.Reader, img stored) (manifest.Manifest, error) {
	body, err := r.manifest(rd, img)
	if err != nil {
		return manifest.Manifest{}, err
	}
	m, err := manifest.Reread(img.row.MediaType, body)
	if err != nil {
		return manifest.Manifest{}, fmt.Errorf("manifest %s of %s was taken once: %w", img.digest, r.name, err)
	}
	return m, nil
}

// A filtered list looks at no more rows than this for each that it may yield,
// so that a page costs what a page costs; the page is then short, and goes on.
const rowsForEach, rowsAtLeast = 10, 1000

// Images lists the images of a repository with their tags in byte order of
// digest, those after the given digest ("" for the first page), at most limit.
// next is the value of after for the next page, "" if there is none; a page
// may be short, or empty, and still have a next one.
// Refusals: RepositoryNotFound, PageInvalid.
func (s *Service) Images(ctx context.Context, name Name, filter ImageFilter, after string, limit int) (page []Image, next string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		page, next = nil, ""
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		next, err = repo.eachImage(r, after, limit, func(img stored) (bool, error) {
			if !filter.takes(img.row) {
				return true, nil
			}
			public := img.row.public(name, img.digest)
			if public.Tags, err = repo.tagsOf(r, img.digest, "", 0); err != nil {
				return false, err
			}
			page = append(page, public)
			return len(page) < limit, nil
		})
		return err
	})
	return page, next, err
}

// eachImage calls fn for the images after the given digest until it says false
// or the bound on rows for limit is met. next is the last digest that fn saw if there are
// more, else "".
func (r repository) eachImage(rd storage.Reader, after string, limit int, fn func(stored) (more bool, err error)) (next string, err error) {
	sel := table.Select{Prefix: r.key()}
	if after != "" {
		sel.After = []string{after}
	}
	last, left, more := "", limit*rowsForEach+rowsAtLeast, true
	for f, err := range images.Scan(rd, sel) {
		if err != nil {
			return "", err
		}
		if !more || left == 0 {
			return last, nil
		}
		d, err := digest.Parse(f.Key[3])
		if err != nil {
			return "", fmt.Errorf("key of image: %w", err)
		}
		if more, err = fn(stored{d, f.Row}); err != nil {
			return "", err
		}
		last, left = f.Key[3], left-1
	}
	return "", nil
}

// ImageIDs lists a repository's pairs of digest and tag, and its images
// without tags, in byte order of digest and tag. after and next are as for
// Images, of this list's own form. Refusals: RepositoryNotFound, PageInvalid.
func (s *Service) ImageIDs(ctx context.Context, name Name, filter ImageFilter, after string, limit int) (page []Ref, next string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		page, next, err = repo.imageIDs(r, filter, after, limit)
		return err
	})
	return page, next, err
}

// imageIDs collects one pair more than limit, to see whether there is a next
// page.
func (r repository) imageIDs(rd storage.Reader, filter ImageFilter, after string, limit int) (page []Ref, next string, err error) {
	from, fromTag, within := strings.Cut(after, " ")
	if within {
		if page, err = r.idsOf(rd, from, fromTag, limit+1); err != nil {
			return nil, "", err
		}
	}
	if len(page) <= limit {
		next, err = r.eachImage(rd, from, limit, func(img stored) (bool, error) {
			if !filter.takes(img.row) {
				return true, nil
			}
			refs, err := r.idsOf(rd, img.digest.String(), "", limit+1-len(page))
			page = append(page, refs...)
			return len(page) <= limit, err
		})
	}
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1].position()
	}
	return page, next, err
}

// position is where a list of pairs goes on behind r.
func (r Ref) position() string {
	if r.Tag.IsZero() {
		return r.Digest.String()
	}
	return r.Digest.String() + " " + r.Tag.s
}

// idsOf lists the pairs of an image after a tag: one for each tag, or one
// without if it has none.
func (r repository) idsOf(rd storage.Reader, d, after string, limit int) (list []Ref, err error) {
	parsed, err := digest.Parse(d)
	if err != nil {
		return nil, refuse(PageInvalid, "%.150q is no place in a list of images", d)
	}
	named, err := r.tagsOf(rd, parsed, after, limit)
	if err != nil {
		return nil, err
	}
	for _, tag := range named {
		list = append(list, Ref{tag, parsed})
	}
	if len(list) == 0 && after == "" {
		list = append(list, Ref{Digest: parsed})
	}
	return list, nil
}

// hides says whether an image cannot be pulled.
func (r repository) hides(rd storage.Reader, d digest.Digest) (bool, error) {
	if r.row.Inactive == 0 {
		return false, nil
	}
	row, err := images.Get(rd, r.key(d.String())...)
	return err == nil && row.status() != Active, err
}

// Tags lists the tags of a repository's active images in byte order, those after
// the given one ("" for the first page), at most limit. next is as for Images: pages
// may be short, or empty. Refusals: RepositoryNotFound, PageInvalid.
func (s *Service) Tags(ctx context.Context, name Name, after string, limit int) (page []Tag, next string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		page, next, err = repo.activeTags(r, after, limit)
		return err
	})
	return page, next, err
}

// allTags lists the tags that are selected, by their keys alone.
func allTags(rd storage.Reader, sel table.Select, after string, limit int) (page []Tag, next string, err error) {
	page, last := make([]Tag, 0, min(limit, usualPage)), after
	for name, err := range tags.Names(rd, sel) {
		if err != nil {
			return nil, "", err
		}
		if len(page) == limit {
			return page, last, nil
		}
		page, last = append(page, Tag{name}), name
	}
	return page, "", nil
}

func (r repository) activeTags(rd storage.Reader, after string, limit int) (page []Tag, next string, err error) {
	sel := table.Select{Prefix: r.key()}
	if after != "" {
		sel.After = []string{after}
	}
	if r.row.Inactive == 0 {
		return allTags(rd, sel, after, limit)
	}
	last, left := after, limit*rowsForEach+rowsAtLeast
	for f, err := range tags.Scan(rd, sel) {
		if err != nil {
			return nil, "", err
		}
		if left == 0 {
			return page, last, nil
		}
		hidden, err := r.hides(rd, f.Row.Digest)
		if err != nil {
			return nil, "", err
		}
		if !hidden && len(page) == limit {
			return page, last, nil
		}
		last, left = f.Key[3], left-1
		if !hidden {
			page = append(page, Tag{f.Key[3]})
		}
	}
	return page, "", nil
}
