package registry

import (
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

// images: repositories count theirs; manifests are whole and of an image.
func (a *audit) images() {
	for f := range rowsOf(a, repositories) {
		a.imagesOf(repository{Name{ID{f.Key[0], f.Key[1]}, f.Key[2]}, f.Row})
	}
	for f := range rowsOf(a, trashedRepositories) {
		a.imagesOf(repository{Name{ID{f.Key[0], f.Key[1]}, f.Key[2]}, f.Row.Repository})
	}
	for f := range rowsOf(a, images) {
		a.ofKnownRepository(FaultImage, "image "+join(f.Key), f.Key)
	}
	for f := range rowsOf(a, manifests) {
		if has(a, trash, f.Key[:4]...) {
			continue
		}
		a.ofImage(FaultImage, "manifest "+join(f.Key), f.Key[:3], f.Key[3])
	}
}

func (a *audit) imagesOf(repo repository) {
	count, inactive := 0, 0
	for f := range rowsOf(a, images, repo.key()...) {
		count++
		if f.Row.status() != Active {
			inactive++
		}
		a.image(repo, f.Key, f.Row)
	}
	row := "repository " + join(repo.name.key())
	if count != repo.row.Images {
		a.fault(FaultCount, row, "it counts %d images and has %d", repo.row.Images, count)
	}
	if inactive != repo.row.Inactive {
		a.fault(FaultCount, row, "it counts %d images that are not active and has %d", repo.row.Inactive, inactive)
	}
}

// image: its manifest is whole, and what it refers to is there.
func (a *audit) image(repo repository, key []string, row imageRow) {
	d, err := digest.Parse(key[3])
	if err != nil {
		a.fault(FaultRow, "image "+join(key), "%v", err)
		return
	}
	img := stored{d, row}
	read := repo.manifestBytes
	if a.check.Hash {
		read = repo.manifest
	}
	body, err := read(a.r, img)
	if err != nil {
		a.fault(FaultDigest, "image "+join(key), "%v", err)
		return
	}
	m, err := manifest.Reread(row.MediaType, body)
	if err != nil {
		a.fault(FaultImage, "image "+join(key), "its manifest was taken once: %v", err)
		return
	}
	a.refersTo(repo, img, m)
	a.imageSize(repo, img, m)
}

// ofImage: what belongs to an image has that image, unless its repository is
// being cleared.
func (a *audit) ofImage(kind FaultKind, row string, repo []string, image string) {
	if !a.isAlive(repo) {
		a.ofKnownRepository(kind, row, repo)
		return
	}
	if !has(a, images, append(slices.Clone(repo), image)...) {
		a.fault(kind, row, "there is no image %s", image)
	}
}

// refersTo: what an image refers to is there, with a row that says so.
func (a *audit) refersTo(repo repository, img stored, m manifest.Manifest) {
	image, row := img.digest, "image "+join(repo.key(img.digest.String()))
	uses, others := layerUses, idleUses
	if img.row.status() != Active {
		uses, others = idleUses, layerUses
	}
	for _, b := range blobsOf(m) {
		if !b.Foreign && !b.Optional && !has(a, uses, repo.key(b.Digest.String(), image.String())...) {
			a.fault(FaultReference, row, "it uses layer %s without a row", b.Digest)
		}
		if has(a, others, repo.key(b.Digest.String(), image.String())...) {
			a.fault(FaultReference, row, "it is %s, and uses layer %s as if it were not", img.row.status(), b.Digest)
		}
	}
	for _, c := range m.Manifests {
		if !c.Optional && !has(a, children, repo.key(c.Digest.String(), image.String())...) {
			a.fault(FaultReference, row, "it has child %s without a row", c.Digest)
		}
	}
	if m.Subject != nil && !has(a, referrers, repo.key(m.Subject.Digest.String(), image.String())...) {
		a.fault(FaultReference, row, "it refers to %s without a row", m.Subject.Digest)
	}
}

// tags: tags and imageTags mirror each other, and images count theirs.
func (a *audit) tags() {
	for f := range rowsOf(a, tags) {
		row, d := "tag "+join(f.Key), f.Row.Digest.String()
		a.ofImage(FaultTag, row, f.Key[:3], d)
		if a.isAlive(f.Key) && !has(a, imageTags, append(slices.Clone(f.Key[:3]), d, f.Key[3])...) {
			a.fault(FaultTag, row, "it is not among those of its image")
		}
	}
	for f := range rowsOf(a, imageTags) {
		row := "imagetag " + join(f.Key)
		a.ofImage(FaultTag, row, f.Key[:3], f.Key[3])
		tag, _ := get(a, tags, append(slices.Clone(f.Key[:3]), f.Key[4])...)
		if a.isAlive(f.Key) && tag.Digest.String() != f.Key[3] {
			a.fault(FaultTag, row, "the tag names %s", tag.Digest)
		}
	}
	for f := range rowsOf(a, images) {
		n := 0
		for range rowsOf(a, imageTags, f.Key...) {
			n++
		}
		if a.isAlive(f.Key) && f.Row.Tags != n {
			a.fault(FaultCount, "image "+join(f.Key), "it counts %d tags and has %d", f.Row.Tags, n)
		}
	}
}

// references: no row is left of an image that is gone, and what an image keeps
// from removal is there.
func (a *audit) references() {
	for f := range rowsOf(a, layerUses) {
		a.layerUse("layeruse "+join(f.Key), f.Key)
	}
	for f := range rowsOf(a, idleUses) {
		a.layerUse("idleuse "+join(f.Key), f.Key)
	}
	for f := range rowsOf(a, children) {
		a.ofImage(FaultReference, "child "+join(f.Key), f.Key[:3], f.Key[4])
		if !a.s.live.Load().SparseIndexes && !has(a, absentChildren, f.Key...) {
			a.ofImage(FaultReference, "child "+join(f.Key), f.Key[:3], f.Key[3])
		}
	}
	for f := range rowsOf(a, referrers) {
		a.ofImage(FaultReference, "referrer "+join(f.Key), f.Key[:3], f.Key[4])
	}
}

func (a *audit) layerUse(row string, key []string) {
	a.ofImage(FaultReference, row, key[:3], key[4])
	if a.isAlive(key) && !has(a, held, key[:4]...) {
		a.fault(FaultReference, row, "the layer is used and not held")
	}
}

// replicas: each is one that the status of an image waits for, and the other way
// round. The worker has yet to see of some that their repository is gone.
func (a *audit) replicas() {
	for f := range rowsOf(a, replications) {
		row := "replication " + join(f.Key)
		a.ofImage(FaultReplication, row, f.Key[:3], f.Key[3])
		for _, number := range f.Row.Waiting {
			replica, ok := get(a, replicas, append(slices.Concat(f.Key[4:6], f.Key[:3]), number)...)
			if (!ok || replica.Digest.String() != f.Key[3]) && !has(a, dropped, f.Key[:3]...) && !a.isTrashed(f.Key) {
				a.fault(FaultReplication, row, "it waits for replica %s, which is not there", number)
			}
		}
	}
	for f := range rowsOf(a, replicas) {
		status, _ := get(a, replications, append(slices.Clone(f.Key[2:5]), f.Row.Digest.String(), f.Key[0], f.Key[1])...)
		if !f.Row.Deleted && !slices.Contains(status.Waiting, f.Key[5]) { // deletions have none
			a.fault(FaultReplication, "replica "+join(f.Key), "no status waits for it")
		}
	}
}

// signings: what waits has a row in the queue, at the time that it says, and nothing else
// has. The worker has yet to see of some that their repository is gone.
func (a *audit) signings() {
	for f := range rowsOf(a, signings) {
		row := "signing " + join(f.Key)
		a.ofImage(FaultSigning, row, f.Key[:3], f.Key[3])
		if f.Row.State == SigningInProgress && !has(a, signingsDue, dueKey(f.Row.Due, f.Key)...) {
			a.fault(FaultSigning, row, "it waits, and is not in the queue")
		}
	}
	for f := range rowsOf(a, signingsDue) {
		row, ok := get(a, signings, f.Key[1:]...)
		if !ok || row.State != SigningInProgress || !slices.Equal(dueKey(row.Due, f.Key[1:]), f.Key) {
			a.fault(FaultSigning, "signingdue "+join(f.Key), "no status waits for it")
		}
		if a.nameDiffers(f.Key[1:], f.Row.Repository) {
			a.fault(FaultSigning, "signingdue "+join(f.Key), "it is of %q and should be of %q", f.Row.Repository, a.alive[join(f.Key[1:4])])
		}
	}
}

// archive: no archived image is named by an index that is not, and what is on its
// way back has a row that brings it.
func (a *audit) archive() {
	for f := range rowsOf(a, children) {
		repo, child, parent := f.Key[:3:3], f.Key[3], f.Key[4]
		of, ok := get(a, images, append(repo, parent)...)
		if !ok || of.status() == Archived {
			continue
		}
		if img, ok := get(a, images, append(repo, child)...); ok && img.status() == Archived {
			a.fault(FaultArchive, "child "+join(f.Key), "the image is archived, and the index that names it is %s", of.status())
		}
	}
	due := map[string]bool{}
	for f := range rowsOf(a, restores) {
		due[join(f.Key[1:])+f.Row.ArchivedAt.String()] = true
	}
	for f := range rowsOf(a, images) {
		if f.Row.status() == Activating && !a.isTrashed(f.Key) && !due[join(f.Key)+f.Row.ArchivedAt.String()] {
			a.fault(FaultArchive, "image "+join(f.Key), "nothing brings it back")
		}
	}
}
