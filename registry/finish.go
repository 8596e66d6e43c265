package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// Finish says what a finished upload must be.
type Finish struct {
	// Digests are what the caller says the bytes are; one must hold.
	Digests []digest.Digest
	// Parts asks for ECR's rules of uploads by parts: at least one part, and
	// all but the last at least 5 MiB.
	Parts bool
}

// FinishUpload turns an upload into a layer of the repository. An upload whose
// digest is wrong, or that a quota has no room for any more, is gone. Refusals: RepositoryNotFound, UploadNotFound,
// UploadOffset (a request works on it), LayerDigestMismatch, UploadEmpty,
// UploadPartTooSmall, QuotaExceeded.
func (s *Service) FinishUpload(ctx context.Context, name Name, id string, f Finish) (Layer, error) {
	u, err := s.acquire(ctx, name, id)
	if err != nil {
		return Layer{}, err
	}
	defer s.release(u)
	if f.Parts {
		if err := u.checkParts(); err != nil {
			return Layer{}, err
		}
	}
	if err := s.seal(ctx, u); err != nil {
		return Layer{}, fmt.Errorf("finish upload %s: %w", id, err)
	}
	failpoint.Hit(failpoint.UploadSealed)
	d, err := s.verify(ctx, u, f.Digests)
	if err != nil {
		return Layer{}, err
	}
	if d.IsZero() {
		return Layer{}, s.mismatch(ctx, u)
	}
	as, err := s.stampSealed(ctx, u, d)
	if err != nil {
		return Layer{}, fmt.Errorf("finish upload %s: %w", id, err)
	}
	l, err := s.keep(ctx, u, d, as)
	if CodeOf(err) == QuotaExceeded {
		err = errors.Join(err, s.discard(ctx, u))
	}
	if err != nil {
		return Layer{}, err
	}
	failpoint.Hit(failpoint.UploadKept)
	s.end(u)
	return l, nil
}

func (u *session) checkParts() error {
	var e *Error
	switch {
	case u.row.Offset == 0:
		e = refuse(UploadEmpty, "upload %s has no parts", u.id)
	case u.row.SmallPart:
		e = refuse(UploadPartTooSmall, "a part of upload %s before the last is under 5 MiB", u.id)
	default:
		return nil
	}
	e.Name, e.Upload = u.name, u.id
	return e
}

// seal ends an upload's blob where the upload stands.
func (s *Service) seal(ctx context.Context, u *session) error {
	if u.ragged {
		if err := s.trim(ctx, u); err != nil {
			return err
		}
	}
	return storeError(s.blobs.Seal(ctx, u.blob))
}

// trim drops what the blob holds beyond the upload's offset: those bytes were
// never hashed, or their hash was given up. An empty blob is made.
func (s *Service) trim(ctx context.Context, u *session) error {
	_, err := s.blobs.Append(ctx, u.blob, u.row.Offset, bytes.NewReader(nil))
	if !errors.Is(err, storage.ErrSealed) {
		return storeError(err)
	}
	// It was finished once, and the process died before the row said so.
	r, err := s.blobs.Open(ctx, u.blob)
	if err != nil {
		return err
	}
	defer r.Close()
	if size, err := r.Seek(0, io.SeekEnd); err != nil || size == u.row.Offset {
		return err
	}
	return uploadNotFound(u.name, u.id)
}

// verify returns the digest among those claimed that the bytes have, the zero
// one if none. Bytes are read again only for an algorithm that they were not
// hashed with on their way.
func (s *Service) verify(ctx context.Context, u *session, claimed []digest.Digest) (digest.Digest, error) {
	known := map[digest.Algorithm]digest.Digest{u.row.Algorithm: digest.FromHash(u.row.Algorithm, u.hash)}
	for _, want := range claimed {
		d, ok := known[want.Algorithm()]
		if !ok {
			var err error
			if d, err = s.rehash(ctx, u.blob, want.Algorithm()); err != nil {
				return digest.Digest{}, err
			}
			known[want.Algorithm()] = d
		}
		if d == want {
			return d, nil
		}
	}
	return digest.Digest{}, nil
}

func (s *Service) rehash(ctx context.Context, blob string, a digest.Algorithm) (digest.Digest, error) {
	r, err := s.blobs.Open(ctx, blob)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("hash blob again: %w", err)
	}
	defer r.Close()
	d, err := s.hashFrom(ctx, r, a)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("hash blob again: %w", err)
	}
	return d, nil
}

func (s *Service) mismatch(ctx context.Context, u *session) error {
	if err := s.discard(ctx, u); err != nil {
		return err
	}
	e := refuse(LayerDigestMismatch, "the bytes have the digest %s", digest.FromHash(u.row.Algorithm, u.hash))
	e.Name, e.Upload = u.name, u.id
	return e
}

// sealed is what is known of an upload's bytes before they are kept.
type sealed struct {
	stamp  string // of the blob
	spoilt string // the blob of a content with the same digest, if that may have been touched
}

func (s *Service) stampSealed(ctx context.Context, u *session, d digest.Digest) (as sealed, err error) {
	if as.stamp, err = s.stampOf(ctx, u.blob); err != nil {
		return as, err
	}
	as.spoilt, err = s.spoiltBlob(ctx, d)
	return as, err
}

// keep makes the upload's blob the content of d, or condemns it if there is
// that content already, and gives the repository the right to it.
func (s *Service) keep(ctx context.Context, u *session, d digest.Digest, as sealed) (l Layer, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		l = Layer{Digest: d, Size: u.row.Offset}
		repo, err := find(tx, u.name)
		if err != nil {
			return err
		}
		if repo.row.ID != u.repo { // deleted and made anew since
			return repositoryNotFound(u.name)
		}
		if err := u.checkRow(tx); err != nil {
			return err
		}
		if err := uploads.Delete(tx, u.key()...); err != nil {
			return err
		}
		if err := resizeStore(tx, storeSizeRow{Uploads: -u.savedBytes()}); err != nil {
			return err
		}
		damaged, err := damages.Has(tx, d.String())
		if err != nil {
			return err
		}
		content, err := s.keepContent(ctx, tx, u, d, as, damaged)
		if err != nil {
			return err
		}
		existed, err := s.admit(tx, repo, d, content)
		l.Existed = existed && !damaged
		if err != nil || existed {
			return err
		}
		return s.checkKept(tx, repo)
	})
	return l, err
}

// keepContent is the content of d, with the upload's blob if it had none before, or
// one that is damaged or may be.
func (s *Service) keepContent(ctx context.Context, tx storage.Tx, u *session, d digest.Digest, as sealed, damaged bool) (contentRow, error) {
	content, err := contents.Get(tx, d.String())
	switch {
	case errors.Is(err, storage.ErrNotFound):
		content = contentRow{Blob: u.blob, Size: u.row.Offset, Stamp: as.stamp}
		return content, errors.Join(owners.Put(tx, ownerRow{Content: d}, u.blob), resizeStore(tx, storeSizeRow{Contents: content.Size}))
	case err != nil:
		return contentRow{}, err
	case damaged || content.Blob == as.spoilt:
		return s.replaceContent(ctx, tx, d, content, u.blob, as.stamp, "the layer was pushed again")
	}
	return content, s.condemn(tx, u.blob, u.row.Offset)
}
