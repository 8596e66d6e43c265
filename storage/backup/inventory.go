package backup

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/seed-78150930/berth/storage"
)

// inventory is what a target has.
type inventory struct {
	manifests []Manifest // oldest first
	blobs     map[string]kept
}

// kept is a blob's file in a target.
type kept struct {
	size int64
	sum  [sha256.Size]byte
	sure bool // a manifest has told its checksum, or its file was read
}

// manifestIDs lists the backups of a target, oldest first.
func manifestIDs(ctx context.Context, t Target) (ids []string, err error) {
	for f, err := range t.List(ctx, manifestsDir) {
		if err != nil {
			return nil, err
		}
		if id := path.Base(f.Name); f.Name == manifestName(id) && CheckID(id) == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids) // they begin with their time
	return ids, nil
}

// takeInventory reads what a target has. Backups whose manifests cannot be read count for
// nothing here: they are not what a new one builds on.
func takeInventory(ctx context.Context, t Target) (*inventory, error) {
	have := &inventory{blobs: map[string]kept{}}
	for f, err := range t.List(ctx, blobsDir) {
		if err != nil {
			return nil, err
		}
		if id := path.Base(f.Name); storage.CheckID(id) == nil && f.Name == blobName(id) {
			have.blobs[id] = kept{size: f.Size}
		}
	}
	ids, err := manifestIDs(ctx, t)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := have.read(ctx, t, id); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(have.manifests, func(a, b Manifest) int { return cmp.Compare(a.Serial, b.Serial) })
	return have, nil
}

// read notes what a manifest tells.
func (have *inventory) read(ctx context.Context, t Target, id string) error {
	told := map[string]kept{}
	m, _, err := readManifest(ctx, t, id, nil, func(b Blob) error {
		if k, ok := have.blobs[b.ID]; ok && !k.sure && b.Damaged == "" && k.size == b.Size {
			k.sure = true
			_, err := hex.Decode(k.sum[:], []byte(b.SHA256))
			told[b.ID] = k
			return err
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrDamaged):
		return nil
	case errors.Is(err, ErrNewer):
		return fmt.Errorf("%s: %w", t, err)
	case err != nil:
		return err
	}
	for id, k := range told {
		have.blobs[id] = k
	}
	have.manifests = append(have.manifests, m)
	return nil
}

// serial is that of the next backup.
func (have *inventory) serial() int {
	if len(have.manifests) == 0 {
		return 1
	}
	return have.manifests[len(have.manifests)-1].Serial + 1
}

// newest is the last backup of a history.
func (have *inventory) newest(lineage string) (Manifest, bool) {
	for _, m := range slices.Backward(have.manifests) {
		if m.Lineage == lineage && lineage != "" {
			return m, true
		}
	}
	return Manifest{}, false
}
