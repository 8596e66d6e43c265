package throttle

import (
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Addresses bounds how often each address asks for something. A nil Addresses bounds
// nothing. It is safe for use by several goroutines.
type Addresses struct {
	what string
	now  func() time.Time

	mu    sync.Mutex
	peers peers
}

// NewAddresses lets each address ask for what a word names, such as "anonymous read",
// as often in a minute, all of them at once if it likes. A nil clock is time.Now.
func NewAddresses(what string, perMinute int, now func() time.Time) *Addresses {
	if now == nil {
		now = time.Now
	}
	return &Addresses{what: what, now: now, peers: newPeers(perMinute)}
}

// Configure puts another number in force, and forgets what was asked for. The same
// number changes nothing.
func (a *Addresses) Configure(perMinute int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.peers.configure(perMinute)
}

// Take counts one request. The error is an *Exceeded when there were too many. What
// comes from no known address counts as from one.
func (a *Addresses) Take(from netip.Addr) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	return exceeded(a.what, take(a.peers.limiter(from, "", 1, now), now))
}

// peers are token buckets of addresses, for each with names or for all names.
type peers struct {
	perMinute int
	buckets   map[peer]*rate.Limiter
}

type peer struct {
	from netip.Prefix
	name string // "" for all names
}

const (
	// maxPeers bounds what is remembered.
	maxPeers = 100_000
	// longestName is how much of a name counts.
	longestName = 128
)

func newPeers(perMinute int) peers { return peers{perMinute, map[peer]*rate.Limiter{}} }

func (p *peers) configure(perMinute int) {
	if p.perMinute != perMinute {
		*p = newPeers(perMinute)
	}
}

func peerOf(from netip.Addr, name string) peer {
	return peer{network(from), name[:min(len(name), longestName)]}
}

// wait is how long an address has to wait with a name.
func (p *peers) wait(from netip.Addr, name string, now time.Time) time.Duration {
	l, ok := p.buckets[peerOf(from, name)]
	if !ok {
		return 0
	}
	missing := 1 - l.TokensAt(now)
	return time.Duration(math.Ceil(missing / float64(l.Limit()) * float64(time.Second)))
}

// limiter is the bucket of an address and a name, with several times the rate.
func (p *peers) limiter(from netip.Addr, name string, times int, now time.Time) *rate.Limiter {
	at := peerOf(from, name)
	if l, ok := p.buckets[at]; ok {
		return l
	}
	if len(p.buckets) >= maxPeers {
		p.forget(now)
	}
	at.name = strings.Clone(at.name) // it may be a piece of something long, with a secret
	n := p.perMinute * times
	l := rate.NewLimiter(rate.Limit(float64(n)/60), n)
	p.buckets[at] = l
	return l
}

// forget drops those who have waited long enough, or all if those are few: then the
// next would have it done again.
func (p *peers) forget(now time.Time) {
	for at, l := range p.buckets {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(p.buckets, at)
		}
	}
	if len(p.buckets) > maxPeers/2 {
		clear(p.buckets)
	}
}

// network is what counts as one address: of IPv6 what one customer has at least.
func network(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip = ip.Unmap(); ip.Is6() {
		bits = 64
	}
	p, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// take takes one from a bucket, or says how long it takes until there is one.
func take(l *rate.Limiter, now time.Time) time.Duration {
	turn := l.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait > 0 {
		turn.CancelAt(now)
	}
	return wait
}

func exceeded(what string, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	return &Exceeded{Action: what, After: wait}
}
