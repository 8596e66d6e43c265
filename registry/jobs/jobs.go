// Package jobs runs periodic work once across all processes that share an index.
//
// Each job has a row in the index: who runs it and until when, when it last began
// and ended, and with what error. Who is to run it takes the row for the time of
// a lease and renews that while the work goes on; a holder that dies loses it when
// the lease ends, and another one takes the work up again at once. Because the
// times are kept, a restart runs nothing before it is due.
//
// A lease is no lock: a holder that is stopped for longer than its lease and then
// goes on does so for a moment beside another. Work keeps its own rows right by
// transactions; the lease only spares doing it twice.
package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Options are what New needs.
type Options struct {
	Index storage.Index // required
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log takes what fails; nil means nowhere.
	Log *slog.Logger
	// Lease is how long a holder that died keeps a job from others; zero means
	// a minute.
	Lease time.Duration
}

// Job is work to be done again and again.
type Job struct {
	// Name is the key of the job's row: unique, and kept from version to version.
	Name string
	// Every is how long after the begin of a run the next one is due. It is asked
	// before each, so it may change; zero and less mean that none is.
	Every func() time.Duration
	// Ready says of a job that is due whether there is anything to do; nil means
	// that there always is. Where it says no, nothing is written.
	Ready func(context.Context) (bool, error)
	// Wake has a job run that is not due yet; nil means that none wakes it.
	Wake <-chan struct{}
	// Run does the work and returns soon after its context ends, which is also
	// when the lease was lost. What it leaves undone is its own to find again.
	Run func(context.Context) error
}

// State is what is known of a job.
type State struct {
	Name string
	// Holder runs it, until Until unless the lease is renewed; "" if nobody does.
	Holder string
	Until  time.Time
	// StartedAt and EndedAt are of the last run; the end is the earlier one while
	// it goes on, and of a run that was broken off.
	StartedAt, EndedAt time.Time
	Error              string // of the last run that ended, "" if it went well
}

// Runner runs jobs.
type Runner struct {
	index  storage.Index
	now    func() time.Time
	log    *slog.Logger
	lease  time.Duration
	holder string
	jobs   []Job
}

// New makes a runner without jobs.
func New(o Options) (*Runner, error) {
	if o.Index == nil {
		return nil, errors.New("jobs: an index is needed")
	}
	r := &Runner{index: o.Index, now: o.Now, log: o.Log, lease: o.Lease, holder: rand.Text()}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.lease == 0 {
		r.lease = time.Minute
	}
	return r, nil
}

// Add gives the runner a job. It must not be called when Run was.
func (r *Runner) Add(j Job) { r.jobs = append(r.jobs, j) }

// Run runs the jobs, each beside the others, until ctx ends, and returns nil when
// all have come to rest. What fails is logged, and tried again when it is due.
func (r *Runner) Run(ctx context.Context) error {
	ctx = storage.UseReserve(ctx) // what is done again and again clears away, or takes no more room each time
	var all sync.WaitGroup
	for _, j := range r.jobs {
		all.Go(func() { r.serve(ctx, j) })
	}
	all.Wait()
	return nil
}

// Once runs those of the jobs that are due, one after the other, and leaves alone what is
// under way.
func (r *Runner) Once(ctx context.Context) error {
	ctx = storage.UseReserve(ctx)
	var failed []error
	for _, j := range r.jobs {
		_, err := r.look(ctx, j, false)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// States lists what is known of all jobs that ever ran, in order of name.
func (r *Runner) States(ctx context.Context) (list []State, err error) {
	err = r.index.View(ctx, func(rd storage.Reader) error {
		list = nil
		for f, err := range rows.Scan(rd, table.Select{}) {
			if err != nil {
				return err
			}
			s := State{
				Name: f.Key[0], Holder: f.Row.Holder, Until: f.Row.Until,
				StartedAt: f.Row.StartedAt, EndedAt: f.Row.EndedAt, Error: f.Row.Error,
			}
			list = append(list, s)
		}
		return nil
	})
	return list, err
}

// A job is looked at again after these times, be it due or not: the longest lets
// it notice what was changed elsewhere, the shortest keeps it from spinning.
const longestPause, shortestPause = 10 * time.Second, 100 * time.Millisecond

func (r *Runner) serve(ctx context.Context, j Job) {
	woken := false
	for ctx.Err() == nil {
		pause, err := r.look(ctx, j, woken)
		if err != nil && ctx.Err() == nil {
			pause = longestPause
			if !storage.Refuses(err) {
				r.log.Error("run a job", "job", j.Name, "error", err)
			}
		}
		woken = false
		select {
		case <-ctx.Done():
		case <-j.Wake:
			woken = true
		case <-time.After(min(max(pause, shortestPause), longestPause)):
		}
	}
}

// look runs a job if it is to be run now, and says when to look again. The error
// is that of looking: that of the job is noted and logged by finish.
func (r *Runner) look(ctx context.Context, j Job, woken bool) (pause time.Duration, err error) {
	every := j.Every()
	if every <= 0 {
		return longestPause, nil
	}
	err = r.index.View(ctx, func(rd storage.Reader) error {
		state, err := read(rd, j.Name)
		pause = state.wait(r.now(), every, woken)
		return err
	})
	if err != nil || pause > 0 {
		return pause, err
	}
	if j.Ready != nil {
		if ready, err := j.Ready(ctx); err != nil || !ready {
			return every, err
		}
	}
	if pause, err = r.take(ctx, j.Name, every, woken); err != nil || pause > 0 {
		return pause, err
	}
	return every, r.run(ctx, j)
}

// take takes the lease of a job, or says how long it is not to be had.
func (r *Runner) take(ctx context.Context, name string, every time.Duration, woken bool) (pause time.Duration, err error) {
	err = r.index.Update(ctx, func(tx storage.Tx) error {
		state, err := read(tx, name)
		if err != nil {
			return err
		}
		now := r.now().UTC()
		if pause = state.wait(now, every, woken); pause > 0 {
			return nil
		}
		state.Holder, state.Until, state.StartedAt = r.holder, now.Add(r.lease), now
		if !state.EndedAt.Before(now) { // the clock stands, or was set back
			state.EndedAt = now.Add(-1)
		}
		return rows.Put(tx, state, name)
	})
	return pause, err
}

// errLost is the cause of the end of a run whose lease is gone.
var errLost = errors.New("jobs: the lease was lost")

// run does the work of a job that was taken, and gives it back.
func (r *Runner) run(ctx context.Context, j Job) error {
	work, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	// Also while the work comes to its end after ctx has.
	renewals, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var renewing sync.WaitGroup
	renewing.Go(func() { r.renew(renewals, j.Name, lose) })
	failed := j.Run(work)
	if context.Cause(work) == errLost {
		failed = errors.Join(errLost, failed)
	}
	stop()
	renewing.Wait()
	if failed != nil && ctx.Err() == nil && !storage.Refuses(failed) {
		r.log.Error("a job failed", "job", j.Name, "error", failed)
	}
	return r.finish(context.WithoutCancel(ctx), j.Name, failed, ctx.Err() != nil)
}

// renew renews the lease of a job until ctx ends, and calls lose when the lease
// is lost.
func (r *Runner) renew(ctx context.Context, name string, lose context.CancelCauseFunc) {
	until := r.now().Add(r.lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.lease / 3):
		}
		now := r.now()
		err := r.change(ctx, name, func(state *row) { state.Until = now.Add(r.lease).UTC() })
		switch {
		case err == nil:
			until = now.Add(r.lease)
		case errors.Is(err, errLost) || ctx.Err() == nil && !until.After(r.now()):
			lose(errLost)
			return
		}
	}
}

// finish gives a job back and notes how it went. One that was broken off by the
// end of the process counts as unfinished.
func (r *Runner) finish(ctx context.Context, name string, failed error, broken bool) error {
	err := r.change(ctx, name, func(state *row) {
		state.Holder, state.Until = "", time.Time{}
		if broken && failed != nil {
			return
		}
		state.EndedAt, state.Error = later(r.now().UTC(), state.StartedAt), ""
		if failed != nil {
			state.Error = failed.Error()
		}
	})
	if errors.Is(err, errLost) { // run has said so
		return nil
	}
	if err != nil {
		return fmt.Errorf("give back: %w", err)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// change changes the row of a job that this runner holds, or returns errLost.
func (r *Runner) change(ctx context.Context, name string, fn func(*row)) error {
	return r.index.Update(ctx, func(tx storage.Tx) error {
		state, err := read(tx, name)
		if err != nil {
			return err
		}
		if state.Holder != r.holder {
			return errLost
		}
		fn(&state)
		return rows.Put(tx, state, name)
	})
}
