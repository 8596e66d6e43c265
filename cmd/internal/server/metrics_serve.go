package server

import (
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsPath is where metrics are told, and nothing else is.
const metricsPath = "/metrics"

// listenForMetrics opens the address of metrics, if one is set.
func (s *Server) listenForMetrics() (err error) {
	if at := s.options.Config.Metrics.Listen; at != "" {
		s.scrapes, err = net.Listen("tcp", at)
	}
	return err
}

// metricsServer answers who watches. There are no credentials, since there is nothing
// secret: no names of repositories, people or clients.
func (s *Server) metricsServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, Timeout: 2 * scrapeTime,
	}))
	c := s.options.Config
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: c.Timeouts.Header, ReadTimeout: c.Timeouts.Header, WriteTimeout: 4 * scrapeTime,
		IdleTimeout: c.Timeouts.Idle, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// metricsURL is where metrics are told, "" if they are not.
func (s *Server) metricsURL() string {
	if s.scrapes == nil {
		return ""
	}
	return "http://" + localHost(s.scrapes.Addr().String()) + metricsPath
}

// countRequest counts a request that was answered.
func (s *Server) countRequest(d door, status int, received, sent int64, took time.Duration) {
	m := s.metrics
	counts := m.of(d, status/100)
	counts.requests.Inc()
	counts.took.Observe(took.Seconds())
	if received > 0 {
		m.received.Add(float64(received))
	}
	m.sent.Add(float64(sent))
}

// counts are those that a request is counted by.
type counts struct {
	requests prometheus.Counter
	took     prometheus.Observer
}

// classes are those of statuses, by their first digit, and 0 for what can be none.
const classes = 6

// of are the counts of a door and a class of statuses. They are made for the first
// request of theirs, so that metrics tell of no others, and found at once from then on.
func (m *metrics) of(d door, class int) *counts {
	if class < 0 || class >= classes {
		class = 0
	}
	at := &m.counts[d][class]
	if known := at.Load(); known != nil {
		return known
	}
	made := &counts{m.requests.WithLabelValues(doorNames[d], strconv.Itoa(class)+"xx"), m.took.WithLabelValues(doorNames[d])}
	at.Store(made)
	return made
}
