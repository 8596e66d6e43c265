package registry

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Sizes are how much a repository or a registry has, in bytes. docs/sizes.md says
// what is counted where; in short: an image is its manifest and the layers that it
// uses (its config is one), each once; archived images count like others, those in the
// trash are counted apart.
type Sizes struct {
	// Images are those in sight.
	Images int64
	// Logical is the sum of what the images in sight have, so that a layer counts as
	// often as images use it. Quotas are on this.
	Logical int64
	// Physical is every manifest, in sight or in the trash, and every layer that is
	// held, once.
	Physical int64
	// Unique is the part of Physical that no other repository of the server has: what
	// the store would give back if the repository went. Of a registry it is the sum
	// over its repositories.
	Unique int64
	// Pending are layers that were uploaded or mounted and that no image has used yet,
	// the part of quotas that Logical does not have. Open uploads are not in it.
	Pending int64
	// TrashImages and Trash are as Images and Logical, of what is in the trash.
	TrashImages, Trash int64

	manifests int64
}

// Shared is the part of Physical that other repositories have too.
func (s Sizes) Shared() int64 { return s.Physical - s.Unique }

// StoreSizes are how much the whole server has, in bytes.
type StoreSizes struct {
	Contents  int64 // of layers, each once however many repositories hold it
	Condemned int64 // of blobs that are about to be deleted
	Uploads   int64 // of open uploads, as far as their rows say: at most 16 MiB or a second behind
	Manifests int64 // in sight or in the trash
}

// Physical is all of it.
func (s StoreSizes) Physical() int64 { return s.Contents + s.Condemned + s.Uploads + s.Manifests }

// Sizes are kept in rows of their own, each changed in the transaction that changes
// what it counts. A row that would count nothing is not there.
var (
	// repository id. A row of the server: content rows know who alone holds them by
	// the id.
	repositorySizes = table.New[sizeRow]("reposize", 1)
	// account, region
	registrySizes = table.New[sizeRow]("registrysize", 2)
	// storeSizesKey
	storeSizes = table.New[storeSizeRow]("storesize", 1)
)

const storeSizesKey = "all"

// sizeRow counts what a repository or a registry has. What a deleted repository had
// is in no row of a registry any more, but for Layers and Sole: it holds its layers
// until it is cleared away.
type sizeRow struct {
	Images, Logical    int64 // in sight
	TrashImages, Trash int64 // in the trash
	Manifests          int64 // in both
	Layers             int64 // that are held, each once
	Sole               int64 // of Layers, what one repository of the server alone holds
	Fresh              int64 // of Layers, what no image has used yet
	// Account and Region are where a repository is; "" in the row of a registry.
	Account, Region string
	// Dropped says that the repository was deleted and is being cleared away.
	Dropped bool
}

func (row *sizeRow) numbers() []*int64 {
	return []*int64{&row.Images, &row.Logical, &row.TrashImages, &row.Trash, &row.Manifests, &row.Layers, &row.Sole, &row.Fresh}
}

func (row *sizeRow) add(change sizeRow) {
	by := change.numbers()
	for i, n := range row.numbers() {
		*n += *by[i]
	}
}

func (row sizeRow) negative() sizeRow {
	for _, n := range row.numbers() {
		*n = -*n
	}
	return row
}

// inSight leaves out what a registry does not count of a deleted repository.
func (row sizeRow) inSight() sizeRow {
	row.Layers, row.Sole = 0, 0
	return row
}

// MarshalBinary implements encoding.BinaryMarshaler: numbers first, so that more of
// them can come.
func (row sizeRow) MarshalBinary() ([]byte, error) {
	b := appendNumbers(nil, row.numbers())
	if row.Account == "" {
		return b, nil
	}
	mark := ""
	if row.Dropped {
		mark = " dropped"
	}
	return append(b, row.Account+" "+row.Region+mark...), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (row *sizeRow) UnmarshalBinary(b []byte) error {
	*row = sizeRow{}
	rest, err := readNumbers(b, row.numbers())
	place := strings.Split(string(rest), " ")
	if err != nil || len(place) < 2 {
		return err
	}
	row.Account, row.Region, row.Dropped = place[0], place[1], len(place) > 2
	return nil
}

func (row sizeRow) public() Sizes {
	return Sizes{
		Images: row.Images, Logical: row.Logical, TrashImages: row.TrashImages, Trash: row.Trash,
		Physical: row.Manifests + row.Layers, Unique: row.Manifests + row.Sole, Pending: row.Fresh,
		manifests: row.Manifests,
	}
}

// appendNumbers puts a count and then the numbers.
func appendNumbers(b []byte, list []*int64) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, n := range list {
		b = binary.AppendVarint(b, *n)
	}
	return b
}

var errSizeRow = errors.New("row of sizes is damaged")

// readNumbers reads what appendNumbers put; numbers that the row does not have yet
// stay zero.
func readNumbers(b []byte, into []*int64) (rest []byte, err error) {
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(into)) {
		return nil, errSizeRow
	}
	for _, v := range into[:count] {
		b = b[n:]
		if *v, n = binary.Varint(b); n <= 0 {
			return nil, errSizeRow
		}
	}
	return b[n:], nil
}

// storeSizeRow counts what lies in the store of blobs.
type storeSizeRow struct {
	Contents, Condemned, Uploads int64
}

func (row *storeSizeRow) numbers() []*int64 {
	return []*int64{&row.Contents, &row.Condemned, &row.Uploads}
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (row storeSizeRow) MarshalBinary() ([]byte, error) {
	return appendNumbers(nil, row.numbers()), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (row *storeSizeRow) UnmarshalBinary(b []byte) error {
	_, err := readNumbers(b, row.numbers())
	return err
}

// resizeStore adds to what the store counts.
func resizeStore(tx storage.Tx, change storeSizeRow) error {
	if change == (storeSizeRow{}) {
		return nil
	}
	row, err := storeSizes.Get(tx, storeSizesKey)
	if ignoreNotFound(err) != nil {
		return err
	}
	by := change.numbers()
	for i, n := range row.numbers() {
		*n += *by[i]
	}
	if row == (storeSizeRow{}) {
		return storeSizes.Delete(tx, storeSizesKey)
	}
	return storeSizes.Put(tx, row, storeSizesKey)
}

// resize adds to what a repository and its registry count; repo is the key of the
// repository, of a change of which Layers are counted apart: see resizeLayer.
func resize(tx storage.Tx, repo []string, change sizeRow) error {
	if change == (sizeRow{}) {
		return nil
	}
	row, err := resizeRepository(tx, repo, change)
	if err != nil {
		return err
	}
	change.Layers = 0
	if row.Dropped {
		change = sizeRow{Sole: change.Sole}
	}
	return resizeRegistry(tx, repo[0], repo[1], change)
}

func resizeRepository(tx storage.Tx, repo []string, change sizeRow) (sizeRow, error) {
	row, err := repositorySizes.Get(tx, repo[2])
	if ignoreNotFound(err) != nil {
		return row, err
	}
	if row.Dropped {
		change = sizeRow{Layers: change.Layers, Sole: change.Sole}
	}
	row.add(change)
	if row.Account, row.Region = "", ""; row == (sizeRow{}) {
		return row, repositorySizes.Delete(tx, repo[2])
	}
	row.Account, row.Region = repo[0], repo[1]
	return row, repositorySizes.Put(tx, row, repo[2])
}

func resizeRegistry(tx storage.Tx, account, region string, change sizeRow) error {
	change.Account, change.Region, change.Dropped = "", "", false
	if change == (sizeRow{}) {
		return nil
	}
	row, err := registrySizes.Get(tx, account, region)
	if ignoreNotFound(err) != nil {
		return err
	}
	row.add(change)
	if row == (sizeRow{}) {
		return registrySizes.Delete(tx, account, region)
	}
	return registrySizes.Put(tx, row, account, region)
}

// dropSizes takes a repository that is being deleted out of what its registry counts.
func dropSizes(tx storage.Tx, repo repository) error {
	row, err := repositorySizes.Get(tx, repo.row.ID)
	if ignoreNotFound(err) != nil {
		return err
	}
	if err := resizeRegistry(tx, repo.name.id.Account, repo.name.id.Region, row.inSight().negative()); err != nil {
		return err
	}
	dropped := sizeRow{Layers: row.Layers, Sole: row.Sole, Account: repo.name.id.Account, Region: repo.name.id.Region, Dropped: true}
	return repositorySizes.Put(tx, dropped, repo.row.ID)
}

// inTrash is what changes in a registry when a repository goes into the trash.
func (row sizeRow) inTrash() sizeRow {
	return sizeRow{Images: -row.Images, Logical: -row.Logical, TrashImages: row.Images, Trash: row.Logical}
}

// trashSizes counts what a repository has as in the trash, or as back in sight.
func trashSizes(tx storage.Tx, repo repository, in bool) error {
	row, err := repositorySizes.Get(tx, repo.row.ID)
	if ignoreNotFound(err) != nil {
		return err
	}
	change := row.inTrash()
	if !in {
		change = change.negative()
	}
	return resizeRegistry(tx, repo.name.id.Account, repo.name.id.Region, change)
}

// layersOf are the config and layers of a manifest, each once.
func layersOf(m manifest.Manifest) map[digest.Digest]bool {
	all := map[digest.Digest]bool{}
	for _, b := range blobsOf(m) {
		all[b.Digest] = true
	}
	return all
}

// logical is how much an image has.
func (row imageRow) logical() int64 { return row.ManifestSize + row.Layers }

// counted is what an image in sight adds to the sizes of its repository.
func (row imageRow) counted() sizeRow {
	return sizeRow{Images: 1, Logical: row.logical(), Manifests: row.ManifestSize}
}

// trashed is what an image in the trash adds to the sizes of its repository.
func (row imageRow) trashed() sizeRow {
	return sizeRow{TrashImages: 1, Trash: row.logical(), Manifests: row.ManifestSize}
}

// holdersXOR is who holds a content, such that the last one alone is known by id: the
// ids of all holders, one over the other. "" is none.
type holdersXOR string

// with adds the id of a repository that is not among the holders, or takes out one
// that is.
func (x holdersXOR) with(id string) (holdersXOR, error) {
	sum, err := hex.DecodeString(string(x))
	if err != nil {
		return "", fmt.Errorf("holders of a content: %w", err)
	}
	one, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil {
		return "", fmt.Errorf("id of a repository: %w", err)
	}
	for i := range sum {
		one[i%len(one)] ^= sum[i]
	}
	return holdersXOR(hex.EncodeToString(one)), nil
}

// sole is the id of the one holder.
func (x holdersXOR) sole() string {
	if len(x) != 32 {
		return ""
	}
	s := string(x)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// countImage counts a new image in sight, if there is room for it. fresh is how much
// of what it uses no image used before.
func (s *Service) countImage(tx storage.Tx, repo repository, row imageRow, fresh int64) error {
	change := row.counted()
	change.Fresh = -fresh
	if err := resize(tx, repo.key(), change); err != nil {
		return err
	}
	if err := s.checkImages(tx, repo.name); err != nil {
		return err
	}
	return s.checkQuota(tx, repo)
}

// resizeHolder counts a content's holder that comes, ahead of its row, or that went,
// with what that changes of the sizes of its repository, and of the one that has held
// the content alone or does now. fresh is what that changes of those that no image has
// used.
func resizeHolder(tx storage.Tx, repo []string, d string, content contentRow, comes bool, fresh int64) (contentRow, error) {
	without, delta := content.By, content.Size
	by, err := content.By.with(repo[2])
	if err != nil {
		return content, err
	}
	content.By = by
	others := content.Holders
	if content.Holders++; !comes {
		content.Holders -= 2
		without, delta, others = by, -delta, content.Holders
	}
	if delta == 0 { // an empty layer
		return content, nil
	}
	change := sizeRow{Layers: delta, Fresh: fresh}
	if others == 0 {
		change.Sole = delta
	}
	if err := resizeLayer(tx, repo, d, change); err != nil || others != 1 {
		return content, err
	}
	sole, err := repositorySizes.Get(tx, without.sole())
	if err != nil {
		return content, fmt.Errorf("sizes of the one other repository that holds %s: %w", d, err)
	}
	return content, resize(tx, []string{sole.Account, sole.Region, without.sole()}, sizeRow{Sole: -delta})
}

// resizeLayer counts a layer that comes to a repository or went: its registry has it if
// no other repository of it holds the layer.
func resizeLayer(tx storage.Tx, repo []string, d string, change sizeRow) error {
	row, err := resizeRepository(tx, repo, change)
	if err != nil {
		return err
	}
	if row.Dropped {
		change.Fresh = 0
	}
	for _, err := range holders.Scan(tx, table.Select{Prefix: []string{repo[0], repo[1], d}, Limit: 1}) {
		if err != nil {
			return err
		}
		change.Layers = 0 // another repository of the registry holds it
	}
	return resizeRegistry(tx, repo[0], repo[1], change)
}
