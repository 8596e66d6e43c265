package gate

import (
	"context"
	"errors"
	"io"

	"github.com/seed-78150930/berth/storage"
)

// Blobs is b behind the gate. It is a storage.Meter; what else b can do, storage.As
// finds.
func (g *Gate) Blobs(b storage.Blobs) storage.Blobs { return blobs{b, g} }

type blobs struct {
	storage.Blobs
	gate *Gate
}

// Unwrap is the blobs behind the gate: see storage.As.
func (b blobs) Unwrap() storage.Blobs { return b.Blobs }

// Append implements storage.Blobs.
func (b blobs) Append(ctx context.Context, id string, off int64, r io.Reader) (int64, error) {
	return b.appending(ctx, r, func(r io.Reader) (int64, error) { return b.Blobs.Append(ctx, id, off, r) })
}

// AppendLater implements storage.Later, also if the blobs behind are none.
func (b blobs) AppendLater(ctx context.Context, id string, off int64, r io.Reader) (size int64, settle func() error, err error) {
	later, ok := storage.As[storage.Later](b.Blobs)
	if !ok {
		size, err := b.Append(ctx, id, off, r)
		return size, func() error { return nil }, err
	}
	var inner func() error
	size, err = b.appending(ctx, r, func(r io.Reader) (size int64, err error) {
		size, inner, err = later.AppendLater(ctx, id, off, r)
		return size, err
	})
	switch {
	case inner == nil:
		return size, nil, err
	case errors.Is(err, storage.ErrReadOnly): // nothing is kept
		return 0, nil, errors.Join(err, inner())
	}
	return size, func() error { return b.gate.passed(inner()) }, err
}

// appending is an append to the blobs behind the gate, of what r gives.
func (b blobs) appending(ctx context.Context, r io.Reader, do func(io.Reader) (int64, error)) (int64, error) {
	reserve := storage.MayUseReserve(ctx)
	if err := b.gate.check(reserve); err != nil {
		return 0, err
	}
	if !reserve {
		if err := b.gate.hasRoom(0); err != nil {
			return 0, err
		}
	}
	from := &source{r: r}
	size, err := do(from)
	if from.err != nil && !errors.Is(err, storage.ErrSync) {
		// What it was to read from failed, which says nothing of the disk.
		if failed := b.gate.passed(nil); failed != nil {
			return 0, failed
		}
		return size, err
	}
	if err = b.gate.passed(err); errors.Is(err, storage.ErrReadOnly) {
		return 0, err
	}
	return size, err
}

// source notes what a reader fails with.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// Seal implements storage.Blobs. It takes no room, so a full disk does not refuse it;
// nor does an order, for a blob is sealed again when a power cut undid that, and then
// it is read. So it is after a failure: a seal is a name, of bytes that are kept already.
func (b blobs) Seal(ctx context.Context, id string) error {
	if err := b.gate.Err(); errors.Is(err, storage.ErrBroken) {
		return b.Blobs.Seal(ctx, id)
	}
	return b.gate.passed(b.Blobs.Seal(ctx, id))
}

// Delete implements storage.Blobs. On a full disk it passes.
func (b blobs) Delete(ctx context.Context, id string) error {
	if err := b.gate.check(true); err != nil {
		return err
	}
	return b.gate.passed(b.Blobs.Delete(ctx, id))
}

// Room implements storage.Meter.
func (b blobs) Room(_ context.Context, n int64) error { return b.gate.hasRoom(n) }
