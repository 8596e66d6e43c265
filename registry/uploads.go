package registry

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"fmt"
	"io"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// Upload is a layer on its way.
type Upload struct {
	ID     string // a UUID
	Offset int64  // bytes received that will be kept
}

// slice is how many bytes go to the store, and under a checkpoint, at a time.
const slice = 8 << 20

// ErrBody says that a request's bytes could not be read to their end: the
// client's doing, or the network's.
var ErrBody = errors.New("the body could not be read")

// NewUpload says how an upload begins.
type NewUpload struct {
	// Algorithm that the bytes are hashed with as they come; "" means sha256.
	Algorithm digest.Algorithm
	// Durable commits the upload before StartUpload returns, as the JSON API
	// promises. At /v2/ a 202 promises nothing: there the first checkpoint
	// comes after 8 MiB, a second of idleness, or at Close.
	Durable bool
	// MayCreate is as in Push.
	MayCreate bool
}

// StartUpload begins an upload that only the same principal can go on with.
// Refusals: RepositoryNotFound, TooManyUploads, QuotaExceeded.
func (s *Service) StartUpload(ctx context.Context, name Name, n NewUpload) (Upload, error) {
	repo, err := s.uploadTarget(ctx, name, n.MayCreate)
	if err != nil {
		return Upload{}, err
	}
	if err := s.checkBegin(ctx, repo); err != nil {
		return Upload{}, err
	}
	if err := s.knowUploads(ctx); err != nil {
		return Upload{}, err
	}
	setDefault(&n.Algorithm, digest.SHA256)
	u := s.newSession(repo, uploader(ctx), n.Algorithm)
	if err := s.sessions.add(u, s.Limits()); err != nil {
		return Upload{}, err
	}
	defer s.release(u)
	if n.Durable {
		if err := s.checkpoint(ctx, u); err != nil {
			s.sessions.close(u.ending())
			return Upload{}, fmt.Errorf("start upload: %w", err)
		}
	}
	return u.public(), nil
}

// uploadTarget finds the repository, and makes it where a push may.
func (s *Service) uploadTarget(ctx context.Context, name Name, mayCreate bool) (repo repository, err error) {
	err = s.view(ctx, func(r storage.Reader) (err error) {
		repo, err = find(r, name)
		return err
	})
	if CodeOf(err) != RepositoryNotFound || !mayCreate || !s.createsOnPush() {
		return repo, err
	}
	err = s.update(ctx, func(tx storage.Tx) (err error) {
		repo, err = s.findForPush(ctx, tx, name, true)
		return err
	})
	return repo, err
}

// Upload says how far an upload is, also while a request works on it.
// Refusals: RepositoryNotFound, UploadNotFound.
func (s *Service) Upload(ctx context.Context, name Name, id string) (Upload, error) {
	u, err := s.look(ctx, name, id)
	var e *Error
	if errors.As(err, &e) && e.Code == UploadOffset {
		return Upload{ID: id, Offset: e.Offset}, nil
	}
	if err != nil {
		return Upload{}, err
	}
	defer s.sessions.leave(u)
	return u.public(), nil
}

// Part is a run of bytes for an upload.
type Part struct {
	// Offset must be where the upload stands; -1 means wherever that is.
	Offset int64
	// Length is what the caller said Body holds; -1 if it did not say.
	Length int64
	Body   io.Reader
	// Whole keeps all of the part or nothing, and commits it before
	// AppendUpload returns, as the JSON API promises.
	Whole bool
}

// AppendUpload adds bytes to an upload and returns how far it is, also beside
// an error. If Body fails the error wraps ErrBody, and what it gave is kept
// unless Whole is set. While one append is under way others are refused.
// Refusals: RepositoryNotFound, UploadNotFound, UploadOffset, LayerTooLarge,
// TooManyParts, and those of a store that takes no writes; QuotaExceeded, and then the
// upload stands where it stood.
func (s *Service) AppendUpload(ctx context.Context, name Name, id string, p Part) (Upload, error) {
	u, err := s.acquire(ctx, name, id)
	if err != nil {
		return Upload{}, err
	}
	defer s.release(u)
	if err := s.checkPart(u, p); err != nil {
		return u.public(), err
	}
	if err := s.checkRoom(ctx, p.Length); err != nil {
		return u.public(), err
	}
	// A client that goes away must not take the bytes with it that it sent.
	ctx = context.WithoutCancel(ctx)
	err = s.appendCounted(ctx, u, p)
	if errors.Is(err, storage.ErrSealed) { // it was finished once, and the process died
		err = uploadNotFound(name, id)
	}
	return u.public(), storeError(err)
}

// appendCounted adds a part within the quotas. What a request says that it holds must
// fit before any of it is read.
func (s *Service) appendCounted(ctx context.Context, u *session, p Part) error {
	if p.Length > 0 {
		if err := s.reserve(ctx, u, p.Length, false); err != nil {
			return err
		}
	}
	defer func() { s.sessions.count(u, u.row.Offset) }()
	if p.Whole {
		return s.appendWhole(ctx, u, p)
	}
	before, err := u.mark()
	if err != nil {
		return err
	}
	if err = s.appendStream(ctx, u, p.Body, true); CodeOf(err) == QuotaExceeded {
		err = errors.Join(err, s.refuseWhole(ctx, u, before))
	}
	return err
}

func (s *Service) checkPart(u *session, p Part) error {
	limits := s.Limits()
	switch {
	case p.Offset >= 0 && p.Offset != u.row.Offset:
		return wrongOffset(u, p.Offset)
	case p.Length > limits.Layer-u.row.Offset:
		return s.tooLarge(u)
	case p.Whole && p.Length > limits.LargestPart:
		e := refuse(UploadPartTooLarge, "a part has at most %d bytes", limits.LargestPart)
		e.Name, e.Upload, e.Limit = u.name, u.id, limits.LargestPart
		return e
	case p.Whole && u.row.Parts >= limits.Parts:
		e := refuse(TooManyParts, "an upload has at most %d parts", limits.Parts)
		e.Name, e.Upload, e.Limit = u.name, u.id, int64(limits.Parts)
		return e
	}
	return nil
}

// checkRoom refuses bytes before they are sent for which the store has no room, if it
// can tell.
func (s *Service) checkRoom(ctx context.Context, n int64) error {
	meter, ok := storage.As[storage.Meter](s.blobs)
	if !ok || n <= 0 {
		return nil
	}
	return storeError(meter.Room(ctx, n))
}

// appendWhole adds a part or, if anything goes wrong, nothing.
func (s *Service) appendWhole(ctx context.Context, u *session, p Part) error {
	before, err := u.mark()
	if err != nil {
		return err
	}
	if err = s.appendStream(ctx, u, p.Body, false); err == nil && p.Length >= 0 && u.row.Offset-before.row.Offset != p.Length {
		err = fmt.Errorf("%w: %d bytes came, not %d", ErrBody, u.row.Offset-before.row.Offset, p.Length)
	}
	if err == nil {
		err = s.checkpoint(ctx, u)
	}
	if err != nil {
		return errors.Join(err, u.reset(before))
	}
	u.offset.Store(u.row.Offset) // nobody sees bytes that might yet be taken back
	return nil
}

// appendStream adds all of body, slice by slice, with a checkpoint whenever
// another slice has come since the last one if asked, be it in many small
// requests. What one call adds is one part.
func (s *Service) appendStream(ctx context.Context, u *session, body io.Reader, checkpoints bool) (err error) {
	start := u.row.Offset
	b := behind{s: s, u: u, checkpoints: checkpoints}
	defer func() {
		err = errors.Join(err, b.wait(ctx))
		u.countPart(u.row.Offset-start, s.Limits().SmallestPart)
	}()
	limit := s.Limits().Layer
	for {
		first, err := readByte(body)
		if first == nil || err != nil {
			return err
		}
		room := limit - u.row.Offset
		if room <= 0 {
			return s.tooLarge(u)
		}
		if u.reserved() <= 0 {
			if err := s.reserve(ctx, u, min(slice, room), true); err != nil {
				return err
			}
		}
		more, err := s.appendSlice(ctx, u, io.LimitReader(io.MultiReader(first, body), min(slice, room, u.reserved())))
		if err := errors.Join(err, b.settle(ctx, more)); err != nil {
			return err
		}
	}
}

// readByte reads the first byte of what is left, so that the end of a body is
// seen before the store is asked to keep an empty slice; nil at the end.
func readByte(r io.Reader) (io.Reader, error) {
	var one [1]byte
	switch _, err := io.ReadFull(r, one[:]); {
	case err == io.EOF:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	return bytes.NewReader(one[:]), nil
}

// added is a slice that is not on disk yet: settle, which is nil if there is none, sees to that.
type added struct {
	before mark
	settle func() error
}

// appendSlice adds what r gives. If the store kept less than was hashed, the upload is
// set back to where it was: the store drops the rest by itself.
func (s *Service) appendSlice(ctx context.Context, u *session, r io.Reader) (added, error) {
	before, err := u.mark()
	if err != nil {
		return added{}, err
	}
	in := &hashed{r: r, u: u}
	size, settle, err := s.appendLater(ctx, u.blob, u.row.Offset, in)
	failpoint.Hit(failpoint.UploadAppended)
	if settle == nil || size != before.row.Offset+in.n {
		if settle != nil {
			err = errors.Join(err, settle())
		}
		if err == nil {
			err = fmt.Errorf("store kept %d bytes of upload %s, not %d", size, u.id, before.row.Offset+in.n)
		}
		return added{}, errors.Join(err, u.reset(before))
	}
	u.row.Offset, u.dirty, u.ragged = size, true, false
	if in.err != nil {
		err = fmt.Errorf("%w: %w", ErrBody, in.err)
	}
	return added{before, settle}, err
}

// appendLater appends to a blob, and returns what makes that durable, nil if nothing is kept.
func (s *Service) appendLater(ctx context.Context, blob string, off int64, r io.Reader) (int64, func() error, error) {
	if later, ok := storage.As[storage.Later](s.blobs); ok {
		return later.AppendLater(ctx, blob, off, r)
	}
	size, err := s.blobs.Append(ctx, blob, off, r)
	return size, func() error { return nil }, err
}

// hashed reads for an upload: what passes is hashed and counted, and what the
// source fails with is noted.
type hashed struct {
	r   io.Reader
	u   *session
	n   int64
	err error
}

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.u.hash.Write(p[:n])
	h.n += int64(n)
	if err != nil && err != io.EOF {
		h.err = err
	}
	return n, err
}

// mark is where an upload stands, to go back to.
type mark struct {
	row   uploadRow
	state []byte
	dirty bool
}

func (u *session) mark() (mark, error) {
	state, err := u.state()
	return mark{u.row, state, u.dirty}, err
}

func (u *session) reset(m mark) error {
	u.row, u.dirty, u.ragged = m.row, m.dirty, true
	u.offset.Store(m.row.Offset)
	return u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.state)
}

// countPart notes what ECR's rules about parts ask for in the end: all but the
// last have the least size.
func (u *session) countPart(size, least int64) {
	if size == 0 {
		return
	}
	if u.row.Parts > 0 && u.row.LastPart < least {
		u.row.SmallPart = true
	}
	u.row.Parts++
	u.row.LastPart = size
}

// CancelUpload drops an upload. Refusals: RepositoryNotFound, UploadNotFound,
// UploadOffset (a request works on it).
func (s *Service) CancelUpload(ctx context.Context, name Name, id string) error {
	ctx = storage.UseReserve(ctx)
	u, err := s.acquire(ctx, name, id)
	if err != nil {
		return err
	}
	defer s.release(u)
	return s.discard(ctx, u)
}

// discard drops an upload with its bytes.
func (s *Service) discard(ctx context.Context, u *session) error {
	err := s.update(ctx, func(tx storage.Tx) error {
		if err := u.checkRow(tx); err != nil {
			return err
		}
		return s.dropUpload(tx, u.key(), u.blob, u.savedBytes(), u.row.Offset)
	})
	if err == nil {
		s.end(u)
	}
	return err
}

// dropUpload removes an upload whose row says that it has some bytes, and whose blob
// has others.
func (s *Service) dropUpload(tx storage.Tx, key []string, blob string, saved, size int64) error {
	if err := uploads.Delete(tx, key...); err != nil {
		return err
	}
	if err := resizeStore(tx, storeSizeRow{Uploads: -saved}); err != nil {
		return err
	}
	return s.condemn(tx, blob, size)
}

// end forgets an upload whose row is gone.
func (s *Service) end(u *session) {
	u.dirty = false
	s.sessions.close(u.ending())
	s.wakeJanitor()
}

func uploadNotFound(name Name, id string) *Error {
	e := refuse(UploadNotFound, "upload %.64q is not open in %q", id, name)
	e.Name, e.Upload = name, id
	return e
}

func wrongOffset(u *session, got int64) *Error {
	at := u.offset.Load()
	e := refuse(UploadOffset, "upload %s stands at byte %d", u.id, at)
	e.Name, e.Upload, e.Offset, e.Got = u.name, u.id, at, got
	return e
}

func (s *Service) tooLarge(u *session) *Error {
	limit := s.Limits().Layer
	e := refuse(LayerTooLarge, "a layer has at most %d bytes", limit)
	e.Name, e.Upload, e.Limit = u.name, u.id, limit
	return e
}
