package registry

import (
	"errors"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// usesBy is the table of the uses of layers by images of a status. Those by images
// that are not active stand apart, so that one look says whether a layer can be
// read, however many archived images use it.
func usesBy(status ImageStatus) table.Table[layerUseRow] {
	if status == Active {
		return layerUses
	}
	return idleUses
}

// allUses are all tables of the uses of layers: whoever is in none of them is used by
// no image.
var allUses = []table.Table[layerUseRow]{layerUses, idleUses, trashUses}

// use is what an image that uses a layer calls it, an active one if there is one;
// used is false if no image does, idle true if no active one does.
func (r repository) use(rd storage.Reader, d digest.Digest) (mediaType string, used, idle bool, err error) {
	for _, status := range []ImageStatus{Active, Archived} {
		for f, err := range usesBy(status).Scan(rd, table.Select{Prefix: r.key(d.String()), Limit: 1}) {
			return f.Row.MediaType, err == nil, status != Active, err
		}
	}
	return "", false, false, nil
}

// moveUses puts the uses of an image's layers where its new status has them.
func (r repository) moveUses(tx storage.Tx, img stored) error {
	to, from := usesBy(img.row.status()), layerUses
	if img.row.status() == Active {
		from = idleUses
	}
	refs, err := r.references(tx, img, from)
	if err != nil {
		return err
	}
	for _, d := range refs.blobs {
		key := r.key(d.String(), img.digest.String())
		row, err := from.Get(tx, key...)
		if errors.Is(err, storage.ErrNotFound) { // foreign
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(to.Put(tx, row, key...), from.Delete(tx, key...)); err != nil {
			return err
		}
	}
	return nil
}

func (r repository) checkUnused(rd storage.Reader, d digest.Digest) error {
	var users []digest.Digest
	for _, status := range []ImageStatus{Active, Archived} {
		list, err := lastParts(usesBy(status).Scan(rd, table.Select{Prefix: r.key(d.String()), Limit: maxNamed}))
		if err != nil {
			return err
		}
		users = append(users, list...)
	}
	if users == nil {
		return nil
	}
	users = users[:min(len(users), maxNamed)]
	e := refuse(LayerReferenced, "layer %s of %q is used by image %v", d, r.name, users)
	e.Name, e.Digests = r.name, users
	return e
}
