package registry_test

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/seed-78150930/berth/storage"
)

// faultyBlobs are blobs with functions that come before methods, and may fail
// in their place; append does instead of the method.
type faultyBlobs struct {
	storage.Blobs
	append func(id string, off int64, r io.Reader) (int64, error)
	open   func(id string) error
	seal   func(id string) error
	delete func(id string) error
}

func (b *faultyBlobs) Append(ctx context.Context, id string, off int64, r io.Reader) (int64, error) {
	if b.append != nil {
		return b.append(id, off, r)
	}
	return b.Blobs.Append(ctx, id, off, r)
}

func (b *faultyBlobs) Open(ctx context.Context, id string) (io.ReadSeekCloser, error) {
	if b.open != nil {
		if err := b.open(id); err != nil {
			return nil, err
		}
	}
	return b.Blobs.Open(ctx, id)
}

func (b *faultyBlobs) Seal(ctx context.Context, id string) error {
	if b.seal != nil {
		if err := b.seal(id); err != nil {
			return err
		}
	}
	return b.Blobs.Seal(ctx, id)
}

func (b *faultyBlobs) Delete(ctx context.Context, id string) error {
	if b.delete != nil {
		if err := b.delete(id); err != nil {
			return err
		}
	}
	return b.Blobs.Delete(ctx, id)
}

// faultyIndex is an index that commits nothing while it has a fault.
type faultyIndex struct {
	storage.Index
	fault atomic.Pointer[error]
}

func (x *faultyIndex) fail(err error) { x.fault.Store(&err) }

func (x *faultyIndex) heal() { x.fault.Store(nil) }

func (x *faultyIndex) Update(ctx context.Context, fn func(storage.Tx) error) error {
	return x.Index.Update(ctx, func(tx storage.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if fault := x.fault.Load(); fault != nil {
			return *fault
		}
		return nil
	})
}
