package remote_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry/remote"
)

const short = 50 * time.Millisecond

// A body that comes no further, and one that nobody takes.
func TestStalled(t *testing.T) {
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			io.WriteString(w, "some")
			_ = http.NewResponseController(w).Flush() // without it nothing comes, which is the same
		}
		<-done
	}))
	defer s.Close()
	defer close(done)
	o := loopback()
	o.Times.Rest = short
	c := client(t, o)
	resp, err := c.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); !errors.Is(err, remote.ErrStalled) || string(got) != "some" {
		t.Errorf("%q, %v", got, err)
	}
	// More than the buffers of both ends hold.
	if _, err := c.Post(s.URL, "text/plain", io.LimitReader(zeros{}, 1<<30)); !errors.Is(err, remote.ErrStalled) {
		t.Errorf("a body that nobody takes: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// slow gives a byte after each of some delays.
type slow struct {
	ctx    context.Context
	delays []time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.delays) == 0 {
		return 0, io.EOF
	}
	err := remote.Wait(s.ctx, s.delays[0])
	s.delays = s.delays[1:]
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// What the network takes counts, and what the two who use it take does not. (Time
// is that of a bubble: nothing waits.)
func TestSlow(t *testing.T) {
	const rest = time.Minute
	synctest.Test(t, func(t *testing.T) {
		network := []time.Duration{0, rest - 1, rest - 1, rest + 1}
		answer, err := remote.Watched(request(t, nil), rest, func(r *http.Request) (*http.Response, error) {
			return &http.Response{Body: io.NopCloser(&slow{r.Context(), network})}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range network {
			time.Sleep(10 * rest)
			_, err := answer.Body.Read(make([]byte, 1))
			if last := i == len(network)-1; errors.Is(err, remote.ErrStalled) != last || (err != nil) != last {
				t.Errorf("byte %d: %v", i, err)
			}
		}
	})
	for pause, stalls := range map[time.Duration]bool{rest - 1: false, rest + 1: true} {
		synctest.Test(t, func(t *testing.T) {
			body := &slow{t.Context(), []time.Duration{2 * rest, 2 * rest, 2 * rest}}
			_, err := remote.Watched(request(t, body), rest, func(r *http.Request) (*http.Response, error) {
				for range 3 {
					if _, err := r.Body.Read(make([]byte, 1)); err != nil {
						return nil, err
					}
					if err := remote.Wait(r.Context(), pause); err != nil {
						return nil, err
					}
				}
				return &http.Response{Body: http.NoBody}, r.Body.Close()
			})
			if errors.Is(err, remote.ErrStalled) != stalls || (err != nil) != stalls {
				t.Errorf("a network that takes %s: %v", pause, err)
			}
		})
	}
}

func request(t testing.TB, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://registry.example", body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNoAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // which nobody accepts from
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := loopback()
	o.Times = remote.Times{Answer: short, TLS: short}
	for _, scheme := range []string{"http://", "https://"} {
		if _, err := client(t, o).Get(scheme + l.Addr().String()); err == nil || !errors.As(err, new(net.Error)) {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, loopback()).Do(r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time: %v", err)
	}
}
