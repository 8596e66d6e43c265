package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry/jobs"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// runner makes a runner of one job over an index.
func runner(t *testing.T, x storage.Index, j jobs.Job) *jobs.Runner {
	t.Helper()
	r, err := jobs.New(jobs.Options{Index: x})
	if err != nil {
		t.Fatal(err)
	}
	r.Add(j)
	return r
}

// begin runs a runner, and returns what stops it and waits.
func begin(t *testing.T, r *jobs.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func each(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

func state(t *testing.T, r *jobs.Runner) jobs.State {
	t.Helper()
	list, err := r.States(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("states %+v, %v; want one", list, err)
	}
	return list[0]
}

func TestOnceAcrossRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, began := memory.NewIndex(), time.Now()
		var running, runs atomic.Int32
		work := jobs.Job{Name: "sweep", Every: each(time.Hour), Run: func(context.Context) error {
			if running.Add(1) > 1 {
				t.Error("runs twice at once")
			}
			runs.Add(1)
			time.Sleep(10 * time.Minute) // many leases long
			running.Add(-1)
			return nil
		}}
		a, b := runner(t, x, work), runner(t, x, work)
		stopA, stopB := begin(t, a), begin(t, b)
		time.Sleep(9 * time.Minute)
		if s := state(t, a); s.Holder == "" || !s.Until.After(time.Now()) || !s.EndedAt.Before(s.StartedAt) {
			t.Errorf("while it runs: %+v", s)
		}
		time.Sleep(51*time.Minute - time.Second)
		if n := runs.Load(); n != 1 {
			t.Errorf("%d runs before the hour is over, want 1", n)
		}
		if s := state(t, b); s.Holder != "" || s.Error != "" || !s.EndedAt.Equal(began.Add(10*time.Minute)) {
			t.Errorf("at rest: %+v", s)
		}
		time.Sleep(11 * time.Second)
		if n := runs.Load(); n != 2 {
			t.Errorf("%d runs when the hour is over, want 2", n)
		}
		stopA()
		stopB()
	})
}

func TestAHolderThatDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := memory.NewIndex()
		dead := &cut{Index: x}
		hang := runner(t, dead, jobs.Job{Name: "sweep", Every: each(time.Hour), Run: func(ctx context.Context) error {
			dead.off.Store(true) // from here on it reaches nothing
			<-ctx.Done()
			return context.Cause(ctx)
		}})
		stopDead := begin(t, hang)
		synctest.Wait()
		taken := time.Now()
		var after atomic.Int64
		heir := runner(t, x, jobs.Job{Name: "sweep", Every: each(time.Hour), Run: func(context.Context) error {
			after.Store(int64(time.Since(taken)))
			return nil
		}})
		stop := begin(t, heir)
		time.Sleep(59 * time.Second)
		if d := after.Load(); d != 0 {
			t.Errorf("taken over after %v, within the lease", time.Duration(d))
		}
		time.Sleep(20 * time.Second)
		if after.Load() == 0 {
			t.Error("nobody took over")
		}
		if s := state(t, heir); s.Holder != "" || s.EndedAt.Before(s.StartedAt) {
			t.Errorf("taken over: %+v", s)
		}
		stop()
		stopDead()
	})
}

// cut is an index that can be cut off.
type cut struct {
	storage.Index
	off atomic.Bool
}

var errCut = errors.New("cut off")

func (c *cut) View(ctx context.Context, fn func(storage.Reader) error) error {
	if c.off.Load() {
		return errCut
	}
	return c.Index.View(ctx, fn)
}

func (c *cut) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if c.off.Load() {
		return errCut
	}
	return c.Index.Update(ctx, fn)
}

// TestAStoppedHolder: what is stopped gives back at once, and what it left is
// taken up at once, though it is not due.
func TestAStoppedHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := memory.NewIndex()
		var runs atomic.Int32
		work := jobs.Job{Name: "sweep", Every: each(time.Hour), Run: func(ctx context.Context) error {
			if runs.Add(1) == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
		first := runner(t, x, work)
		stop := begin(t, first)
		synctest.Wait()
		stop()
		if s := state(t, first); s.Holder != "" || s.Error != "" {
			t.Errorf("stopped: %+v", s)
		}
		for range 2 { // the second start finds it done
			stop = begin(t, runner(t, x, work))
			synctest.Wait()
			if n := runs.Load(); n != 2 {
				t.Errorf("%d runs, want 2", n)
			}
			stop()
		}
	})
}

func TestErrorsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r, err := jobs.New(jobs.Options{Index: memory.NewIndex(), Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		runs := 0
		r.Add(jobs.Job{Name: "sweep", Every: each(time.Minute), Run: func(context.Context) error {
			if runs++; runs == 1 {
				return errors.New("out of brooms")
			}
			return nil
		}})
		stop := begin(t, r)
		time.Sleep(time.Second)
		if s := state(t, r); s.Error != "out of brooms" || s.EndedAt.IsZero() {
			t.Errorf("after a failure: %+v", s)
		}
		time.Sleep(75 * time.Second)
		if s := state(t, r); s.Error != "" || runs != 2 {
			t.Errorf("after %d runs: %+v", runs, s)
		}
		stop()
		if !strings.Contains(log.String(), "out of brooms") || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("log: %s", &log)
		}
	})
}

func TestReadyAndWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, wake := memory.NewIndex(), make(chan struct{}, 1)
		var ready atomic.Bool
		var runs atomic.Int32
		r := runner(t, x, jobs.Job{
			Name: "sweep", Every: each(time.Hour), Wake: wake,
			Ready: func(context.Context) (bool, error) { return ready.Load(), nil },
			Run:   func(context.Context) error { runs.Add(1); return nil },
		})
		stop := begin(t, r)
		defer stop()
		time.Sleep(2 * time.Hour)
		if list, err := r.States(t.Context()); err != nil || len(list) > 0 || runs.Load() > 0 {
			t.Errorf("with nothing to do: %d runs, states %v, %v", runs.Load(), list, err)
		}
		ready.Store(true)
		time.Sleep(11 * time.Second) // the look at this very moment may have come before
		if n := runs.Load(); n != 1 {
			t.Errorf("%d runs with something to do, want 1", n)
		}
		time.Sleep(time.Minute)
		wake <- struct{}{}
		synctest.Wait()
		if n := runs.Load(); n != 2 {
			t.Errorf("%d runs when woken, want 2", n)
		}
	})
}

func TestEveryMayChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var every atomic.Int64
		var runs atomic.Int32
		r := runner(t, memory.NewIndex(), jobs.Job{
			Name: "sweep", Every: func() time.Duration { return time.Duration(every.Load()) },
			Run: func(context.Context) error { runs.Add(1); return nil },
		})
		stop := begin(t, r)
		defer stop()
		for _, tt := range []struct {
			every time.Duration
			want  int32 // after a minute more
		}{{0, 0}, {time.Hour, 1}, {time.Second, 52}, {-1, 52}} {
			every.Store(int64(tt.every))
			time.Sleep(time.Minute)
			if n := runs.Load(); n < tt.want-10 || n > tt.want+10 || tt.want < 2 && n != tt.want {
				t.Errorf("every %v: %d runs, want about %d", tt.every, n, tt.want)
			}
		}
	})
}

// TestFaults: whatever read or write fails, the job is done all the same, and
// never by two at once.
func TestFaults(t *testing.T) {
	for n := range 6 {
		synctest.Test(t, func(t *testing.T) {
			x := &flaky{Index: memory.NewIndex(), left: n + 1}
			done := 0
			r := runner(t, x, jobs.Job{Name: "sweep", Every: each(time.Minute), Run: func(context.Context) error {
				time.Sleep(time.Minute) // renewals too
				done++
				return nil
			}})
			stop := begin(t, r)
			time.Sleep(10 * time.Minute)
			stop()
			if done < 4 {
				t.Errorf("with transaction %d failing: %d runs in ten minutes", n, done)
			}
		})
	}
}

// flaky is an index of which one transaction fails.
type flaky struct {
	storage.Index
	mu   sync.Mutex
	left int
}

func (x *flaky) next() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.left--; x.left == 0 {
		return errCut
	}
	return nil
}

func (x *flaky) View(ctx context.Context, fn func(storage.Reader) error) error {
	if err := x.next(); err != nil {
		return err
	}
	return x.Index.View(ctx, fn)
}

func (x *flaky) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if err := x.next(); err != nil {
		return err
	}
	return x.Index.Update(ctx, fn)
}

// TestClock: what is due is decided by the clock that was handed in.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Int64
		r, err := jobs.New(jobs.Options{Index: memory.NewIndex(), Now: func() time.Time { return time.Unix(now.Load(), 0) }})
		if err != nil {
			t.Fatal(err)
		}
		var runs atomic.Int32
		r.Add(jobs.Job{Name: "sweep", Every: each(time.Hour), Run: func(context.Context) error { runs.Add(1); return nil }})
		stop := begin(t, r)
		defer stop()
		for _, tt := range []struct{ at, want int64 }{{10_000, 1}, {13_599, 1}, {13_600, 2}, {5_000, 3}} { // the last is a clock set back
			now.Store(tt.at)
			time.Sleep(11 * time.Second)
			if n := runs.Load(); int64(n) != tt.want {
				t.Errorf("at %d: %d runs, want %d", tt.at, n, tt.want)
			}
		}
	})
}

func TestNewNeedsAnIndex(t *testing.T) {
	if _, err := jobs.New(jobs.Options{}); err == nil {
		t.Error("New without an index succeeds")
	}
}
