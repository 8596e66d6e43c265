package registry

import (
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

// trash: what is in it has its manifest, holds its layers, is nowhere else, and has
// its time.
func (a *audit) trash() {
	for f := range rowsOf(a, trash) {
		row := "trash " + join(f.Key)
		a.ofKnownRepository(FaultTrash, row, f.Key)
		if !a.isAlive(f.Key) {
			continue
		}
		if has(a, images, f.Key...) {
			a.fault(FaultTrash, row, "the image is in the repository too")
		}
		if !has(a, trashDue, trashDueKey(f.Row.At, f.Key[:3], f.Key[3])...) {
			a.fault(FaultTrash, row, "it never goes")
		}
		a.trashedImage(row, f.Key, f.Row)
	}
	for f := range rowsOf(a, trashUses) {
		row := "trashuse " + join(f.Key)
		a.ofKnownRepository(FaultTrash, row, f.Key)
		if a.isAlive(f.Key) && !has(a, trash, append(slices.Clone(f.Key[:3]), f.Key[4])...) {
			a.fault(FaultTrash, row, "the image is not in the trash")
		}
		if a.isAlive(f.Key) && !has(a, held, f.Key[:4]...) {
			a.fault(FaultTrash, row, "the layer is used and not held")
		}
	}
	a.trashedRepositories()
	a.trashDue()
}

// trashedImage: its manifest is whole, and its layers are noted as used by the trash.
func (a *audit) trashedImage(row string, key []string, image trashRow) {
	d, err := digest.Parse(key[3])
	if err != nil {
		a.fault(FaultRow, row, "%v", err)
		return
	}
	repo := repository{Name{ID{key[0], key[1]}, a.alive[join(key[:3])]}, repositoryRow{ID: key[2]}}
	read := repo.manifestBytes
	if a.check.Hash {
		read = repo.manifest
	}
	body, err := read(a.r, stored{d, image.Image})
	if err != nil {
		a.fault(FaultDigest, row, "%v", err)
		return
	}
	m, err := manifest.Reread(image.Image.MediaType, body)
	if err != nil {
		a.fault(FaultTrash, row, "its manifest was taken once: %v", err)
		return
	}
	for _, b := range blobsOf(m) {
		if !b.Foreign && !b.Optional && !has(a, trashUses, repo.key(b.Digest.String(), key[3])...) {
			a.fault(FaultTrash, row, "it uses layer %s without a row", b.Digest)
		}
	}
}

// hidden: a layer that is out of sight is used by the trash, and by no image.
func (a *audit) hidden(row string, key []string) {
	uses := 0
	for range rowsOf(a, trashUses, key...) {
		uses++
	}
	if uses == 0 {
		a.fault(FaultTrash, row, "it is out of sight, and nothing in the trash uses it")
	}
	for range rowsOf(a, layerUses, key...) {
		a.fault(FaultTrash, row, "it is out of sight, and an image uses it")
	}
	for range rowsOf(a, idleUses, key...) {
		a.fault(FaultTrash, row, "it is out of sight, and an archived image uses it")
	}
}

// trashedRepositories: each has its time, and nothing that is under way.
func (a *audit) trashedRepositories() {
	for f := range rowsOf(a, trashedRepositories) {
		key := append(slices.Clone(f.Key[:2]), f.Key[3])
		row := "trashrepository " + join(f.Key)
		if f.Row.Repository.ID != f.Key[3] {
			a.fault(FaultTrash, row, "its id is %s", f.Row.Repository.ID)
		}
		if !has(a, trashDue, trashDueKey(f.Row.At, key, wholeRepository)...) {
			a.fault(FaultTrash, row, "it never goes")
		}
	}
	for f := range rowsOf(a, trashedUploads) {
		if !a.isTrashed(f.Key) {
			a.fault(FaultTrash, "trashupload "+join(f.Key), "the repository is not in the trash")
		}
	}
}

// trashDue: what is to go is there, and has the name of its repository.
func (a *audit) trashDue() {
	for f := range rowsOf(a, trashDue) {
		row := "trashdue " + join(f.Key)
		e, err := readTrashEntry(f)
		if err != nil {
			a.fault(FaultRow, row, "%v", err)
			continue
		}
		repo := e.repository()
		there := false
		if e.what == wholeRepository {
			gone, ok := get(a, trashedRepositories, repo.trashKey()...)
			there = ok && gone.At.Equal(e.at)
		} else {
			gone, ok := get(a, trash, repo.key(e.what)...)
			there = ok && gone.At.Equal(e.at)
		}
		if !there {
			a.fault(FaultTrash, row, "nothing goes then")
		}
		if a.nameDiffers(f.Key[1:], f.Row.Repository) {
			a.fault(FaultTrash, row, "it is of %q and should be of %q", f.Row.Repository, a.alive[join(f.Key[1:4])])
		}
	}
}
