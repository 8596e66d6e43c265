package throttle

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Guard slows down who tries credentials until some open: it counts log-ins that
// fail, for each address with each name, and for each address whatever the name. Whose
// credentials are right is never kept waiting by others' failures, unless they can only
// be looked at with a great effort: see Blocked. A nil Guard lets all try. It is safe
// for use by several goroutines.
type Guard struct {
	now func() time.Time

	mu       sync.Mutex
	failures int // a minute
	tries    map[try]*rate.Limiter
}

type try struct {
	from netip.Prefix
	name string // "" for all names
}

const (
	// namesOfAddress is how many times as much may fail from an address for all names
	// together as for one: many people may be behind it.
	namesOfAddress = 10
	// maxTries bounds what a guard remembers.
	maxTries = 100_000
	// longestName is how much of a name counts.
	longestName = 128
)

// NewGuard lets as many log-ins fail in a minute for one name from one address. A nil
// clock is time.Now.
func NewGuard(failures int, now func() time.Time) *Guard {
	if now == nil {
		now = time.Now
	}
	g := &Guard{now: now}
	g.Configure(failures)
	return g
}

// Configure puts another number of failures in force, and forgets those that were. The
// same number changes nothing.
func (g *Guard) Configure(failures int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failures != failures {
		g.failures, g.tries = failures, map[try]*rate.Limiter{}
	}
}

// Failed counts a log-in that failed. The error is an *Exceeded when there were too
// many: the answer to be given to this one.
func (g *Guard) Failed(from netip.Addr, name string) error {
	return g.each(from, name, func(l *rate.Limiter, now time.Time) time.Duration {
		turn := l.ReserveN(now, 1)
		wait := turn.DelayFrom(now)
		if wait > 0 {
			turn.CancelAt(now)
		}
		return wait
	})
}

// Blocked says, as an *Exceeded, that a log-in is not to be looked at, because too many
// failed before it. It is to be asked where to look is costly.
func (g *Guard) Blocked(from netip.Addr, name string) error {
	return g.each(from, name, func(l *rate.Limiter, now time.Time) time.Duration {
		missing := 1 - l.TokensAt(now)
		return time.Duration(math.Ceil(missing / float64(l.Limit()) * float64(time.Second)))
	})
}

// each asks the count of the name and that of the address; the longer wait counts.
func (g *Guard) each(from netip.Addr, name string, ask func(*rate.Limiter, time.Time) time.Duration) error {
	if g == nil || !from.IsValid() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now, at := g.now(), network(from)
	wait := max(ask(g.limiter(try{at, name[:min(len(name), longestName)]}, now), now), ask(g.limiter(try{at, ""}, now), now))
	if wait <= 0 {
		return nil
	}
	return &Exceeded{Action: "log-in", After: wait}
}

// network is what counts as one address: of IPv6 what one customer has at least.
func network(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip = ip.Unmap(); ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func (g *Guard) limiter(t try, now time.Time) *rate.Limiter {
	if l, ok := g.tries[t]; ok {
		return l
	}
	if len(g.tries) >= maxTries {
		g.forget(now)
	}
	failures := g.failures
	if t.name == "" {
		failures *= namesOfAddress
	}
	l := rate.NewLimiter(rate.Limit(float64(failures)/60), failures)
	g.tries[t] = l
	return l
}

// forget drops those who have waited long enough, or all if that is nobody.
func (g *Guard) forget(now time.Time) {
	for t, l := range g.tries {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(g.tries, t)
		}
	}
	if len(g.tries) >= maxTries {
		g.tries = map[try]*rate.Limiter{}
	}
}
