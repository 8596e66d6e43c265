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
	"strconv"
	"strings"
	"time"
)

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

// sendTime bounds one delivery, and maxAnswer what is read of its answer.
const (
	sendTime  = 30 * time.Second
	maxAnswer = 64 << 10
)

// rejection is an answer that does not take an event.
type rejection struct {
	status int
	after  time.Duration // what the receiver asks to wait; 0 if it does not
}

func (r *rejection) Error() string {
	return strings.TrimSpace(fmt.Sprint("answered ", r.status, " ", http.StatusText(r.status)))
}

// send delivers one event.
func (h *hook) send(ctx context.Context, d deliveryRow) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	req, err := h.request(ctx, d.Envelope)
	if err != nil {
		return err
	}
	resp, err := h.follower.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // so that the connection may be used again
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return &rejection{resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), h.follower.now())}
}

func (h *hook) request(ctx context.Context, envelope json.RawMessage) (*http.Request, error) {
	body, contentType, err := h.body(envelope)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "Berth")
	if len(h.Secret) > 0 {
		at := strconv.FormatInt(h.follower.now().Unix(), 10)
		req.Header.Set(TimestampHeader, at)
		req.Header.Set(SignatureHeader, "v1="+hex.EncodeToString(Sign(h.Secret, at, body)))
	}
	return req, nil
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
	const most = 365 * 24 * time.Hour // beyond any age, and within a Duration
	if seconds, err := strconv.ParseInt(header, 10, 64); err == nil {
		return time.Duration(max(0, min(seconds, int64(most/time.Second)))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(0, at.Sub(now)), most)
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

// body is what is sent of an envelope, in the form that the webhook wants.
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
	return "berth." + strings.ReplaceAll(strings.ToLower(detailType), " ", "-")
}
