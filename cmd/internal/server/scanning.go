package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-78150930/berth/registry/jobs"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/queue"
)

// openScanning makes the worker that has images scanned.
func (s *Server) openScanning() (err error) {
	s.newRecords = make(chan struct{}, 1)
	scanner := s.options.seams.scanner
	if scanner == nil {
		if scanner, err = s.openScanner(s.scanned.Open); err != nil {
			return err
		}
	}
	s.scans, err = queue.New(queue.Options{
		Registry: s.registry, Scanner: scanner, Workers: s.options.Config.Scanning.Workers, Now: s.keeper.clock.Now, Log: s.log,
	})
	return err
}

// addScanJobs adds what looks for images that are to be scanned and that nobody pushes.
func (s *Server) addScanJobs(r *jobs.Runner) {
	r.Add(jobs.Job{
		Name: "scan what was there", Every: func() time.Duration { return jobPause }, Ready: s.registry.ScanFillDue, Wake: s.registry.ScanningChanged(), Run: s.registry.FillScans,
	})
	r.Add(jobs.Job{
		Name: "scan with new records", Every: func() time.Duration { return jobPause }, Wake: s.newRecords,
		Ready: func(ctx context.Context) (bool, error) { return s.registry.RematchDue(ctx, s.records()) },
		Run:   func(ctx context.Context) error { return s.registry.RematchScans(ctx, s.records()) },
	})
}

// records is the name of the vulnerability database, "" if there is none that may be used.
func (s *Server) records() string {
	info, _ := s.scanned.Info()
	if s.scanned.Usable() != nil {
		return ""
	}
	return info.Sum
}

// followRecords says when there is another vulnerability database, until ctx ends.
func (s *Server) followRecords(ctx context.Context) error {
	for {
		changed := s.scanned.Changed()
		select {
		case s.newRecords <- struct{}{}:
		default:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// scanFigures are what the worker has done and has to do.
type scanFigures struct {
	waiting map[scan.Type]int
	queue.Figures
}

func (s *Server) scanFigures(ctx context.Context) (f scanFigures, err error) {
	f.Figures = s.scans.Figures()
	f.waiting, err = s.registry.ScansWaiting(ctx)
	return f, err
}

// scanTeller tells of them.
func (s *Server) scanTeller() prometheus.Collector {
	return told(s, s.scanFigures,
		labelled("berth_scans_waiting", "Scans of images that wait or are under way, counted up to 10000, by type.", "type", func(f scanFigures) map[string]float64 {
			all := map[string]float64{string(scan.Basic): 0, string(scan.Enhanced): 0}
			for t, n := range f.waiting {
				all[string(t)] = float64(n)
			}
			return all
		}),
		labelledCounter("berth_scans_done_total", "Scans of images that came to an end, by type and status.", "outcome", func(f scanFigures) map[string]float64 {
			all := map[string]float64{}
			for k, n := range f.Done {
				all[string(k.Type)+"/"+string(k.Status)] = float64(n)
			}
			return all
		}),
		counter("berth_scans_seconds_total", "How long those took in all.", func(f scanFigures) float64 { return f.Took.Seconds() }),
	)
}
