package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/registry/events"
)

// EventPage is a run of events.
type EventPage struct {
	Events []events.Envelope `json:"events"`
	// Last is the sequence number of the last of them or, where there are none, the
	// one that was asked for: what to ask for next.
	Last uint64 `json:"last"`
}

// Watcher tells of events.
type Watcher interface {
	// Events are those after a sequence number, some hundred at most. With wait it
	// waits for some seconds while there are none. Latest is the last number that
	// there is.
	Events(ctx context.Context, after uint64, wait bool) (EventPage, error)
	LatestEvent(ctx context.Context) (uint64, error)
	// DeadLetters are events that webhooks did not take. Replay has one delivered
	// again, and Drop removes it; the error is events.ErrNoLetter if it is not there.
	DeadLetters(ctx context.Context) ([]events.DeadLetter, error)
	Replay(ctx context.Context, webhook, sequence string) error
	Drop(ctx context.Context, webhook, sequence string) error
}

// EventWait is how long Watcher.Events waits.
const EventWait = 20 * time.Second

// Events implements Watcher.
func (c *Client) Events(ctx context.Context, after uint64, wait bool) (page EventPage, err error) {
	q := url.Values{"after": {strconv.FormatUint(after, 10)}, "wait": {strconv.FormatBool(wait)}}
	return page, c.ask(ctx, http.MethodGet, "/events?"+q.Encode(), nil, &page)
}

// LatestEvent implements Watcher.
func (c *Client) LatestEvent(ctx context.Context) (last uint64, err error) {
	return last, c.ask(ctx, http.MethodGet, "/events/latest", nil, &last)
}

// DeadLetters implements Watcher.
func (c *Client) DeadLetters(ctx context.Context) (list []events.DeadLetter, err error) {
	return list, c.ask(ctx, http.MethodGet, "/events/dead", nil, &list)
}

// Replay implements Watcher.
func (c *Client) Replay(ctx context.Context, webhook, sequence string) error {
	return c.ask(ctx, http.MethodPost, letterPath(webhook, sequence), nil, nil)
}

// Drop implements Watcher.
func (c *Client) Drop(ctx context.Context, webhook, sequence string) error {
	return c.ask(ctx, http.MethodDelete, letterPath(webhook, sequence), nil, nil)
}

func letterPath(webhook, sequence string) string {
	return "/events/dead/" + url.PathEscape(webhook) + "/" + url.PathEscape(sequence)
}

func (h handler) events(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	after, err := strconv.ParseUint(q.Get("after"), 10, 64)
	if err != nil {
		return err
	}
	page, err := h.Server.Events(r.Context(), after, q.Get("wait") == "true")
	if err == nil {
		writeJSON(w, http.StatusOK, page)
	}
	return err
}

func (h handler) latestEvent(w http.ResponseWriter, r *http.Request) error {
	last, err := h.Server.LatestEvent(r.Context())
	if err == nil {
		writeJSON(w, http.StatusOK, last)
	}
	return err
}

func (h handler) deadLetters(w http.ResponseWriter, r *http.Request) error {
	list, err := h.Server.DeadLetters(r.Context())
	if err == nil {
		writeJSON(w, http.StatusOK, append([]events.DeadLetter{}, list...))
	}
	return err
}

func (h handler) replay(w http.ResponseWriter, r *http.Request) error {
	return answered(w, h.Server.Replay(r.Context(), r.PathValue("webhook"), r.PathValue("sequence")))
}

func (h handler) drop(w http.ResponseWriter, r *http.Request) error {
	return answered(w, h.Server.Drop(r.Context(), r.PathValue("webhook"), r.PathValue("sequence")))
}

// answered answers what has nothing to say.
func answered(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
