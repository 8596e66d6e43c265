package registry

import (
	"cmp"
	"errors"
	"iter"
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// fallbackTag is the tag under which clients of registries without referrers
// keep an index of a subject's referrers (distribution-spec, "Referrers Tag
// Schema").
func fallbackTag(subject digest.Digest) Tag {
	const longestAlgorithm, longestEncoded = 32, 64
	algorithm, encoded := string(subject.Algorithm()), subject.Encoded()
	return Tag{algorithm[:min(len(algorithm), longestAlgorithm)] + "-" + encoded[:min(len(encoded), longestEncoded)]}
}

// fallback lists what the index under the fallback tag names but the subject
// itself, in byte order of digest and each once; nothing if there is no such
// index.
func (r repository) fallback(rd storage.Reader, subject digest.Digest) ([]manifest.Descriptor, error) {
	img, err := r.image(rd, Ref{Tag: fallbackTag(subject)})
	if CodeOf(err) == ImageNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := r.parsed(rd, img)
	if errors.As(err, new(*manifestDamaged)) {
		return nil, nil
	}
	if err != nil || !m.IsIndex() {
		return nil, err
	}
	list := slices.DeleteFunc(m.Manifests, func(d manifest.Descriptor) bool { return d.Digest == subject })
	slices.SortStableFunc(list, byDigest)
	return slices.CompactFunc(list, func(a, b manifest.Descriptor) bool { return a.Digest == b.Digest }), nil
}

// byDigest orders as digests are written. No algorithm begins like another.
func byDigest(a, b manifest.Descriptor) int {
	return cmp.Or(
		cmp.Compare(a.Digest.Algorithm(), b.Digest.Algorithm()),
		cmp.Compare(a.Digest.Encoded(), b.Digest.Encoded()),
	)
}

// foundReferrer is a referrer by the key of its row. Those of the fallback
// index have no row of their own.
type foundReferrer struct {
	digest string
	row    referrerRow
	// annotations are for one that has none of its own.
	annotations map[string]string
	absent      bool // it is none after all: not here, or of another subject
}

// allReferrers yields the referrers of a subject in byte order of digest, those
// after the given one, with those that the fallback index alone knows.
func (r repository) allReferrers(rd storage.Reader, subject digest.Digest, after string) iter.Seq2[foundReferrer, error] {
	return func(yield func(foundReferrer, error) bool) {
		others, err := r.fallback(rd, subject)
		if err != nil {
			yield(foundReferrer{}, err)
			return
		}
		others = slices.DeleteFunc(others, func(d manifest.Descriptor) bool { return d.Digest.String() <= after })
		until := func(d string) bool { // yields the others that come before d
			for ; len(others) > 0 && others[0].Digest.String() < d; others = others[1:] {
				if !yield(r.fromFallback(rd, others[0])) {
					return false
				}
			}
			return true
		}
		for f, err := range r.notedReferrers(rd, subject, after) {
			if err != nil {
				yield(foundReferrer{}, err)
				return
			}
			if !until(f.digest) || !yield(f, nil) {
				return
			}
			if len(others) > 0 && others[0].Digest.String() == f.digest {
				others = others[1:]
			}
		}
		until(behindAll)
	}
}

// behindAll comes after every digest, account and number.
const behindAll = "\xff"

// notedReferrers yields those that have a row.
func (r repository) notedReferrers(rd storage.Reader, subject digest.Digest, after string) iter.Seq2[foundReferrer, error] {
	sel := table.Select{Prefix: r.key(subject.String())}
	if after != "" {
		sel.After = []string{after}
	}
	return func(yield func(foundReferrer, error) bool) {
		for f, err := range referrers.Scan(rd, sel) {
			if err != nil {
				yield(foundReferrer{}, err)
				return
			}
			if !yield(foundReferrer{digest: f.Key[4], row: f.Row}, nil) {
				return
			}
		}
	}
}

// fromFallback is what the stored image says of one that the fallback index
// names, and the index where the image says nothing. An image that names a
// subject itself is a referrer of that alone.
func (r repository) fromFallback(rd storage.Reader, d manifest.Descriptor) (foundReferrer, error) {
	found := foundReferrer{digest: d.Digest.String(), annotations: d.Annotations}
	img, err := r.image(rd, Ref{Digest: d.Digest})
	if CodeOf(err) == ImageNotFound || err == nil && !img.row.Subject.IsZero() {
		found.absent = true
		return found, nil
	}
	found.row = referrerRow{MediaType: img.row.MediaType, ArtifactType: img.row.ArtifactType, Size: img.row.ManifestSize}
	setDefault(&found.row.ArtifactType, d.ArtifactType)
	return found, err
}
