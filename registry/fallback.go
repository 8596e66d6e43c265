package registry

import (
	"iter"
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
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

// fallback lists what the index under the fallback tag names, in byte order and
// each once; nothing if there is no such index.
func (r repository) fallback(rd storage.Reader, subject digest.Digest) (list []string, err error) {
	img, err := r.image(rd, Ref{Tag: fallbackTag(subject)})
	if CodeOf(err) == ImageNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := r.parsed(rd, img)
	if err != nil || !m.IsIndex() {
		return nil, err
	}
	for _, d := range m.Manifests {
		list = append(list, d.Digest.String())
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// foundReferrer is a referrer by the key of its row. Those of the fallback
// index have no row of their own.
type foundReferrer struct {
	digest string
	row    referrerRow
	absent bool // it is none after all: not here, or of another subject
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
		others = slices.DeleteFunc(others, func(d string) bool { return d <= after })
		until := func(d string) bool { // yields the others that come before d
			for ; len(others) > 0 && others[0] < d; others = others[1:] {
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
			if len(others) > 0 && others[0] == f.digest {
				others = others[1:]
			}
		}
		until(behindAll)
	}
}

// behindAll comes after every digest.
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
// names. An image that names a subject itself is a referrer of that alone.
func (r repository) fromFallback(rd storage.Reader, d string) (foundReferrer, error) {
	parsed, err := digest.Parse(d)
	if err != nil {
		return foundReferrer{}, err
	}
	img, err := r.image(rd, Ref{Digest: parsed})
	if CodeOf(err) == ImageNotFound || err == nil && !img.row.Subject.IsZero() {
		return foundReferrer{digest: d, absent: true}, nil
	}
	row := referrerRow{MediaType: img.row.MediaType, ArtifactType: img.row.ArtifactType, Size: img.row.ManifestSize}
	return foundReferrer{digest: d, row: row}, err
}
