package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/storage/backup"
)

// The calls by which a backup keeps what it copies from being deleted.
var (
	BeginBackup = Call[BackupHold, BackupHold]{"begin-backup"}
	RenewBackup = Call[BackupHold, BackupHold]{"renew-backup"}
	EndBackup   = Call[BackupHold, None]{"end-backup"}
)

// BackupHold is a hold on deleted layers.
type BackupHold struct {
	ID    string        `json:"id,omitempty"`    // "" asks for a new one
	By    string        `json:"by,omitempty"`    // who has it, for people to read
	Lasts time.Duration `json:"lasts,omitempty"` // from now on, unless it is renewed
	// Lineage names the store's history.
	Lineage string `json:"lineage,omitempty"`
}

func (c *Clerk) answerBackups(all answers) {
	answered(all, BeginBackup, func(ctx context.Context, q BackupHold) (BackupHold, error) {
		r, err := c.Registry(ctx)
		if err != nil {
			return BackupHold{}, err
		}
		h, err := r.HoldBytes(ctx, q.By, q.Lasts)
		return BackupHold{ID: h.ID, By: h.By, Lasts: q.Lasts, Lineage: h.Lineage}, err
	})
	answered(all, RenewBackup, func(ctx context.Context, q BackupHold) (BackupHold, error) {
		r, err := c.Registry(ctx)
		if err != nil {
			return BackupHold{}, err
		}
		_, err = r.RenewHold(ctx, q.ID, q.Lasts)
		return q, err
	})
	done(all, EndBackup, func(ctx context.Context, q BackupHold) error {
		r, err := c.Registry(ctx)
		if err != nil {
			return err
		}
		return r.ReleaseHold(ctx, q.ID)
	})
}

// Copied is an index that can be copied whole.
type Copied interface {
	// Snapshot writes one state of the index, with all that was acknowledged before the
	// call, as package journal writes snapshots.
	Snapshot(ctx context.Context, w io.Writer) error
	// Records writes the changes after an update, as package journal writes records: up to
	// that with a number, or with 0 to the last one acknowledged before the call. The error
	// is backup.ErrNoRecords if they are not kept any more.
	Records(ctx context.Context, after, upTo uint64, w io.Writer) error
}

// Snapshot implements Copied.
func (c *Client) Snapshot(ctx context.Context, w io.Writer) error {
	return c.stream(ctx, "/backup/snapshot", w)
}

// Records implements Copied.
func (c *Client) Records(ctx context.Context, after, upTo uint64, w io.Writer) error {
	q := url.Values{"after": {strconv.FormatUint(after, 10)}, "upTo": {strconv.FormatUint(upTo, 10)}}
	return c.stream(ctx, "/backup/records?"+q.Encode(), w)
}

// failed is the trailer that says why a stream ended early, and ended that it is whole.
const (
	failedTrailer = "Berth-Failed"
	endedTrailer  = "Berth-Ended"
)

// stream copies a long answer.
func (c *Client) stream(ctx context.Context, path string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://berth"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusGone:
		return noRecords{refusal(resp)}
	case resp.StatusCode >= http.StatusBadRequest:
		return refusal(resp)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("the server's answer broke off: %w", err)
	}
	if text := resp.Trailer.Get(failedTrailer); text != "" {
		return errors.New(text)
	}
	if resp.Trailer.Get(endedTrailer) == "" {
		return errors.New("the server's answer broke off")
	}
	return nil
}

// noRecords is a server's refusal that is backup.ErrNoRecords.
type noRecords struct{ error }

func (noRecords) Is(target error) bool { return target == backup.ErrNoRecords }

func (h handler) snapshot(w http.ResponseWriter, r *http.Request) error {
	return streaming(w, func(out io.Writer) error { return h.Snapshot(r.Context(), out) })
}

func (h handler) records(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	after, err := strconv.ParseUint(q.Get("after"), 10, 64)
	upTo, err2 := strconv.ParseUint(q.Get("upTo"), 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return streaming(w, func(out io.Writer) error { return h.Records(r.Context(), after, upTo, out) })
}

// streaming answers with what fn writes. An error before its first byte is the answer, a
// later one is told at the end.
func streaming(w http.ResponseWriter, fn func(io.Writer) error) error {
	out := &started{w: w}
	err := fn(out)
	if err != nil && !out.yes {
		return err
	}
	out.begin()
	if err != nil {
		w.Header().Set(failedTrailer, strconv.QuoteToASCII(err.Error()))
	} else {
		w.Header().Set(endedTrailer, "yes")
	}
	return nil
}

// started notes whether an answer has begun.
type started struct {
	w   http.ResponseWriter
	yes bool
}

func (s *started) begin() {
	if !s.yes {
		s.yes = true
		s.w.Header().Set("Trailer", failedTrailer+", "+endedTrailer)
		s.w.Header().Set("Content-Type", "application/octet-stream")
		s.w.WriteHeader(http.StatusOK)
	}
}

func (s *started) Write(p []byte) (int, error) {
	s.begin()
	return s.w.Write(p)
}
