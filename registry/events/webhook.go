package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/seed-78150930/berth/registry/pattern"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Format is the form of a webhook's bodies.
type Format string

// The formats. Both are JSON.
const (
	Plain       Format = "plain"       // the Envelope
	CloudEvents Format = "cloudevents" // structured mode, specification 1.0, with the Envelope as its data
)

// Webhook is an address that is sent each event by POST. An answer of 2xx takes
// it; anything else, a redirect too, has it tried again.
type Webhook struct {
	// Name is what the webhook is known by, also to what it still has to get: at most
	// 100 bytes, none of them a control character.
	Name   string
	URL    string // may have a user and password, and a query; it is not logged
	Format Format // "" means Plain
	// Secret signs each body; empty signs nothing. See Sign.
	Secret Secret
	// Repositories are patterns of names of repositories, in which a star stands
	// for any run of characters; none means all, and events of whole registries.
	Repositories []string
	Types        []string // detail-types; none means all
	// MaxAge is how long an event may wait when it is tried for the last time; zero
	// means a day.
	MaxAge time.Duration
}

// Secret signs bodies. However it is printed, logged or marshalled, it shows
// "[secret]".
type Secret []byte

const hidden = "[secret]"

// Format hides the secret from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret from JSON and other encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Rows of what webhooks still have to get. Keys are sink, lane and sequence number.
var deliveries = table.New[deliveryRow]("eventdelivery", 3)

// deliveryRow is an event that a webhook still has to get.
type deliveryRow struct {
	Envelope json.RawMessage
	Attempts int
	At       time.Time // when it was taken over
	Next     time.Time // when it is tried next
	Last     string    `json:",omitempty"` // what went wrong the last time
}

// hook is a webhook at work.
type hook struct {
	Webhook
	follower *Follower
	wake     chan struct{} // there may be something to deliver

	mu     sync.Mutex // guards what follows
	busy   map[string]bool
	asleep time.Time // until when the receiver wants nothing at all
}

const maxName = 100

func newHook(f *Follower, w Webhook) (*hook, error) {
	u, err := url.Parse(w.URL)
	switch {
	case w.Name == "":
		return nil, errors.New("events: a webhook has no name")
	case len(w.Name) > maxName || strings.ContainsFunc(w.Name, unicode.IsControl):
		return nil, fmt.Errorf("events: the name %.100q of a webhook is too long or has control characters", w.Name)
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, fmt.Errorf("events: webhook %q has no address such as https://hooks.example/berth", w.Name)
	case w.Format != "" && w.Format != Plain && w.Format != CloudEvents:
		return nil, fmt.Errorf("events: webhook %q has no such format: %q", w.Name, w.Format)
	case w.MaxAge < 0:
		return nil, fmt.Errorf("events: webhook %q has a negative age", w.Name)
	}
	for _, t := range w.Types {
		if !slices.Contains(DetailTypes(), t) {
			return nil, fmt.Errorf("events: webhook %q waits for %q, which is no detail-type", w.Name, t)
		}
	}
	if w.MaxAge == 0 {
		w.MaxAge = 24 * time.Hour
	}
	return &hook{Webhook: w, follower: f, wake: make(chan struct{}, 1), busy: map[string]bool{}}, nil
}

func (h *hook) key() string { return hookKey(h.Name) }

func hookKey(name string) string { return "webhook " + name }

// write has nothing to do: what a webhook takes over are rows.
func (h *hook) write(context.Context, []Told) error { return nil }

// note makes rows of the events that the webhook is to get.
func (h *hook) note(tx storage.Tx, page []Told) error {
	now := h.follower.now().UTC()
	for _, e := range page {
		if !h.wants(e.Envelope) {
			continue
		}
		text, err := json.Marshal(e.Envelope)
		if err != nil {
			return err
		}
		if err := deliveries.Put(tx, deliveryRow{Envelope: text, At: now, Next: now}, h.key(), e.lane(), sequenceKey(e.Sequence)); err != nil {
			return err
		}
	}
	return nil
}

func (h *hook) noted() { h.poke() }

func (h *hook) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// lane is what events are in order within: the name of a repository or, for those of
// none, a registry. It is the name that receivers know, also of a repository that was
// deleted and made again.
func (e Envelope) lane() string {
	return e.Account + " " + e.Region + " " + e.Detail.RepositoryName
}

// sequenceKey writes n so that keys stand in the order of their numbers.
func sequenceKey(n uint64) string { return fmt.Sprintf("%016x", n) }

func (h *hook) wants(env Envelope) bool {
	if len(h.Types) > 0 && !slices.Contains(h.Types, env.DetailType) {
		return false
	}
	return len(h.Repositories) == 0 || slices.ContainsFunc(env.Detail.names(), h.covers)
}

// covers says whether the webhook is told of a repository.
func (h *hook) covers(repository string) bool {
	return slices.ContainsFunc(h.Repositories, func(p string) bool { return pattern.Match(p, repository) })
}
