package registry

import (
	"fmt"

	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage/table"
)

// sizes: what is counted of repositories, registries and the store is what their rows
// add up to.
func (a *audit) sizes() {
	sums := newSizeSums()
	a.sumImages(sums)
	a.sumLayers(sums)
	a.sumTrash(sums)
	sameSizes(a, repositorySizes, func(row sizeRow, key []string) sizeRow {
		want := sums.repositories[key[0]]
		delete(sums.repositories, key[0])
		want.Account, want.Region, want.Dropped = row.Account, row.Region, has(a, dropped, row.Account, row.Region, key[0])
		return want
	})
	sameSizes(a, registrySizes, func(_ sizeRow, key []string) sizeRow {
		id := ID{key[0], key[1]}
		want := sums.registries[id]
		delete(sums.registries, id)
		return want
	})
	for id, row := range sums.repositories {
		a.missesSizes("reposize "+id, row)
	}
	for id, row := range sums.registries {
		a.missesSizes("registrysize "+join([]string{id.Account, id.Region}), row)
	}
	a.storeSizes()
}

func (a *audit) sumImages(sums sizeSums) {
	for f := range rowsOf(a, images) {
		if a.isAlive(f.Key) {
			sums.add(f.Key, f.Row.counted())
		}
	}
}

// sumTrash adds what is in the trash, of which a registry counts whole repositories too.
func (a *audit) sumTrash(sums sizeSums) {
	for f := range rowsOf(a, trash) {
		if a.isAlive(f.Key) {
			sums.add(f.Key, f.Row.Image.trashed())
		}
	}
	for f := range rowsOf(a, trashedRepositories) {
		sums.addToRegistry(f.Key, sums.repositories[f.Key[3]].inTrash())
	}
}

// sumLayers goes by holders, in which the repositories of a registry that hold the
// same layer stand together.
func (a *audit) sumLayers(sums sizeSums) {
	last := ""
	for f := range rowsOf(a, holders) {
		content, _ := get(a, contents, f.Key[2])
		key := []string{f.Key[0], f.Key[1], f.Key[3]}
		layer := join(f.Key[:3])
		sums.addHolder(key, content, layer != last)
		last = layer
		if row, _ := get(a, held, append(key, f.Key[2])...); row.Fresh && a.isAlive(key) {
			sums.add(key, sizeRow{Fresh: content.Size})
		}
	}
}

// sameSizes holds each row of sizes against what it should be.
func sameSizes(a *audit, t table.Table[sizeRow], wanted func(row sizeRow, key []string) sizeRow) {
	for f := range rowsOf(a, t) {
		if want := wanted(f.Row, f.Key); f.Row != want {
			a.fault(FaultCount, "sizes of "+join(f.Key), "they are %s and should be %s", f.Row, want)
		}
	}
}

// String names the numbers, for people who have to look for what is wrong.
func (row sizeRow) String() string {
	return fmt.Sprintf("%d images of %d bytes, %d of %d in the trash, %d of manifests, %d of layers, %d held by no other, %d not used yet",
		row.Images, row.Logical, row.TrashImages, row.Trash, row.Manifests, row.Layers, row.Sole, row.Fresh)
}

// missesSizes tells of a row of sizes that should be there.
func (a *audit) missesSizes(row string, want sizeRow) {
	want.Account, want.Region = "", ""
	if want != (sizeRow{}) {
		a.fault(FaultCount, row, "it is not there and should be %s", want)
	}
}

// storeSizes: what the store counts.
func (a *audit) storeSizes() {
	want := storeSizeRow{}
	for f := range rowsOf(a, contents) {
		want.Contents += f.Row.Size
	}
	for f := range rowsOf(a, condemned) {
		want.Condemned += f.Row.Size
	}
	for f := range rowsOf(a, uploads) {
		want.Uploads += f.Row.Offset
	}
	if row, _ := get(a, storeSizes, storeSizesKey); row != want {
		a.fault(FaultCount, "storesize "+storeSizesKey, "it is %+v and should be %+v", row, want)
	}
}

// imageSize: an image counts what it uses.
func (a *audit) imageSize(repo repository, img stored, m manifest.Manifest) {
	size := int64(0)
	for d := range layersOf(m) {
		if has(a, usesBy(img.row.status()), repo.key(d.String(), img.digest.String())...) {
			row, _ := get(a, held, repo.key(d.String())...)
			size += row.Size
		}
	}
	if size != img.row.Layers {
		a.fault(FaultCount, "image "+join(repo.key(img.digest.String())), "it counts %d bytes of layers and has %d", img.row.Layers, size)
	}
}
