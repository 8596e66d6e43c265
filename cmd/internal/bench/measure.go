package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// operation does what a scenario measures, for a number that is another each
// time, and returns how many bytes of content were moved.
type operation func(ctx context.Context, w *worker, n int64) (int64, error)

// pace is how long a worker was about something that is not the server's.
type pace struct {
	beside time.Duration
	deep   bool
	page   string // that is to be asked for next, in scenarios that walk; "" for the first
}

// aside does what is not counted.
func (p *pace) aside(do func()) {
	if p.deep { // as part of something that is not counted itself
		do()
		return
	}
	p.deep = true
	began := time.Now()
	do()
	p.beside += time.Since(began)
	p.deep = false
}

// run is the measurement of one scenario.
type run struct {
	scenario    string
	concurrency int
	duration    time.Duration
	count       int64 // of operations; 0 for as many as the duration allows

	started, done, failed, bytes atomic.Int64
	began                        time.Time

	mu     sync.Mutex
	all    histogram
	rate   float64 // operations a second, of the workers together
	errors map[string]int64
	first  error
}

// pauseAfterError keeps a worker from hammering on a server that refuses.
const pauseAfterError = 10 * time.Millisecond

// measure has the workers do an operation again and again.
func (r *run) measure(ctx context.Context, s *session, do operation) {
	r.began = time.Now()
	end := r.began.Add(r.duration)
	var workers sync.WaitGroup
	for range r.concurrency {
		workers.Go(func() {
			w := s.worker()
			defer w.wire.close()
			r.work(ctx, w, end, do)
		})
	}
	workers.Wait()
}

// work is what one worker does.
func (r *run) work(ctx context.Context, w *worker, end time.Time, do operation) {
	var own histogram
	began := time.Now()
	for ctx.Err() == nil {
		n := r.started.Add(1) - 1
		if r.count > 0 && n >= r.count || r.count == 0 && time.Now().After(end) {
			break
		}
		aside, start := w.beside, time.Now()
		moved, err := do(ctx, w, n)
		took := time.Since(start) - (w.beside - aside)
		if err != nil {
			if ctx.Err() == nil {
				r.fail(err)
				pause(ctx, pauseAfterError)
			}
			continue
		}
		own.record(took)
		r.done.Add(1)
		r.bytes.Add(moved)
	}
	busy := time.Since(began) - w.beside
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.add(&own)
	if busy > 0 {
		r.rate += float64(own.total) / busy.Seconds()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// fail counts an operation that failed, by what kind of failure it was.
func (r *run) fail(err error) {
	r.failed.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.errors == nil {
		r.errors = map[string]int64{}
	}
	r.errors[kindOf(err)]++
	if r.first == nil {
		r.first = err
	}
}

// kindOf is a word by which errors are counted: a status, a code of the API, or
// what became of the connection.
func kindOf(err error) string {
	var status *statusError
	var call *callError
	var network net.Error
	switch {
	case errors.As(err, &status):
		return fmt.Sprint(status.status)
	case errors.As(err, &call):
		return cmp.Or(call.code, fmt.Sprint(call.status))
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	}
	return "connection"
}

// result is what came of it.
func (r *run) result() Result {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	r.mu.Lock()
	defer r.mu.Unlock()
	res := Result{
		Scenario: r.scenario, Concurrency: r.concurrency, Seconds: time.Since(r.began).Seconds(),
		Operations: r.done.Load(), Errors: r.failed.Load(), ErrorKinds: r.errors, Rate: r.rate, Bytes: r.bytes.Load(),
		P50: ms(r.all.quantile(0.50)), P90: ms(r.all.quantile(0.90)), P99: ms(r.all.quantile(0.99)), Max: ms(r.all.most),
	}
	if res.Operations > 0 {
		res.MBPerSecond = r.rate * float64(res.Bytes) / float64(res.Operations) / 1e6
	}
	if r.first != nil {
		res.FirstError = r.first.Error()
	}
	return res
}
