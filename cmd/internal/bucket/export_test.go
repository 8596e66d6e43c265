package bucket

import (
	"context"
	"time"
)

// OpenWith is Open with parts of another size, and locks that last for another time.
func OpenWith(ctx context.Context, o Options, part int64, lasts time.Duration) (*Target, error) {
	o.part, o.lasts = part, lasts
	return Open(ctx, o)
}
