package replicate

import (
	"context"
	"io"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// most is how much is read at once of what is counted.
const most = 256 << 10

// newLimiter lets so many bytes through in a second, 0 for as many as come.
func newLimiter(bandwidth int64) *rate.Limiter {
	if bandwidth <= 0 {
		return rate.NewLimiter(rate.Inf, most)
	}
	return rate.NewLimiter(rate.Limit(bandwidth), int(max(1, min(bandwidth/4, most))))
}

// metered is a body of which the bytes are counted and let through one burst after the
// other.
type metered struct {
	io.ReadCloser
	ctx     context.Context
	limiter *rate.Limiter
	count   *atomic.Int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p[:min(len(p), m.limiter.Burst())])
	if n > 0 {
		m.count.Add(int64(n))
		if err := m.limiter.WaitN(m.ctx, n); err != nil {
			return n, err
		}
	}
	return n, err
}
