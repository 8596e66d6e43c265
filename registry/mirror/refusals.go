package mirror

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/peer"
)

// refusal is what upstream's answer means to whoever asked. Refusals of the domain stay
// as they are.
func refusal(rule registry.PullThroughRule, ref registry.Ref, err error) error {
	if err == nil || registry.CodeOf(err) != "" || errors.Is(err, registry.ErrCome) {
		return err
	}
	e := &registry.Error{Field: rule.UpstreamHost, Ref: ref, Msg: fmt.Sprintf("upstream %s: %s", rule.UpstreamHost, err)}
	var said *peer.Error
	switch {
	case errors.Is(err, peer.ErrNotFound):
		e.Code = registry.ImageNotFound
	case errors.Is(err, peer.ErrTooMany):
		e.Code = registry.UpstreamTooMany
		if errors.As(err, &said) {
			e.Limit = int64(said.RetryAfter / time.Second)
		}
	case errors.Is(err, peer.ErrDenied):
		e.Code = registry.UpstreamDenied
	default:
		e.Code = registry.UpstreamUnavailable
	}
	return &refused{e, err}
}

// refused is a refusal with its cause.
type refused struct {
	refusal *registry.Error
	cause   error
}

func (r *refused) Error() string   { return r.refusal.Msg }
func (r *refused) Unwrap() []error { return []error{r.refusal, r.cause} }

// isWrong says that upstream gave what cannot be kept.
func isWrong(err error) bool {
	switch registry.CodeOf(err) {
	case registry.ManifestInvalid, registry.ManifestNotJSON, registry.MediaTypeMissing, registry.MediaTypeUnsupported,
		registry.ImageDigestMismatch, registry.ManifestTooLarge, registry.TooManyLayers:
		return true
	}
	return errors.Is(err, peer.ErrWrong) || errors.Is(err, registry.ErrWrongBytes)
}

// rest is the time until which an upstream is not asked whether a tag has moved, and why.
type rest struct {
	until time.Time
	why   error
}

// The length of a rest, unless upstream says another, and the longest.
const (
	usualRest   = 10 * time.Second
	longestRest = 10 * time.Minute
)

// noteRest leaves an upstream alone after an answer that says to.
func (m *Mirror) noteRest(host string, err error) {
	length := usualRest
	var e *registry.Error
	switch {
	case !errors.As(err, &e), e.Code != registry.UpstreamUnavailable && e.Code != registry.UpstreamTooMany:
		return
	case e.Limit > 0:
		length = min(time.Duration(e.Limit)*time.Second, longestRest)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rests) >= maxKept {
		clear(m.rests)
	}
	m.rests[host] = rest{m.Now().Add(min(length, m.Revalidate())), err}
}

// resting is why an upstream is left alone, nil if it is not.
func (m *Mirror) resting(host string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rests[host]
	if !ok || !m.Now().Before(r.until) {
		return nil
	}
	return r.why
}
