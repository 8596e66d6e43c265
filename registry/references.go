package registry

import (
	"errors"
	"fmt"
	"iter"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// references are what an image names.
type references struct {
	blobs    []digest.Digest // layers and config, each once; some may not be there
	children []digest.Digest // images that an index names
	subject  digest.Digest   // zero if there is none
}

// references are those of an image whose uses of layers are in a table. Where its
// manifest is damaged the rows say what it named, among all of the repository, so that
// it can be deleted for all that.
func (r repository) references(rd storage.Reader, img stored, uses table.Table[layerUseRow]) (refs references, err error) {
	m, err := r.parsed(rd, img)
	if errors.As(err, new(*manifestDamaged)) {
		return r.keptReferences(rd, img, uses)
	}
	if err != nil {
		return refs, err
	}
	for d := range layersOf(m) {
		refs.blobs = append(refs.blobs, d)
	}
	for _, c := range m.Manifests {
		refs.children = append(refs.children, c.Digest)
	}
	refs.subject = img.row.Subject
	return refs, nil
}

func (r repository) keptReferences(rd storage.Reader, img stored, uses table.Table[layerUseRow]) (refs references, err error) {
	refs.subject = img.row.Subject
	if refs.blobs, err = namedBy(uses.Scan(rd, table.Select{Prefix: r.key()}), img.digest); err != nil {
		return refs, err
	}
	refs.children, err = namedBy(children.Scan(rd, table.Select{Prefix: r.key()}), img.digest)
	return refs, err
}

// namedBy are the digests that rows say an image names: keys are those of a repository, what
// is named and who names it.
func namedBy[Row any](rows iter.Seq2[table.Found[Row], error], by digest.Digest) (list []digest.Digest, err error) {
	for f, err := range rows {
		if err != nil {
			return nil, err
		}
		if f.Key[4] != by.String() {
			continue
		}
		d, err := digest.Parse(f.Key[3])
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", f.Key, err)
		}
		list = append(list, d)
	}
	return list, nil
}
