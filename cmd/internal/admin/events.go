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
	Events []events.Told `json:"events"`
	// Last is what to ask for next: the sequence number of the last of them, or a later
	// one of an event that has no form; where there are none, the one asked for.
	Last uint64 `json:"last"`
}

// Watcher tells of events.
type Watcher interface {
	// Events are those after a sequence number, some hundred at most. With wait it
	// waits for some seconds while there are none. Latest is the last number that
	// there is.
	Events(ctx context.Context, after uint64, wait bool) (EventPage, error)
	LatestEvent(ctx context.Context) (uint64, error)
	// DeadLetters are events that webhooks did not take, those behind the given one,
	// some hundred at most. Replay has one delivered again, and Drop removes it; the
	// error is events.ErrNoLetter if it is not there, and events.ErrNoWebhook if nobody
	// would deliver it.
	DeadLetters(ctx context.Context, after events.LetterID) ([]events.DeadLetter, error)
	Replay(ctx context.Context, id events.LetterID) error
	Drop(ctx context.Context, id events.LetterID) error
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
func (c *Client) DeadLetters(ctx context.Context, after events.LetterID) (list []events.DeadLetter, err error) {
	q := url.Values{"webhook": {after.Webhook}, "sequence": {strconv.FormatUint(after.Sequence, 10)}}
	return list, c.ask(ctx, http.MethodGet, "/events/dead?"+q.Encode(), nil, &list)
}

// Replay implements Watcher.
func (c *Client) Replay(ctx context.Context, id events.LetterID) error {
	return c.ask(ctx, http.MethodPost, letterPath(id), nil, nil)
}

// Drop implements Watcher.
func (c *Client) Drop(ctx context.Context, id events.LetterID) error {
	return c.ask(ctx, http.MethodDelete, letterPath(id), nil, nil)
}

func letterPath(id events.LetterID) string {
	return "/events/dead/" + url.PathEscape(id.Webhook) + "/" + strconv.FormatUint(id.Sequence, 10)
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
	q := r.URL.Query()
	after, err := letterID(q.Get("webhook"), q.Get("sequence"))
	if err != nil {
		return err
	}
	list, err := h.Server.DeadLetters(r.Context(), after)
	if err == nil {
		writeJSON(w, http.StatusOK, append([]events.DeadLetter{}, list...))
	}
	return err
}

// onLetter does something to the dead letter that a request is about.
func onLetter(do func(context.Context, events.LetterID) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := letterID(r.PathValue("webhook"), r.PathValue("sequence"))
		if err == nil {
			err = do(r.Context(), id)
		}
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
}

func letterID(webhook, sequence string) (events.LetterID, error) {
	n, err := strconv.ParseUint(sequence, 10, 64)
	return events.LetterID{Webhook: webhook, Sequence: n}, err
}
