// Package queue is the worker that has images scanned. What is to be scanned is planned
// by package registry, in the transaction that pushes an image or asks for its scan, as
// rows that go only in the transaction that keeps what the scan came to: so a server that
// is killed at any point forgets none, and tells none twice. This package takes them one
// after the other, calls a scan.Scanner, and decides what is tried again.
package queue

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
)

// Registry is what a Worker needs of registry.Service, whose methods say what they do.
type Registry interface {
	NextScan(ctx context.Context, lease time.Duration) (job registry.ScanJob, ok bool, next time.Time, err error)
	AwaitScans(ctx context.Context) error
	ScanImage(ctx context.Context, j registry.ScanJob) (img scan.Image, ok bool, err error)
	RenewScan(ctx context.Context, j registry.ScanJob, lease time.Duration) (ok bool, err error)
	RestScan(ctx context.Context, j registry.ScanJob, rest time.Duration) error
	GiveBackScan(ctx context.Context, j registry.ScanJob) error
	FinishScan(ctx context.Context, j registry.ScanJob, report scan.Report, failed error) (outcome scan.Outcome, kept bool, err error)
}

// Options are what New needs.
type Options struct {
	Registry Registry     // required
	Scanner  scan.Scanner // required
	// Workers is how many images are scanned at the same time; zero means one for two
	// processors, and at least one.
	Workers int
	// Rest is how long after an attempt that failed, and not for the image's sake, the next
	// one may begin; zero means ten seconds.
	Rest time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log takes what fails; nil means nowhere.
	Log *slog.Logger
}

// Worker has images scanned. Run it once.
type Worker struct {
	registry Registry
	scanner  scan.Scanner
	workers  int
	rest     time.Duration
	now      func() time.Time
	log      *slog.Logger
	counts   counts
}

const (
	// lease is how long the scan of a server that died waits for the next one. It is
	// renewed at a third of its time.
	lease = 15 * time.Second
	// usualRest is long enough for what is short of memory or processes to get over it.
	usualRest = 10 * time.Second
	// faultRest is between looks at a queue that cannot be read or written.
	faultRest = time.Second
)

// New makes a worker.
func New(o Options) (*Worker, error) {
	switch {
	case o.Registry == nil:
		return nil, errors.New("queue: a registry is needed")
	case o.Scanner == nil:
		return nil, errors.New("queue: a scanner is needed")
	case o.Workers < 0 || o.Rest < 0:
		return nil, errors.New("queue: the number of workers, and a rest, are not negative")
	}
	if o.Workers == 0 {
		o.Workers = max(1, runtime.NumCPU()/2)
	}
	if o.Rest == 0 {
		o.Rest = usualRest
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{
		registry: o.Registry, scanner: o.Scanner, workers: o.Workers, rest: o.Rest, now: o.Now, log: o.Log,
		counts: counts{done: map[Kind]int64{}},
	}, nil
}

// Run works until ctx ends, and then returns nil. What fails is logged and tried again. A
// scan that is under way at the end of ctx is given back, and waits for the next start.
func (w *Worker) Run(ctx context.Context) error {
	var under sync.WaitGroup
	for range w.workers {
		under.Go(func() { w.work(ctx) })
	}
	under.Wait()
	return nil
}

func (w *Worker) work(ctx context.Context) {
	for ctx.Err() == nil {
		job, ok, next, err := w.registry.NextScan(ctx, lease)
		switch {
		case err == nil && ok:
			w.scan(ctx, job)
			continue
		case err == nil:
			err = w.await(ctx, next)
		}
		if err != nil && ctx.Err() == nil {
			if !storage.Refuses(err) {
				w.log.Error("look for images to scan", "error", err)
			}
			pause(ctx, faultRest)
		}
	}
}

// await returns when a scan may be due.
func (w *Worker) await(ctx context.Context, next time.Time) error {
	until, cancel := ctx, context.CancelFunc(func() {})
	if !next.IsZero() {
		until, cancel = context.WithTimeout(ctx, max(0, next.Sub(w.now())))
	}
	defer cancel()
	err := w.registry.AwaitScans(until)
	if until.Err() != nil {
		return nil
	}
	return err
}

// scan makes an attempt, and keeps what came of it.
func (w *Worker) scan(ctx context.Context, job registry.ScanJob) {
	began := w.now()
	report, gone, err := w.attempt(ctx, &job)
	keep := context.WithoutCancel(ctx)
	switch {
	case gone:
		err = w.registry.RestScan(keep, job, 0) // whoever takes it next sees that, and why
	case ctx.Err() != nil && err != nil, storage.Refuses(err): // which is none of the image's doing
		err = w.registry.GiveBackScan(keep, job)
		pause(ctx, faultRest)
	case passes(err) && !job.Last():
		w.tell(job, err)
		err = w.registry.RestScan(keep, job, w.rest)
	default:
		if passes(err) {
			w.tell(job, err)
		}
		err = w.finish(keep, job, report, err, began)
		if storage.Refuses(err) { // it is not the image that there is no room for what was found
			err = errors.Join(err, w.registry.GiveBackScan(keep, job))
		}
	}
	if err != nil && !storage.Refuses(err) {
		w.log.Error("keep how the scan of an image went", "repository", job.Name.ARN(), "digest", job.Digest.String(), "error", err)
	}
	if err != nil { // its lease ends by itself
		pause(ctx, faultRest)
	}
}

func (w *Worker) finish(ctx context.Context, job registry.ScanJob, report scan.Report, failed error, began time.Time) error {
	outcome, kept, err := w.registry.FinishScan(ctx, job, report, failed)
	if err == nil && kept {
		w.counts.add(Kind{job.Type, outcome.Status}, w.now().Sub(began))
	}
	return err
}

// passes says whether an error may go away by itself.
func passes(err error) bool {
	var p *scan.Problem
	return err != nil && !errors.As(err, &p)
}

func (w *Worker) tell(job registry.ScanJob, err error) {
	w.log.Error("scan an image", "repository", job.Name.ARN(), "digest", job.Digest.String(), "type", string(job.Type), "attempt", job.Attempt, "error", err)
}

// attempt calls the scanner, and keeps the job for as long as that takes. Gone says that
// nobody wants the scan any more.
func (w *Worker) attempt(ctx context.Context, job *registry.ScanJob) (report scan.Report, gone bool, err error) {
	img, ok, err := w.registry.ScanImage(ctx, *job)
	if err != nil || !ok {
		return report, !ok && err == nil, err
	}
	job.Platform = img.Platform
	during, lose := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { w.renew(during, *job, lose) })
	report, err = w.scanner.Scan(during, img)
	gone = errors.Is(context.Cause(during), errLost)
	lose(nil)
	renewing.Wait()
	return report, gone, err
}

// errLost says that a job is not its holder's any more.
var errLost = errors.New("queue: the scan is not wanted any more")

// renew keeps a job until ctx ends, or ends ctx if the job is lost.
func (w *Worker) renew(ctx context.Context, job registry.ScanJob, lose context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lease / 3):
		}
		ok, err := w.registry.RenewScan(ctx, job, lease)
		switch {
		case err != nil && ctx.Err() == nil && !storage.Refuses(err):
			w.log.Error("keep the scan of an image", "digest", job.Digest.String(), "error", err)
		case err == nil && !ok:
			lose(errLost)
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
