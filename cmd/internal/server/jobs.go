package server

import (
	"time"

	"github.com/seed-78150930/berth/registry/jobs"
)

// jobPause is how often is looked for periodic work at least.
const jobPause = time.Minute

// openJobs makes the runner of what is to be done again and again by one process.
func (s *Server) openJobs() (*jobs.Runner, error) {
	r, err := jobs.New(jobs.Options{Index: s.keeper.store.index, Log: s.log})
	if err != nil {
		return nil, err
	}
	r.Add(jobs.Job{
		Name:  "lifecycle policies",
		Every: func() time.Duration { return min(s.config.Load().LifecycleInterval, jobPause) },
		Ready: s.registry.LifecycleDue, Run: s.registry.RunLifecycle,
	})
	r.Add(jobs.Job{
		Name:  "lifecycle policy previews",
		Every: func() time.Duration { return jobPause }, // for those that another process left
		Ready: s.registry.PreviewsDue, Wake: s.registry.PreviewsWanted(), Run: s.registry.RunPreviews,
	})
	return r, nil
}
