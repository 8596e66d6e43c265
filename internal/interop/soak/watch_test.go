package soak_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

func digestOf(b []byte) digest.Digest { return digest.FromBytes(b) }

// answers counts what a server answers by status.
type answers struct {
	mu    sync.Mutex
	count map[int]int
	bad   []string // of those of 5xx
}

func newAnswers() *answers { return &answers{count: map[int]int{}} }

func (a *answers) client() *http.Client {
	return &http.Client{Transport: counting{a, &http.Transport{MaxIdleConnsPerHost: 2 * *clients}}}
}

func (a *answers) faults() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bad
}

type counting struct {
	*answers
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[resp.StatusCode]++
	if resp.StatusCode >= 500 {
		c.bad = append(c.bad, fmt.Sprintf("%d for %s %s", resp.StatusCode, r.Method, r.URL.Path))
	}
	return resp, nil
}

// watch looks at a process again and again.
type watch struct {
	ctx           context.Context
	pid           int
	done          chan struct{}
	memory, files []int64
}

const lookEvery = 250 * time.Millisecond

func watchProcess(ctx context.Context, pid int) *watch {
	w := &watch{ctx: ctx, pid: pid, done: make(chan struct{})}
	go w.run()
	return w
}

func (w *watch) run() {
	defer close(w.done)
	for again := time.NewTicker(lookEvery); ; {
		select {
		case <-w.ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
		memory, err := harness.Anonymous(w.pid)
		files, err2 := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.pid))
		if cmp.Or(err, err2) == nil {
			w.memory, w.files = append(w.memory, memory), append(w.files, int64(len(files)))
		}
	}
}

// growth is what a process used in the second quarter of its time, when it had come
// to work, and in the last: medians.
type growth struct {
	memory, files [2]int64
	samples       int
}

func (w *watch) growth() growth {
	<-w.done
	return growth{quarters(w.memory), quarters(w.files), len(w.memory)}
}

// quarters are the medians of the second quarter and of the last.
func quarters(samples []int64) (medians [2]int64) {
	n := len(samples) / 4
	for i, from := range []int{n, 3 * n} {
		if part := slices.Sorted(slices.Values(samples[from : from+n])); len(part) > 0 {
			medians[i] = part[len(part)/2]
		}
	}
	return medians
}

// What may be more at the end than before: a garbage collector's and a connection
// pool's play.
const (
	spareMemory = 16 << 20
	spareFiles  = 16
)

func (g growth) check(t *testing.T) {
	if g.samples < 8 {
		t.Errorf("%d looks at the process are too few", g.samples)
	}
	if g.memory[1] > g.memory[0]+g.memory[0]/4+spareMemory {
		t.Errorf("anonymous memory grew from %d to %d bytes", g.memory[0], g.memory[1])
	}
	if g.files[1] > g.files[0]+spareFiles {
		t.Errorf("open files grew from %d to %d", g.files[0], g.files[1])
	}
}
