package peer

import (
	"context"
	"time"
)

// InParts has a registry send parts of this size.
func InParts(r *Registry, size int64) { r.part = size }

// Hurry has a registry wait for nothing, and tells what it would have waited for.
// The time is as if it had.
func Hurry(r *Registry, waited func(time.Duration)) {
	now := time.Now()
	r.now = func() time.Time { return now }
	r.sleep = func(ctx context.Context, d time.Duration) error {
		now = now.Add(d)
		waited(d)
		return ctx.Err()
	}
}

// Pass has time pass for a registry in a hurry.
func Pass(r *Registry, d time.Duration) { _ = r.sleep(context.Background(), d) }

// Challenges are the schemes and parameters of a header.
func Challenges(header string) (schemes []string, params []map[string]string) {
	for _, c := range parseChallenges(header) {
		schemes, params = append(schemes, c.scheme), append(params, c.params)
	}
	return schemes, params
}

// HurryECR is Hurry for an API.
func HurryECR(a *ECRAPI, waited func(time.Duration)) { Hurry(&Registry{sender: a.sender}, waited) }
