// Package throttle bounds how often each action is asked for: a token bucket for
// each action of each account in a region, as Amazon has them (ECR reference,
// errors-and-limits.md section 8).
//
// What counts is who asks, not whose registry is asked: accounts that do not
// exist cannot ask, so there are no more buckets than accounts times actions.
package throttle

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often an action may be asked for.
type Rate struct {
	PerSecond float64 // more than zero
	Burst     int     // how many may come at once; at least one
}

// Rates are the rates of actions by their names without "ecr:", such as
// PutImage. An action that is not there has no limit.
type Rates map[string]Rate

// ecrRates are the published rates of ECR (ECR reference, errors-and-limits.md
// section 8). Its bursts are not known: here they are those of one second.
var ecrRates = Rates{
	"BatchCheckLayerAvailability": {1000, 1000},
	"BatchGetImage":               {2000, 2000},
	"GetDownloadUrlForLayer":      {3000, 3000},
	"GetAuthorizationToken":       {500, 500},
	"UploadLayerPart":             {500, 500},
	"InitiateLayerUpload":         {100, 100},
	"CompleteLayerUpload":         {100, 100},
	"PutImage":                    {10, 10},
}

var entrySyntax = regexp.MustCompile(`^([A-Za-z]{1,64})=([0-9]{1,9}(?:\.[0-9]{1,9})?)(?:/([0-9]{1,9}))?$`)

// Parse reads rates as settings have them: "PutImage=10", or "PutImage=10/50"
// with a burst; without one the burst is that of a second. The word "ecr" stands
// for ECR's published rates. A later entry goes before an earlier one for the
// same action. Whether there is such an action is not looked at.
func Parse(entries []string) (Rates, error) {
	all := Rates{}
	for _, entry := range entries {
		if entry == "ecr" {
			for action, r := range ecrRates {
				all[action] = r
			}
			continue
		}
		action, r, err := parseEntry(entry)
		if err != nil {
			return nil, err
		}
		all[action] = r
	}
	return all, nil
}

func parseEntry(entry string) (action string, r Rate, err error) {
	m := entrySyntax.FindStringSubmatch(entry)
	if m == nil {
		return "", Rate{}, fmt.Errorf("%.80q is no rate such as PutImage=10 or PutImage=10/50", entry)
	}
	if r.PerSecond, err = strconv.ParseFloat(m[2], 64); err != nil || r.PerSecond == 0 {
		return "", Rate{}, fmt.Errorf("%.80q: a rate is more than zero a second", entry)
	}
	r.Burst = int(math.Ceil(r.PerSecond))
	if m[3] != "" {
		if r.Burst, err = strconv.Atoi(m[3]); err != nil || r.Burst == 0 {
			return "", Rate{}, fmt.Errorf("%.80q: a burst is one request at least", entry)
		}
	}
	return m[1], r, nil
}

// Exceeded says that an action is asked for too often.
type Exceeded struct {
	Action string
	After  time.Duration // when one more is let through
}

// Error implements error.
func (e *Exceeded) Error() string { return fmt.Sprintf("%s is asked for too often", e.Action) }

// Limiter holds requests against rates. The zero value is of no use; see New. A
// nil Limiter lets everything through. It is safe for use by several goroutines.
type Limiter struct {
	now func() time.Time

	mu      sync.Mutex
	rates   Rates
	buckets map[bucket]*rate.Limiter
}

type bucket struct{ account, region, action string }

// New returns a limiter. A nil clock is time.Now.
func New(rates Rates, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	l := &Limiter{now: now}
	l.Configure(rates)
	return l
}

// Configure puts other rates in force. Buckets begin full.
func (l *Limiter) Configure(rates Rates) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rates, l.buckets = rates, map[bucket]*rate.Limiter{}
}

// Take counts one request for each action, such as "ecr:PutImage", by an account
// in a region. The error is an *Exceeded for the first that comes too often; then
// those before it have been counted.
func (l *Limiter) Take(account, region string, actions ...string) error {
	if l == nil {
		return nil
	}
	for _, action := range actions {
		if err := l.take(bucket{account, region, strings.TrimPrefix(action, "ecr:")}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Limiter) take(b bucket) error {
	at := l.bucket(b)
	if at == nil {
		return nil
	}
	now := l.now()
	turn := at.ReserveN(now, 1)
	if wait := turn.DelayFrom(now); wait > 0 {
		turn.CancelAt(now)
		return &Exceeded{b.action, wait}
	}
	return nil
}

// bucket is nil for an action without a limit.
func (l *Limiter) bucket(b bucket) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, limited := l.rates[b.action]
	if !limited {
		return nil
	}
	if l.buckets[b] == nil {
		l.buckets[b] = rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)
	}
	return l.buckets[b]
}
