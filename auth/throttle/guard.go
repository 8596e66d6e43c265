package throttle

import (
	"net/netip"
	"sync"
	"time"
)

// Guard slows down who tries credentials until some open: it counts log-ins that
// fail, for each address with each name, and for each address whatever the name. Whose
// credentials are right is not kept waiting by failures for other names, unless they can
// only be looked at with a great effort: see Blocked and Suspended. Failures at other
// addresses never count. A nil Guard lets all try. It is safe for use by several
// goroutines.
type Guard struct {
	now func() time.Time

	mu    sync.Mutex
	tries peers
}

const (
	// namesOfAddress is how many times as much may fail from an address for all names
	// together as for one: many people may be behind it.
	namesOfAddress = 10
	// triesOfProgram is how many times as much may fail for the id of a key: programs try
	// again by themselves, and do not guess.
	triesOfProgram = 5
)

// NewGuard lets as many log-ins fail in a minute for one name from one address. A nil
// clock is time.Now.
func NewGuard(failures int, now func() time.Time) *Guard {
	if now == nil {
		now = time.Now
	}
	return &Guard{now: now, tries: newPeers(failures)}
}

// Configure puts another number of failures in force, and forgets those that were. The
// same number changes nothing.
func (g *Guard) Configure(failures int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tries.configure(failures)
}

// Failed counts a log-in that failed; with "" as the name, one that was for nobody. The
// error is an *Exceeded when there were too many: the answer to be given to this one.
func (g *Guard) Failed(from netip.Addr, name string) error { return g.failed(from, name, 1) }

// FailedKey is Failed for the id of a key, which is no person's name. Five times as many
// may fail.
func (g *Guard) FailedKey(from netip.Addr, id string) error {
	return g.failed(from, id, triesOfProgram)
}

func (g *Guard) failed(from netip.Addr, name string, times int) error {
	return g.look(from, func(now time.Time) time.Duration {
		longest := take(g.tries.limiter(from, "", namesOfAddress, now), now)
		if name != "" {
			longest = max(longest, take(g.tries.limiter(from, name, times, now), now))
		}
		return longest
	})
}

// Blocked says, as an *Exceeded, that a log-in is not to be looked at, because too many
// failed before it. It is to be asked where to look is costly.
func (g *Guard) Blocked(from netip.Addr, name string) error {
	return g.look(from, func(now time.Time) time.Duration {
		return max(g.tries.wait(from, "", now), g.tries.wait(from, name, now))
	})
}

// Suspended is Blocked by failures for this name alone. It is to be asked where a secret
// may be one that can be guessed, however cheap it is to look.
func (g *Guard) Suspended(from netip.Addr, name string) error {
	return g.look(from, func(now time.Time) time.Duration { return g.tries.wait(from, name, now) })
}

// look has the counts looked at. Who comes from no address is the server itself.
func (g *Guard) look(from netip.Addr, wait func(now time.Time) time.Duration) error {
	if g == nil || !from.IsValid() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return exceeded("log-in", wait(g.now()))
}
