package replicate

import (
	"context"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// maxTries is after how many an image is given up, which takes about six minutes.
const maxTries = 10

// The first rest of a lane, which doubles with each try up to the longest.
const firstRest, longestRest = time.Second, 2 * time.Minute

// rests say which lanes are to be left alone for a while, since their first image
// met a fault.
type rests struct {
	mu sync.Mutex
	of map[registry.Lane]rest
}

type rest struct {
	number string // of the image that failed: another one may be first now
	tries  int
	until  time.Time
}

// begin lets the lane of r rest, and says how often r has been tried.
func (rs *rests) begin(r registry.Replica, now time.Time) (tries int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	was := rs.of[r.Lane()]
	if was.number != r.Number {
		was = rest{number: r.Number}
	}
	was.until = now.Add(min(firstRest<<was.tries, longestRest))
	was.tries++
	rs.of[r.Lane()] = was
	return was.tries
}

// end says that r is done with.
func (rs *rests) end(r registry.Replica) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.of, r.Lane())
}

// clear says that nothing waits anywhere.
func (rs *rests) clear() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	clear(rs.of)
}

// has says whether r is to be left alone now.
func (rs *rests) has(r registry.Replica, now time.Time) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	was := rs.of[r.Lane()]
	return was.number == r.Number && was.until.After(now)
}

// until is ctx until the first of those that rest now has rested.
func (rs *rests) until(ctx context.Context, now time.Time) (context.Context, context.CancelFunc) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var first time.Time
	for _, r := range rs.of {
		if r.until.After(now) && (first.IsZero() || r.until.Before(first)) {
			first = r.until
		}
	}
	if first.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, first.Sub(now))
}
