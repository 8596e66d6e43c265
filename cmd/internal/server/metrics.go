package server

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry"
)

// tellers are all metrics but those that requests count: see newMetrics. To add one,
// give the package that knows it a method that returns a struct of plain numbers, and
// enter here how they are told. docs/metrics.md has a row for each; a test compares.
//
// Whatever is read for them is read at each scrape, so it is cheap: counters in memory,
// a few rows of the index, never a walk.
func (s *Server) tellers() []prometheus.Collector {
	return []prometheus.Collector{
		told(s, func(context.Context) (int, error) { return s.registry.OpenUploads(), nil },
			gauge("berth_uploads_open", "Uploads that are open, at rest or under way.", func(n int) float64 { return float64(n) }),
		),
		s.replicationTeller(),
		s.signingTeller(),
		s.scanTeller(),
		told(s, s.storeFigures,
			labelled("berth_store_bytes", "Bytes in the store, by what they are of.", "of", func(f storeFigures) map[string]float64 {
				return map[string]float64{
					"layers": float64(f.store.Contents), "manifests": float64(f.store.Manifests),
					"uploads": float64(f.store.Uploads), "condemned": float64(f.store.Condemned),
				}
			}),
			gauge("berth_images", "Images in sight, of all registries.", func(f storeFigures) float64 { return float64(f.all.Images) }),
			gauge("berth_images_bytes", "Bytes of those images, a layer counted for each that uses it.", func(f storeFigures) float64 { return float64(f.all.Logical) }),
			gauge("berth_trash_images", "Images in the trash, of all registries.", func(f storeFigures) float64 { return float64(f.all.TrashImages) }),
			gauge("berth_trash_bytes", "Bytes of those images, likewise.", func(f storeFigures) float64 { return float64(f.all.Trash) }),
		),
		told(s, s.registry.CollectionFigures,
			labelledCounter("berth_gc_runs_total", "Collections that ended, by how.", "result", func(f registry.CollectionFigures) map[string]float64 {
				return map[string]float64{"done": float64(f.Runs), "failed": float64(f.Failures)}
			}),
			counter("berth_gc_looked_total", "Rows and blobs that collections looked at.", func(f registry.CollectionFigures) float64 { return float64(f.Total.Looked) }),
			counter("berth_gc_layers_total", "Layers that repositories let go of because no image used them.", func(f registry.CollectionFigures) float64 { return float64(f.Total.Layers) }),
			labelledCounter("berth_gc_blobs_total", "Blobs that collections gave up, by why.", "why", func(f registry.CollectionFigures) map[string]float64 {
				return map[string]float64{"layer": float64(f.Total.Contents), "upload": float64(f.Total.Uploads), "orphan": float64(f.Total.Orphans)}
			}),
			counter("berth_gc_bytes_total", "Bytes of those blobs.", func(f registry.CollectionFigures) float64 { return float64(f.Total.Bytes) }),
			gauge("berth_gc_running", "1 while a collection is under way, else 0.", func(f registry.CollectionFigures) float64 {
				if f.Running != nil {
					return 1
				}
				return 0
			}),
			gauge("berth_gc_last_end_time_seconds", "When the last collection ended, in seconds since 1970; 0 if none has.", func(f registry.CollectionFigures) float64 { return lastEnd(f.Last) }),
			gauge("berth_gc_last_duration_seconds", "How long the last collection took, pauses among it.", func(f registry.CollectionFigures) float64 { return lastTook(f.Last) }),
			gauge("berth_condemned_blobs", "Blobs that wait for the deletion of their bytes, counted up to 10000.", func(f registry.CollectionFigures) float64 { return float64(f.Waiting) }),
		),
		s.mirrorTeller(),
		s.scanned.teller(s),
		told(s, s.writeFigures,
			labelled("berth_writes_refused", "1 while no writes are taken for this reason, else 0.", "reason", func(f writeFigures) map[string]float64 { return f.refused }),
			gauge("berth_disk_free_bytes", "Free room on the disk of the data folder; 0 in memory.", func(f writeFigures) float64 { return float64(f.disk.Free) }),
			gauge("berth_disk_size_bytes", "Size of that disk.", func(f writeFigures) float64 { return float64(f.disk.Size) }),
			gauge("berth_disk_free_inodes", "Free inodes of that disk; 0 also where they are made as needed.", func(f writeFigures) float64 { return float64(f.disk.FreeFiles) }),
			gauge("berth_disk_low", "1 while less is free than disk-low says, else 0.", func(f writeFigures) float64 { return truth(f.disk.Low) }),
		),
		told(s, s.registry.Integrity,
			counter("berth_layers_hashed_total", "Layers that were hashed before a read because their files were touched, or all are to be.", func(f registry.IntegrityFigures) float64 { return float64(f.Hashed) }),
			counter("berth_damages_found_total", "Layers and manifests that were found damaged.", func(f registry.IntegrityFigures) float64 { return float64(f.Found) }),
			counter("berth_damages_healed_total", "Those of which the right bytes came back.", func(f registry.IntegrityFigures) float64 { return float64(f.Healed) }),
			gauge("berth_damaged", "Layers and manifests that are damaged now, counted up to 1000.", func(f registry.IntegrityFigures) float64 { return float64(f.Damaged) }),
			counter("berth_scrubbed_total", "Layers and manifests that scrubs have hashed.", func(f registry.IntegrityFigures) float64 { return float64(f.Scrubbed) }),
			counter("berth_scrub_bytes_total", "Bytes of those.", func(f registry.IntegrityFigures) float64 { return float64(f.ScrubBytes) }),
		),
		told(s, s.indexFigures,
			gauge("berth_index_updates", "Number of the last update of the index; 0 in memory.", func(x admin.Index) float64 { return float64(x.Updates) }),
			gauge("berth_journal_behind_updates", "Updates that the journal of the index would not give back.", func(x admin.Index) float64 { return float64(x.Updates - min(x.Updates, x.Safe)) }),
			gauge("berth_journal_behind_seconds", "How old the oldest of them is.", func(x admin.Index) float64 { return behindSeconds(x) }),
			gauge("berth_index_bytes", "Size of the index's file; 0 in memory.", func(x admin.Index) float64 { return float64(x.FileBytes) }),
			gauge("berth_index_free_bytes", "Bytes of it that hold nothing, about, as of ten minutes ago at most.", func(x admin.Index) float64 { return float64(x.FreeBytes) }),
			counter("berth_index_compactions_total", "Times that the file was compacted because more than half of it was free.", func(x admin.Index) float64 { return float64(x.Compactions) }),
			gauge("berth_index_reading", "1 while the index, which was not closed in order, is read whole and updates wait, else 0.", func(x admin.Index) float64 { return truth(x.Reading) }),
			gauge("berth_index_damaged", "1 if the index was found damaged since the start, else 0.", func(x admin.Index) float64 { return truth(x.Damage != "") }),
		),
		told(s, s.figures,
			labelled("berth_info", "The version that runs; always 1.", "version", func(f serverFigures) map[string]float64 { return map[string]float64{f.version: 1} }),
			gauge("berth_start_time_seconds", "When the server started, in seconds since 1970.", func(f serverFigures) float64 { return f.started }),
			gauge("berth_ready", "1 if the store answers, else 0.", func(f serverFigures) float64 { return f.ready }),
			gauge("berth_connections_open", "Connections of clients that are open.", func(f serverFigures) float64 { return f.connections }),
		),
	}
}

// storeFigures are what the registry counts of what it keeps.
type storeFigures struct {
	store registry.StoreSizes
	all   registry.Sizes // of all registries
}

func (s *Server) storeFigures(ctx context.Context) (f storeFigures, err error) {
	store, list, err := s.registry.StoreSizes(ctx)
	f.store = store
	for _, r := range list {
		f.all.Images += r.Images
		f.all.Logical += r.Logical
		f.all.TrashImages += r.TrashImages
		f.all.Trash += r.Trash
	}
	return f, err
}

// lastEnd and lastTook are of a collection that may not have been.
func lastEnd(c *registry.Collected) float64 {
	if c == nil {
		return 0
	}
	return float64(c.EndedAt.UnixMilli()) / 1000
}

func lastTook(c *registry.Collected) float64 {
	if c == nil {
		return 0
	}
	return c.EndedAt.Sub(c.StartedAt).Seconds()
}

// serverFigures are what the house itself tells.
type serverFigures struct {
	version                     string
	started, ready, connections float64
}

func (s *Server) figures(ctx context.Context) (serverFigures, error) {
	f := serverFigures{version: s.options.Version, started: float64(s.started.UnixMilli()) / 1000, connections: float64(s.connections.count())}
	if s.ready(ctx) == nil {
		f.ready = 1
	}
	return f, nil
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// metrics are what the server counts of itself, and where it is told.
type metrics struct {
	*prometheus.Registry
	requests       *prometheus.CounterVec
	took           *prometheus.HistogramVec
	received, sent prometheus.Counter
	counts         [len(doorNames)][classes]atomic.Pointer[counts]
}

// newMetrics makes the registry of all metrics. It is the server's own: what a library
// enters into the global one is nobody's business here.
func (s *Server) newMetrics() *metrics {
	m := &metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_requests_total", Help: "Requests that were answered, by door and class of status.",
		}, []string{"door", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "berth_request_duration_seconds", Help: "How long requests took, bodies among it, by door.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 30, 120},
		}, []string{"door"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{Name: "berth_received_bytes_total", Help: "Bytes of requests' bodies."}),
		sent:     prometheus.NewCounter(prometheus.CounterOpts{Name: "berth_sent_bytes_total", Help: "Bytes of answers' bodies."}),
	}
	m.MustRegister(m.requests, m.took, m.received, m.sent)
	m.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.MustRegister(s.tellers()...)
	return m
}
