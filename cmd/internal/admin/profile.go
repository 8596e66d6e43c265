package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// profile adds what `go tool pprof` asks for. It is at the socket alone: no door of
// clients has it.
func profile(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /debug/pprof/mutex", &sampled{name: "mutex", switchTo: func(on bool) {
		runtime.SetMutexProfileFraction(rate(on, oneIn))
	}})
	mux.Handle("GET /debug/pprof/block", &sampled{name: "block", switchTo: func(on bool) {
		runtime.SetBlockProfileRate(rate(on, int(blockedFor)))
	}})
}

// What is counted while somebody asks: one in so many waits for a mutex, and
// waits of any kind in proportion to their length, each that is as long as this.
const (
	oneIn      = 10
	blockedFor = 10 * time.Microsecond
)

func rate(on bool, n int) int {
	if on {
		return n
	}
	return 0
}

// sampled is a profile that costs time while it is gathered, and is gathered only
// while somebody asks for some seconds of it.
type sampled struct {
	name     string
	switchTo func(on bool)

	mu    sync.Mutex
	users int
}

// ServeHTTP implements http.Handler.
func (s *sampled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.use(1)
	defer s.use(-1)
	pprof.Handler(s.name).ServeHTTP(w, r)
}

func (s *sampled) use(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users += n
	s.switchTo(s.users > 0)
}

// Profile writes a profile of the server to w as `go tool pprof` reads it: "profile"
// of processors, "mutex" or "block" of what happens while it lasts, and "heap",
// "allocs" or "goroutine" of what is so at the time, for which d is zero.
func (c *Client) Profile(ctx context.Context, name string, d time.Duration, w io.Writer) error {
	path := "/debug/pprof/" + url.PathEscape(name)
	if seconds := int(d.Seconds()); seconds > 0 {
		path += "?seconds=" + strconv.Itoa(seconds)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://berth"+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("there is no profile %q: %s", name, resp.Status)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}
