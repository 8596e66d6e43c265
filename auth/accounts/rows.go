package accounts

import (
	"context"
	"sync/atomic"

	"github.com/seed-78150930/berth/storage"
)

// rows are a Store's in the index. They count the Store's own changes, so that what is
// remembered of them outlasts the changes of others, such as pushes.
type rows struct {
	index   storage.Index
	changes atomic.Uint64
}

// Last implements storage.Changes.
func (x *rows) Last() uint64 { return x.changes.Load() }

// counted are the rows if the changes that they count are all that there are to the
// Store's tables. Where the index numbers its updates, one process alone has it, and
// one Store. Else it is nil.
func (x *rows) counted() storage.Changes {
	if storage.ChangesOf(x.index) == nil {
		return nil
	}
	return x
}

// View reads as storage.Index has it.
func (x *rows) View(ctx context.Context, fn func(storage.Reader) error) error {
	return x.index.View(ctx, fn)
}

// Update changes as storage.Index has it. One that failed counts too: some of those may
// be kept none the less.
func (x *rows) Update(ctx context.Context, fn func(storage.Tx) error) error {
	defer x.changes.Add(1)
	return x.index.Update(ctx, fn)
}
