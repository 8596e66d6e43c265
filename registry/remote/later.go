package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// MostWait is the longest time that a server is believed when it wants to be asked
// later.
const MostWait = 10 * time.Minute

// RetryAfter is how long a server wants not to be asked, from 0 to MostWait: what the
// header Retry-After says in an answer of status 429 or 503, as seconds or as a
// date (RFC 9110, section 10.2.3). It is false for other answers, and for those that
// do not say it.
func RetryAfter(answer *http.Response, now time.Time) (time.Duration, bool) {
	if answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	said := answer.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(said, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(MostWait/time.Second))) * time.Second, true
	} else if errors.Is(err, strconv.ErrRange) {
		return MostWait, true
	}
	at, err := http.ParseTime(said)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), MostWait), true
}

// Wait returns after so long, or with the context's error when that ends first.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ErrTooLong says that an answer is longer than its reader takes.
var ErrTooLong = errors.New("remote: the answer is too long")

// ReadAll reads all of an answer that has at most so many bytes. Of a longer one it
// reads a byte more, and the error is ErrTooLong.
func ReadAll(r io.Reader, most int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(body)) > most {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, most)
	}
	return body, err
}
