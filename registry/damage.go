package registry

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Damage is a layer, or the manifest of an image, whose bytes are not those of its
// digest, or are lost. Nobody gets it; what bytes there are stay for the operator to
// look at until it is healed, by whoever sends it again or from where Heal gets it, or
// goes with the last that holds it.
type Damage struct {
	Digest     digest.Digest
	Repository Name   // of a manifest; the zero Name for a layer
	Blob       string // of a layer: the id of its bytes
	Size       int64  // that it should have
	At         time.Time
	Found      string // what was found, in words
	// TriedAt is when it was last tried to heal it, and Tried why that failed.
	TriedAt time.Time
	Tried   string
}

// DamageDetail is the detail of ContentDamaged and ContentHealed.
type DamageDetail struct {
	What string // "layer" or "manifest"
	Size int64
	// Reason says what was found, or what healed it.
	Reason string
	Blob   string `json:",omitempty"` // of a damaged layer: the id of its bytes
}

// integrityCounts count what Integrity tells.
type integrityCounts struct {
	hashed, found, healed atomic.Int64
	scrubbed, scrubBytes  atomic.Int64
}

// IntegrityFigures are counted since the service was opened.
type IntegrityFigures struct {
	Hashed int64 // layers hashed before they were read
	Found  int64 // damages found
	Healed int64 // damages healed
	// Scrubbed are the layers and manifests that Scrub has hashed, ScrubBytes
	// their bytes.
	Scrubbed, ScrubBytes int64
	// Damaged are those that are damaged now, 1000 for more.
	Damaged int
}

// Integrity tells how bytes and digests agree.
func (s *Service) Integrity(ctx context.Context) (f IntegrityFigures, err error) {
	n := &s.integrity
	f = IntegrityFigures{
		Hashed: n.hashed.Load(), Found: n.found.Load(), Healed: n.healed.Load(), Scrubbed: n.scrubbed.Load(), ScrubBytes: n.scrubBytes.Load(),
	}
	list, err := s.Damages(ctx, maxDamages)
	f.Damaged = len(list)
	return f, err
}

const maxDamages = 1000

// Damages lists what is damaged, layers first, at most limit.
func (s *Service) Damages(ctx context.Context, limit int) (list []Damage, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		list = nil
		for f, err := range damages.Scan(r, table.Select{Limit: limit}) {
			if err != nil {
				return err
			}
			list = append(list, f.Row.public(f.Key))
		}
		if len(list) == limit {
			return nil
		}
		for f, err := range manifestDamages.Scan(r, table.Select{Limit: limit - len(list)}) {
			if err != nil {
				return err
			}
			list = append(list, f.Row.public(f.Key))
		}
		return nil
	})
	return list, err
}

func (row damageRow) public(key []string) Damage {
	d := Damage{Blob: row.Blob, Size: row.Size, At: row.At, Found: row.Found, TriedAt: row.TriedAt, Tried: row.Tried}
	d.Digest, _ = digest.Parse(key[len(key)-1]) // rows are written under digests
	if len(key) == 4 {
		d.Repository = Name{ID{key[0], key[1]}, row.Repository}
	}
	return d
}

func layerDamaged(name Name, d digest.Digest) *Error {
	e := refuse(LayerDamaged, "layer %s of %q is damaged on the server", d, name)
	e.Name, e.Digests = name, []digest.Digest{d}
	return e
}

// noteDamage takes a content out of sight whose blob is not what it should be, unless
// it has another one by now. The error is that of the store alone.
func (s *Service) noteDamage(ctx context.Context, d digest.Digest, blob string, row damageRow) error {
	noted := false
	err := s.update(storage.UseReserve(ctx), func(tx storage.Tx) error {
		noted = false
		content, err := contents.Get(tx, d.String())
		if err != nil || content.Blob != blob {
			return ignoreNotFound(err)
		}
		if known, err := damages.Has(tx, d.String()); err != nil || known {
			return err
		}
		row.Blob, row.Size, row.At = blob, content.Size, s.now().UTC()
		if err := damages.Put(tx, row, d.String()); err != nil {
			return err
		}
		noted = true
		return s.recordRegistry(ctx, tx, ContentDamaged, ID{}, eventRow{Digest: d, Detail: detail(DamageDetail{"layer", row.Size, row.Found, blob})})
	})
	if noted && err == nil {
		s.damageWasFound()
	}
	s.log.Error("A LAYER IS DAMAGED: nobody gets it until it is healed", "digest", d, "blob", blob, "found", row.Found, "noted", err == nil)
	return err
}

// noteLost is noteDamage for bytes that are not there.
func (s *Service) noteLost(ctx context.Context, d digest.Digest, row contentRow) error {
	return errors.Join(errDamaged, s.noteDamage(ctx, d, row.Blob, damageRow{Found: "the bytes are not there"}))
}

func (s *Service) damageWasFound() {
	s.integrity.found.Add(1)
	select {
	case s.damageFound <- struct{}{}:
	default:
	}
}

// DamageFound has a value when damage was found that is to be healed.
func (s *Service) DamageFound() <-chan struct{} { return s.damageFound }

// replaceContent gives a content another blob with the same bytes, whose former owner's
// row must go in the same transaction; the old one is condemned. healed says why, where it was damaged.
func (s *Service) replaceContent(ctx context.Context, tx storage.Tx, d digest.Digest, content contentRow, blob, stamp, why string) (contentRow, error) {
	if err := s.condemn(tx, content.Blob, content.Size); err != nil {
		return content, err
	}
	content.Blob, content.Stamp = blob, stamp
	err := errors.Join(owners.Put(tx, ownerRow{Content: d}, blob), contents.Put(tx, content, d.String()))
	if err != nil {
		return content, err
	}
	return content, s.liftDamage(ctx, tx, d, why)
}

// liftDamage ends the damage of a content, if it has any.
func (s *Service) liftDamage(ctx context.Context, tx storage.Tx, d digest.Digest, why string) error {
	row, err := damages.Get(tx, d.String())
	if err != nil {
		return ignoreNotFound(err)
	}
	if err := damages.Delete(tx, d.String()); err != nil {
		return err
	}
	s.integrity.healed.Add(1)
	return s.recordRegistry(ctx, tx, ContentHealed, ID{}, eventRow{Digest: d, Detail: detail(DamageDetail{What: "layer", Size: row.Size, Reason: why})})
}

// spoiltBlob is the blob of a content whose bytes may have been touched or are not
// there, "" if they are as they were: who has the same bytes again had better give
// them to it.
func (s *Service) spoiltBlob(ctx context.Context, d digest.Digest) (blob string, err error) {
	row, err := s.contentOf(ctx, d)
	if err != nil {
		return "", ignoreNotFound(err)
	}
	stamp, err := s.stampOf(ctx, row.Blob)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return row.Blob, nil // or a power cut has undone its seal, and it is right
	case err != nil:
		return "", fmt.Errorf("look at content %s: %w", d, err)
	case stamp != row.Stamp:
		return row.Blob, nil
	}
	return "", nil
}

func (s *Service) contentOf(ctx context.Context, d digest.Digest) (row contentRow, err error) {
	err = s.view(ctx, func(r storage.Reader) (err error) {
		row, err = contents.Get(r, d.String())
		return err
	})
	return row, err
}
