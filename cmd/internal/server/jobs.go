package server

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/jobs"
)

const (
	// jobPause is how often is looked for periodic work at least.
	jobPause = time.Minute
	// previewPause is the same for previews that another process left.
	previewPause = 5 * time.Second
	// jobLease is how long the work of a server that died waits for the next one.
	jobLease = 15 * time.Second
	// passwordSweep is how often the list of registry passwords is gone through.
	passwordSweep = time.Hour
	// stampSweep is how often is looked for tags that went long ago.
	stampSweep = 24 * time.Hour
)

// openJobs makes the runner of what is to be done again and again by one process.
func (s *Server) openJobs() (*jobs.Runner, error) {
	if err := s.openHealing(); err != nil {
		return nil, err
	}
	r, err := jobs.New(jobs.Options{Now: s.keeper.clock.Now, Index: s.keeper.store.index, Log: s.log, Lease: jobLease})
	if err != nil {
		return nil, err
	}
	r.Add(jobs.Job{
		Name:  "lifecycle policies",
		Every: func() time.Duration { return min(s.config.Load().LifecycleInterval, jobPause) },
		Ready: s.unlessHeld(s.registry.LifecycleDue), Run: s.registry.RunLifecycle,
	})
	r.Add(jobs.Job{
		Name:  "lifecycle policy previews",
		Every: func() time.Duration { return previewPause },
		Ready: s.registry.PreviewsDue, Wake: s.registry.PreviewsWanted(), Run: s.registry.RunPreviews,
	})
	r.Add(jobs.Job{
		Name: "forget registry passwords that have ended", Every: func() time.Duration { return passwordSweep }, Ready: s.unlessHeld(always), Run: s.keeper.accounts.SweepPasswords,
	})
	r.Add(jobs.Job{
		Name: "trash", Every: func() time.Duration { return jobPause }, Ready: s.unlessHeld(s.registry.TrashDue), Run: s.registry.SweepTrash,
	})
	r.Add(jobs.Job{
		Name: "collection", Every: func() time.Duration { return s.config.Load().GCInterval }, Ready: s.unlessHeld(always), Run: s.registry.Collect,
	})
	if s.healer != nil {
		r.Add(jobs.Job{
			Name: "heal", Every: func() time.Duration { return jobPause }, Wake: s.registry.DamageFound(), Run: s.healer,
		})
	}
	r.Add(jobs.Job{
		Name: "backfill", Every: func() time.Duration { return jobPause }, Ready: s.registry.BackfillDue, Wake: s.registry.RulesChanged(), Run: s.registry.Backfill,
	})
	r.Add(jobs.Job{
		Name: "forget what went", Every: func() time.Duration { return stampSweep }, Ready: s.unlessHeld(s.registry.StampsKept), Run: s.registry.SweepStamps,
	})
	r.Add(jobs.Job{
		Name: "scrub", Every: func() time.Duration { return jobPause }, Ready: s.registry.ScrubDue, Run: s.registry.RunScrub,
	})
	r.Add(jobs.Job{
		Name: "vulnerability database", Every: s.scanned.Every, Ready: s.scanned.Wanted, Wake: s.scanned.Woken(), Run: s.scanned.Run,
	})
	s.addScanJobs(r)
	return r, nil
}

// always is for work of which there is always some.
func always(context.Context) (bool, error) { return true, nil }

// unlessHeld keeps work that removes things by their age from being begun while the
// clock is not to be trusted.
func (s *Server) unlessHeld(ready func(context.Context) (bool, error)) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		if s.keeper.clock.Held() != nil { // of which the log and the status tell
			return false, nil
		}
		return ready(ctx)
	}
}

// jobStates are the jobs as status shows them.
func (s *Server) jobStates(ctx context.Context) (list []admin.Job, err error) {
	states, err := s.jobs.States(ctx)
	for _, j := range states {
		list = append(list, admin.Job{Name: j.Name, Running: j.Holder != "", Started: j.StartedAt, Ended: j.EndedAt, Error: j.Error})
	}
	return list, err
}
