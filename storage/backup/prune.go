package backup

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Pruned is what Prune removed.
type Pruned struct {
	Backups []string `json:"backups"` // ids
	Files   int      `json:"files"`   // manifests and all else
	Bytes   int64    `json:"bytes"`
}

// Prune removes all but the newest backups that have a snapshot of their own, with what
// goes on from those, and then every blob that no backup names any more. Nothing is removed
// while a manifest cannot be read, which may name what others do not.
func Prune(ctx context.Context, t Target, keep int) (done Pruned, err error) {
	if keep < 1 {
		return done, errors.New("one backup at least must be kept")
	}
	if _, err := readMark(ctx, t); err != nil {
		return done, err
	}
	ctx, unlock, err := t.Lock(ctx)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := t.Tidy(ctx); err != nil {
		return done, err
	}
	list, err := List(ctx, t)
	if err != nil {
		return done, err
	}
	for _, l := range list {
		if l.Fault != "" {
			return done, fmt.Errorf("%s: %w: nothing is removed while backup %s cannot be read: %s", t, ErrDamaged, l.ID, l.Fault)
		}
	}
	stay, goes := split(list, keep)
	return done, prune(ctx, t, stay, goes, &done)
}

// split tells the backups that stay from the ones that go.
func split(list []Listed, keep int) (stay, goes []Manifest) {
	full := 0
	for _, l := range list {
		if l.Base == "" {
			full++
		}
	}
	kept := map[string]bool{}
	for _, l := range list {
		if l.Base == "" {
			kept[l.ID] = full <= keep
			full--
		}
	}
	for range list { // a chain is no longer than the list
		for _, l := range list {
			if l.Base != "" {
				kept[l.ID] = kept[l.Base]
			}
		}
	}
	for _, l := range list {
		if kept[l.ID] {
			stay = append(stay, l.Manifest)
		} else {
			goes = append(goes, l.Manifest)
		}
	}
	return stay, goes
}

// prune removes manifests first, so that no backup is ever seen that lacks something.
func prune(ctx context.Context, t Target, stay, goes []Manifest, done *Pruned) error {
	named := map[string]bool{}
	for _, m := range stay {
		for name := range partsOf(m) {
			named[name] = true
		}
		_, _, err := readManifest(ctx, t, m.ID, nil, func(b Blob) error {
			named[blobName(b.ID)] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, m := range goes {
		if err := t.Delete(ctx, manifestName(m.ID)); err != nil {
			return err
		}
		done.Backups = append(done.Backups, m.ID)
		done.Files++
	}
	if err := t.Sync(ctx); err != nil {
		return err
	}
	for f, err := range t.List(ctx, "") {
		if err != nil {
			return err
		}
		if named[f.Name] || !ours(f.Name) {
			continue
		}
		if err := t.Delete(ctx, f.Name); err != nil {
			return err
		}
		done.Files++
		done.Bytes += f.Size
	}
	return nil
}

// ours says whether a file is one that Prune may remove if nobody names it.
func ours(name string) bool {
	dir, _, _ := strings.Cut(path.Clean(name), "/")
	return dir == blobsDir || dir == snapshotsDir || dir == recordsDir || dir == secretsDir
}
