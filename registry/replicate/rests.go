package replicate

import (
	"context"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// maxTries is after how many an image is given up that met a fault of this server's,
// which takes about six minutes.
const maxTries = 10

// The first rest of a lane, which doubles with each try up to the longest.
const firstRest, longestRest = time.Second, 2 * time.Minute

// rests say which lanes are to be left alone for a while, since their first image
// met a fault.
type rests struct {
	mu sync.Mutex
	of map[registry.Lane]rest
	// all is the rest of a destination that cannot be reached.
	all    rest
	jitter func(time.Duration) time.Duration // nil for none
}

type rest struct {
	number string // of the image that failed: another one may be first now
	tries  int
	until  time.Time
	why    string
}

// longer is the time of a rest after so many tries.
func (rs *rests) longer(tries int) time.Duration {
	d := longestRest
	if tries < 16 { // or it would not fit
		d = min(firstRest<<tries, longestRest)
	}
	if rs.jitter != nil {
		d = rs.jitter(d)
	}
	return d
}

// begin lets the lane of r rest, and says how often r has been tried.
func (rs *rests) begin(r registry.Replica, now time.Time, why string) (tries int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	was := rs.of[r.Lane()]
	if was.number != r.Number {
		was = rest{number: r.Number}
	}
	was.until, was.why = now.Add(rs.longer(was.tries)), why
	was.tries++
	rs.of[r.Lane()] = was
	return was.tries
}

// outage lets all lanes rest, for as long as the destination wants at least. Those that
// fail while it is known already change nothing.
func (rs *rests) outage(now time.Time, least time.Duration, why string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	until := now.Add(least)
	if !rs.all.until.After(now) {
		if d := now.Add(rs.longer(rs.all.tries)); d.After(until) {
			until = d
		}
		rs.all.tries++
	}
	if until.After(rs.all.until) {
		rs.all.until = until
	}
	rs.all.why = why
}

// end says that r is done with, and that the destination can be reached.
func (rs *rests) end(r registry.Replica) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.of, r.Lane())
	rs.all = rest{}
}

// clear says that nothing is to rest.
func (rs *rests) clear() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	clear(rs.of)
	rs.all = rest{}
}

// has says whether r is to be left alone now.
func (rs *rests) has(r registry.Replica, now time.Time) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	was := rs.of[r.Lane()]
	return rs.all.until.After(now) || was.number == r.Number && was.until.After(now)
}

// until is ctx until the first of those that rest now has rested, or an other time.
func (rs *rests) until(ctx context.Context, now, other time.Time) (context.Context, context.CancelFunc) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	first := other
	if all := rs.all.until; all.After(now) && (first.IsZero() || all.Before(first)) {
		first = all
	}
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

// last is the last fault that is not over, and when is tried again; "" for none.
func (rs *rests) last() (why string, next time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.all.why != "" {
		return rs.all.why, rs.all.until
	}
	for _, r := range rs.of {
		if next.IsZero() || r.until.Before(next) {
			why, next = r.why, r.until
		}
	}
	return why, next
}
