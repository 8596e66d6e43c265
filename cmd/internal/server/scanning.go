package server

import (
	"context"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-78150930/berth/registry/jobs"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/queue"
)

// openScanning makes the worker that has images scanned.
func (s *Server) openScanning() (err error) {
	scanner := s.options.seams.scanner
	if scanner == nil {
		if scanner, err = s.openScanner(noDatabase); err != nil {
			return err
		}
	}
	s.scans, err = queue.New(queue.Options{
		Registry: s.registry, Scanner: scanner, Workers: s.options.Config.Scanning.Workers, Now: s.keeper.clock.Now, Log: s.log,
	})
	return err
}

// noDatabase is what a scan is told where there is no database.
func noDatabase() (*os.File, error) {
	return nil, scan.NewProblem(scan.NoDatabase, "The server has no vulnerability database")
}

// addScanJobs adds what looks for images that are to be scanned and that nobody pushes.
func (s *Server) addScanJobs(r *jobs.Runner) {
	r.Add(jobs.Job{
		Name: "scan what was there", Every: func() time.Duration { return jobPause }, Ready: s.registry.ScanFillDue, Wake: s.registry.ScanningChanged(), Run: s.registry.FillScans,
	})
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
