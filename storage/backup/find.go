package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"
)

// Wanted says which state is to be restored: the last one, or what one of its members says.
type Wanted struct {
	// ID is a backup's; its whole state is wanted.
	ID string
	// Number is that of the last update that is to be in the state.
	Number uint64
	// At is the time whose state is wanted.
	At time.Time
}

// Backup is a state that a target has, found by Find.
type Backup struct {
	// Manifest is that of the last part of it, and Full of the one that has the snapshot;
	// they are the same for a backup that needs no records.
	Manifest, Full Manifest

	target Target
	want   Wanted
	chain  []Manifest // from Full to Manifest
	blobs  map[string]Blob
}

// Listed is a backup in a list.
type Listed struct {
	Manifest
	Total
	// Fault is why it cannot be used; then only its id is known.
	Fault string `json:"fault,omitempty"`
}

// List lists the backups of a target, oldest first. The error is ErrForeign if it holds
// something else, ErrNone if it is empty.
func List(ctx context.Context, t Target) ([]Listed, error) {
	if _, err := readMark(ctx, t); err != nil {
		return nil, err
	}
	ids, err := manifestIDs(ctx, t)
	if err != nil {
		return nil, err
	}
	list, faulty := []Listed{}, []Listed{}
	for _, id := range ids {
		m, total, err := readManifest(ctx, t, id, nil, func(Blob) error { return nil })
		switch {
		case errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer):
			faulty = append(faulty, Listed{Manifest: Manifest{ID: id}, Fault: err.Error()})
		case err != nil:
			return nil, err
		default:
			list = append(list, Listed{Manifest: m, Total: total})
		}
	}
	slices.SortStableFunc(list, func(a, b Listed) int { return cmp.Compare(a.Serial, b.Serial) })
	for _, f := range faulty { // where they stood is not known but for the times in the ids
		at := len(list)
		for at > 0 && madeAt(list[at-1].ID) > madeAt(f.ID) {
			at--
		}
		list = slices.Insert(list, at, f)
	}
	return list, nil
}

// madeAt is the part of an id that tells when the backup was made, to the second.
func madeAt(id string) string { return id[:len("20060102T150405Z")] }

// Find finds a state and reads what belongs to it. With a key, that of Options.Sign, it
// checks that the store's own program wrote it; without one, only that it is undamaged.
//
// The error is ErrNone where there is no such state, ErrForeign, ErrNewer or ErrDamaged.
func Find(ctx context.Context, t Target, want Wanted, key []byte) (*Backup, error) {
	list, err := List(ctx, t)
	if err != nil {
		return nil, err
	}
	all := manifests{}
	for _, l := range list {
		if l.Fault == "" {
			all = append(all, l.Manifest)
		} else if want == (Wanted{ID: want.ID}) && (want.ID == l.ID || want.ID == "" && l.ID == list[len(list)-1].ID) {
			_, _, err := readManifest(ctx, t, l.ID, nil, func(Blob) error { return nil })
			return nil, fmt.Errorf("%s: %w", t, err)
		}
	}
	chain, err := all.chain(want)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	b := &Backup{Manifest: chain[len(chain)-1], Full: chain[0], target: t, want: want, chain: chain, blobs: map[string]Blob{}}
	for _, m := range chain {
		_, _, err := readManifest(ctx, t, m.ID, key, func(blob Blob) error {
			if old, ok := b.blobs[blob.ID]; !ok || old.Damaged != "" {
				b.blobs[blob.ID] = blob
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
	}
	return b, nil
}

// manifests are the backups of a target that can be read, oldest first.
type manifests []Manifest

// chain is what a state needs: a backup with a snapshot and what goes on from it.
func (all manifests) chain(want Wanted) ([]Manifest, error) {
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: it has none that can be read", ErrNone)
	}
	if want.Number == 0 && want.At.IsZero() {
		return all.leadingTo(want.ID)
	}
	lineage := all[len(all)-1].Lineage
	for _, m := range slices.Backward(all) {
		if m.Base != "" || m.Lineage != lineage || !want.after(m) {
			continue
		}
		chain := all.from(m)
		for i, part := range chain {
			if want.within(part) {
				return chain[:i+1], nil
			}
		}
		return nil, fmt.Errorf("%w: what is wanted is later than backup %s, of update %d at %s, and the changes after it were not kept%s",
			ErrNone, chain[len(chain)-1].ID, chain[len(chain)-1].Number, chain[len(chain)-1].Time.Format(time.RFC3339Nano), all.next(m))
	}
	return nil, fmt.Errorf("%w: its first state is of update %d at %s", ErrNone, all[0].Number, all[0].Time.Format(time.RFC3339Nano))
}

// after says whether the state is that of a backup, or a later one.
func (want Wanted) after(m Manifest) bool {
	return (want.Number == 0 || m.Number <= want.Number) && (want.At.IsZero() || !m.Time.After(want.At))
}

// within says whether a part of a chain reaches as far as the state.
func (want Wanted) within(m Manifest) bool {
	return (want.Number == 0 || m.Number >= want.Number) && (want.At.IsZero() || !m.Time.Before(want.At))
}

// next names the backup with a snapshot that comes after another.
func (all manifests) next(m Manifest) string {
	for _, n := range all {
		if n.Base == "" && n.Lineage == m.Lineage && n.Number > m.Number {
			return fmt.Sprintf("; the next is %s, of update %d at %s", n.ID, n.Number, n.Time.Format(time.RFC3339Nano))
		}
	}
	return ""
}

// leadingTo is the chain that ends with a backup; "" is the last one.
func (all manifests) leadingTo(id string) ([]Manifest, error) {
	m := all[len(all)-1]
	if id != "" {
		i := slices.IndexFunc(all, func(m Manifest) bool { return m.ID == id })
		if i < 0 {
			return nil, errors.Join(CheckID(id), fmt.Errorf("%w: %.60s", ErrNone, id))
		}
		m = all[i]
	}
	chain := []Manifest{m}
	for chain[0].Base != "" {
		i := slices.IndexFunc(all, func(m Manifest) bool { return m.ID == chain[0].Base })
		if i < 0 || len(chain) > len(all) || all[i].Number+1 != chain[0].First || all[i].Lineage != m.Lineage {
			return nil, fmt.Errorf("%w: backup %s goes on from %s, which is not there", ErrDamaged, chain[0].ID, chain[0].Base)
		}
		chain = slices.Insert(chain, 0, all[i])
	}
	return chain, nil
}

// from is the longest chain that begins with a backup.
func (all manifests) from(m Manifest) []Manifest {
	chain := []Manifest{m}
	for {
		last := chain[len(chain)-1]
		i := slices.IndexFunc(all, func(n Manifest) bool {
			return n.Base == last.ID && n.First == last.Number+1 && n.Lineage == last.Lineage && n.Number > last.Number
		})
		if i < 0 {
			return chain
		}
		chain = append(chain, all[i])
	}
}

// partNames are the names of the files of a chain, beside blobs, with what the manifests
// say of them.
func partsOf(m Manifest) map[string]Part {
	parts := map[string]Part{}
	for dir, p := range map[string]*Part{snapshotsDir: m.Snapshot, recordsDir: m.Records, secretsDir: m.Secrets} {
		if p != nil {
			parts[path.Join(dir, m.ID)] = *p
		}
	}
	return parts
}
