package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/pattern"
	"github.com/seed-78150930/berth/storage"
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
	// Name is what the webhook is known by, also to what it still has to get.
	Name   string
	URL    string
	Format Format // "" means Plain
	// Secret signs each body; empty signs nothing. See Sign.
	Secret []byte
	// Repositories are patterns of names of repositories, in which a star stands
	// for any run of characters; none means all, and events of whole registries.
	Repositories []string
	Types        []string // detail-types; none means all
	// MaxAge is how old an event may be when it is tried for the last time; zero
	// means a day.
	MaxAge time.Duration
}

// The headers of a signed body.
const (
	TimestampHeader = "Berth-Timestamp" // seconds since 1970
	SignatureHeader = "Berth-Signature" // "v1=" and Sign in hexadecimal
)

// Sign is what a body is signed with: the HMAC-SHA256 of the timestamp as the
// header has it, a full stop, and the body. Whoever checks it should refuse
// timestamps that are minutes off, and compare in constant time.
func Sign(secret []byte, timestamp string, body []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(timestamp + "."))
	m.Write(body)
	return m.Sum(nil)
}

// hook is a webhook at work.
type hook struct {
	Webhook
	follower *Follower
	wake     chan struct{}
}

func newHook(f *Follower, w Webhook) (*hook, error) {
	u, err := url.Parse(w.URL)
	switch {
	case w.Name == "":
		return nil, errors.New("events: a webhook has no name")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, fmt.Errorf("events: webhook %q has no address such as https://hooks.example/berth", w.Name)
	case w.Format != "" && w.Format != Plain && w.Format != CloudEvents:
		return nil, fmt.Errorf("events: webhook %q has no such format: %q", w.Name, w.Format)
	}
	for _, t := range w.Types {
		if !slices.Contains(DetailTypes(), t) {
			return nil, fmt.Errorf("events: webhook %q waits for %q, which is no detail-type", w.Name, t)
		}
	}
	if w.MaxAge == 0 {
		w.MaxAge = 24 * time.Hour
	}
	return &hook{Webhook: w, follower: f, wake: make(chan struct{}, 1)}, nil
}

func (h *hook) sink() string { return "webhook " + h.Name }

// deliveryRow is an event that a webhook still has to get.
type deliveryRow struct {
	Envelope json.RawMessage
	Attempts int
	At       time.Time // when it was taken over
	Next     time.Time // when it is tried next
	Last     string    `json:",omitempty"` // what went wrong the last time
}

// take makes rows of the events that the webhook is to get.
func (h *hook) take(_ context.Context, page []registry.Event) (func(storage.Tx) error, error) {
	type row struct {
		delivery deliveryRow
		key      []string
	}
	var rows []row
	for _, e := range page {
		env, err := Tell(e)
		if err != nil {
			return nil, err
		}
		if !h.wants(env) {
			continue
		}
		text, err := json.Marshal(env)
		if err != nil {
			return nil, err
		}
		now := h.follower.now().UTC()
		rows = append(rows, row{deliveryRow{Envelope: text, At: now, Next: now}, []string{h.sink(), lane(e), fmt.Sprintf("%016x", e.Sequence)}})
	}
	return func(tx storage.Tx) error {
		for _, r := range rows {
			if err := deliveries.Put(tx, r.delivery, r.key...); err != nil {
				return err
			}
		}
		h.poke() // too early by the commit; the look at the lanes comes again
		return nil
	}, nil
}

// lane is what events are in order within: a repository or, for those of none, a
// registry.
func lane(e registry.Event) string {
	id := e.Repository.ID()
	return id.Account + " " + id.Region + " " + e.RepositoryID
}

func (h *hook) wants(env Envelope) bool {
	if len(h.Types) > 0 && !slices.Contains(h.Types, env.DetailType) {
		return false
	}
	return len(h.Repositories) == 0 || slices.ContainsFunc(h.Repositories, func(p string) bool {
		return env.Detail.RepositoryName != "" && pattern.Match(p, env.Detail.RepositoryName)
	})
}

func (h *hook) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// sendTime bounds one delivery.
const sendTime = 30 * time.Second

// rejection is an answer that does not take an event.
type rejection struct {
	status string
	after  time.Duration // what the receiver asks to wait; 0 if it does not
}

func (r *rejection) Error() string { return "answered " + r.status }

// send delivers one event.
func (h *hook) send(ctx context.Context, d deliveryRow) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	body, contentType, err := h.body(d.Envelope)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "Berth")
	if len(h.Secret) > 0 {
		at := strconv.FormatInt(h.follower.now().Unix(), 10)
		req.Header.Set(TimestampHeader, at)
		req.Header.Set(SignatureHeader, "v1="+hex.EncodeToString(Sign(h.Secret, at, body)))
	}
	resp, err := h.follower.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection may be used again
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return &rejection{resp.Status, retryAfter(resp.Header.Get("Retry-After"), h.follower.now())}
}

// withoutURL leaves out the address of a failed request, which may hold a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// retryAfter reads the header of that name, 0 if it says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, maxBackoff)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(0, at.Sub(now)), maxBackoff)
	}
	return 0
}

// cloudEvent is an event in structured mode (CloudEvents specification 1.0.2).
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

func (h *hook) body(envelope json.RawMessage) (body []byte, contentType string, err error) {
	if h.Format != CloudEvents {
		return envelope, "application/json", nil
	}
	var env Envelope
	if err := json.Unmarshal(envelope, &env); err != nil {
		return nil, "", err
	}
	body, err = json.Marshal(cloudEvent{
		SpecVersion: "1.0", ID: env.ID, Source: "urn:berth:" + env.Account + ":" + env.Region, Type: cloudType(env.DetailType),
		Subject: env.Detail.RepositoryName, Time: env.Time, DataContentType: "application/json", Data: envelope,
	})
	return body, "application/cloudevents+json; charset=UTF-8", err
}

// cloudType is a detail-type as a type of CloudEvents, such as
// "berth.ecr-image-action".
func cloudType(detailType string) string {
	name := make([]byte, 0, len(detailType))
	for _, c := range []byte(detailType) {
		switch {
		case c == ' ':
			name = append(name, '-')
		case 'A' <= c && c <= 'Z':
			name = append(name, c+'a'-'A')
		default:
			name = append(name, c)
		}
	}
	return "berth." + string(name)
}
