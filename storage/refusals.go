package storage

import (
	"context"
	"errors"
)

// Refuses says that an error is one by which the store as a whole takes no writes for
// now: of that its keepers tell by themselves, so who writes in the background need not
// log it too, and tries again later.
func Refuses(err error) bool {
	return errors.Is(err, ErrReadOnly) || errors.Is(err, ErrFull) || errors.Is(err, ErrBroken)
}

// Refuser is an Index that knows beforehand that it takes no writes.
type Refuser interface {
	// Refusal is what a write with this context would be refused with now, nil if it
	// would be taken.
	Refusal(ctx context.Context) error
}

// RefusalOf is what x would refuse a write with now, nil if it takes one or does not
// know.
func RefusalOf(ctx context.Context, x Index) error {
	if r, ok := As[Refuser](x); ok {
		return r.Refusal(ctx)
	}
	return nil
}

// reserve is the key of contexts whose writes may use what room is kept back.
type reserve struct{}

// UseReserve marks the writes of a context as such that end in more room, or that must
// go on meanwhile and take next to none: where little room is left they are still
// taken, for else nothing could ever be deleted on a full disk.
func UseReserve(ctx context.Context) context.Context {
	return context.WithValue(ctx, reserve{}, true)
}

// MayUseReserve says whether a context was marked by [UseReserve].
func MayUseReserve(ctx context.Context) bool { return ctx.Value(reserve{}) != nil }

// As finds what is a T in x or, by their methods Unwrap, in what x is wrapped around.
// So a keeper's optional interfaces, such as [Linker], are seen through those that stand
// before it. T and what x is wrapped around are both Blobs, or both Index.
func As[T, X any](x X) (found T, ok bool) {
	for {
		if found, ok = any(x).(T); ok {
			return found, true
		}
		outer, wraps := any(x).(interface{ Unwrap() X })
		if !wraps {
			return found, false
		}
		x = outer.Unwrap()
	}
}
