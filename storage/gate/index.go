package gate

import (
	"context"

	"github.com/seed-78150930/berth/storage"
)

// Index is x behind the gate. It is a storage.Numbered if x is one.
func (g *Gate) Index(x storage.Index) storage.Index {
	inner := index{x, g}
	if n, ok := storage.As[storage.Numbered](x); ok {
		return numbered{inner, n}
	}
	return inner
}

type index struct {
	storage.Index
	gate *Gate
}

// Unwrap is the index behind the gate: see storage.As.
func (x index) Unwrap() storage.Index { return x.Index }

// Refusal implements storage.Refuser.
func (x index) Refusal(ctx context.Context) error { return x.gate.check(storage.MayUseReserve(ctx)) }

// Update implements storage.Index. One that writes nothing in the end is refused too:
// nobody knows before.
func (x index) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if err := x.Refusal(ctx); err != nil {
		return err
	}
	var own error // of fn: what it returns is the caller's business, not the disk's
	err := x.Index.Update(ctx, func(tx storage.Tx) error {
		own = fn(tx)
		return own
	})
	if err != nil && err == own {
		return err
	}
	return x.gate.passed(err)
}

// numbered is an index whose updates have numbers.
type numbered struct {
	index
	inner storage.Numbered
}

// Last implements storage.Numbered.
func (x numbered) Last() uint64 { return x.inner.Last() }
