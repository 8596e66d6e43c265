package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Unsigned is an image that waits for the signature of a profile.
type Unsigned struct {
	Repository   Name
	RepositoryID string
	Digest       digest.Digest
	Profile      string // its ARN
	Due          time.Time
	Tries        int // that were in vain
}

func (u Unsigned) key() []string {
	return []string{u.Repository.id.Account, u.Repository.id.Region, u.RepositoryID, u.Digest.String(), u.Profile}
}

// Unsigned lists the images that wait for a signature and are due, first those that have
// waited longest, at most limit. next is when the first of the others is due, zero if
// there are none or the list is full.
func (s *Service) Unsigned(ctx context.Context, limit int) (list []Unsigned, next time.Time, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		list, next = nil, time.Time{}
		for f, err := range signingsDue.Scan(r, table.Select{Limit: limit}) {
			if err != nil {
				return err
			}
			u, err := readUnsigned(r, f)
			if err != nil {
				return err
			}
			if u.Due.After(s.now()) {
				next = u.Due
				return nil
			}
			list = append(list, u)
		}
		return nil
	})
	return list, next, err
}

func readUnsigned(rd storage.Reader, f table.Found[dueRow]) (u Unsigned, err error) {
	at, err := strconv.ParseInt(f.Key[0], 16, 64)
	if err != nil {
		return u, fmt.Errorf("key of what is to be signed: %w", err)
	}
	d, err := digest.Parse(f.Key[4])
	if err != nil {
		return u, fmt.Errorf("key of what is to be signed: %w", err)
	}
	row, err := signings.Get(rd, f.Key[1:]...)
	return Unsigned{
		Repository: Name{ID{f.Key[1], f.Key[2]}, f.Row.Repository}, RepositoryID: f.Key[3], Digest: d, Profile: f.Key[5],
		Due: time.Unix(0, at).UTC(), Tries: row.Tries,
	}, ignoreNotFound(err)
}

// AwaitUnsigned returns when an image waits for a signature and is due, or with ctx's
// error when ctx ends. Other processes' are noticed within a second.
func (s *Service) AwaitUnsigned(ctx context.Context) error {
	return s.await(ctx, func() (bool, error) {
		list, _, err := s.Unsigned(ctx, 1)
		return len(list) > 0, err
	})
}

// UnsignedCount is how many images wait for a signature, each for every profile, counted
// up to MostCounted.
func (s *Service) UnsignedCount(ctx context.Context) (n int, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		n = 0
		for _, err := range signingsDue.Scan(r, table.Select{Limit: MostCounted}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// ToSign is the image of u as far as a signature is about it. Refusals:
// RepositoryNotFound, ImageNotFound.
func (s *Service) ToSign(ctx context.Context, u Unsigned) (img Image, err error) {
	err = s.onImage(ctx, u.Repository, Ref{Digest: u.Digest}, func(_ storage.Reader, repo repository, found stored) error {
		if repo.row.ID != u.RepositoryID {
			return repositoryNotFound(u.Repository)
		}
		img = found.row.public(u.Repository, found.digest)
		return nil
	})
	return img, err
}

// Signature is a signature of an image, as its manifest tells of it.
type Signature struct {
	Digest      digest.Digest // of its manifest
	Annotations map[string]string
	Envelopes   []manifest.Descriptor // its layers
}

// SignaturesOf lists the signatures of an image that are of the Notary Project, in
// whatever status, at most limit of those behind a digest ("" for the first page). next is
// as for Referrers. Upstreams are not asked, and whatever is damaged is left out. Refusals:
// RepositoryNotFound, PageInvalid.
func (s *Service) SignaturesOf(ctx context.Context, name Name, subject digest.Digest, after string, limit int) (page []Signature, next string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		page = nil
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		var found []Referrer
		if found, next, err = repo.referrers(r, subject, ReferrerFilter{ArtifactTypes: []string{SignatureType}, Status: AnyStatus}, after, limit); err != nil {
			return err
		}
		for _, f := range found {
			img, err := repo.image(r, Ref{Digest: f.Digest})
			if err != nil {
				return err
			}
			m, err := repo.parsed(r, img)
			if errors.As(err, new(*manifestDamaged)) {
				continue
			}
			if err != nil {
				return err
			}
			page = append(page, Signature{f.Digest, m.Annotations, m.Layers})
		}
		return nil
	})
	return page, next, err
}

// NoteSigned says that the signature that u waits for is there. One that waits no more is
// left alone.
func (s *Service) NoteSigned(ctx context.Context, u Unsigned, signature digest.Digest) error {
	return s.settleSigning(ctx, u, signingRow{State: SigningComplete, Signature: signature})
}

// FailSigning gives a signature up, with one of the Unsigned codes and a sentence. One
// that waits no more is left alone.
func (s *Service) FailSigning(ctx context.Context, u Unsigned, code, reason string) error {
	return s.settleSigning(ctx, u, signingRow{State: SigningFailed, Code: code, Reason: reason})
}

// RetrySigning counts a try that was in vain, and lets u rest for a while. One that waits
// no more is left alone.
func (s *Service) RetrySigning(ctx context.Context, u Unsigned, rest time.Duration) error {
	return s.settleSigning(ctx, u, signingRow{State: SigningInProgress, Tries: u.Tries + 1, Due: s.now().Add(rest).UTC()})
}

// settleSigning takes u out of the queue and puts a status in the place of the one that
// waits.
func (s *Service) settleSigning(ctx context.Context, u Unsigned, row signingRow) error {
	return s.update(ctx, func(tx storage.Tx) error {
		place := dueKey(u.Due, u.key())
		was, err := signingsDue.Get(tx, place...)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := signingsDue.Delete(tx, place...); err != nil {
			return err
		}
		if there, err := signings.Has(tx, u.key()...); err != nil || !there {
			return err
		}
		if !row.Due.IsZero() {
			if err := signingsDue.Put(tx, was, dueKey(row.Due, u.key())...); err != nil {
				return err
			}
		}
		row.UpdatedAt = s.now().UTC()
		return signings.Put(tx, row, u.key()...)
	})
}
