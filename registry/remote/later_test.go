package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry/remote"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		status int
		said   string
		want   time.Duration
		ok     bool
	}{
		{429, "7", 7 * time.Second, true}, {503, "7", 7 * time.Second, true}, {500, "7", 0, false}, {200, "7", 0, false},
		{429, "0", 0, true}, {429, "", 0, false}, {429, "-7", 0, false}, {429, "soon", 0, false}, {429, "1.5", 0, false},
		{429, "601", remote.MostWait, true}, {429, "99999999999999999999999", remote.MostWait, true}, {429, "18446744073709551615", remote.MostWait, true},
		{429, "Sun, 01 Mar 2026 12:00:09 GMT", 9 * time.Second, true}, {429, "Sun, 01 Mar 2026 11:00:00 GMT", 0, true},
		{429, "Fri, 31 Dec 9999 23:59:59 GMT", remote.MostWait, true}, {429, "Sunday, 01-Mar-26 12:00:09 GMT", 9 * time.Second, true},
	}
	for _, tt := range tests {
		answer := &http.Response{StatusCode: tt.status, Header: http.Header{"Retry-After": {tt.said}}}
		if got, ok := remote.RetryAfter(answer, now); got != tt.want || ok != tt.ok {
			t.Errorf("%d with %q: %s, %v", tt.status, tt.said, got, ok)
		}
	}
}

func TestWait(t *testing.T) {
	if err := remote.Wait(t.Context(), time.Millisecond); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, d := range []time.Duration{0, time.Hour} {
		if err := remote.Wait(ctx, d); !errors.Is(err, context.Canceled) {
			t.Errorf("for %s: %v", d, err)
		}
	}
}

func TestReadAll(t *testing.T) {
	for _, text := range []string{"", "abc", "abcd"} {
		if got, err := remote.ReadAll(strings.NewReader(text), 4); err != nil || string(got) != text {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
	long := strings.NewReader("abcdefgh")
	if _, err := remote.ReadAll(long, 4); !errors.Is(err, remote.ErrTooLong) || long.Len() != 3 {
		t.Errorf("%v, and %d bytes are left", err, long.Len())
	}
	broken := io.MultiReader(strings.NewReader("ab"), iotestErr{})
	if _, err := remote.ReadAll(broken, 4); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
