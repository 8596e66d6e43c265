package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// fact is one metric of what is read of a T.
type fact[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	// values are by the value of the fact's label, or the one under "" if it has none.
	values func(T) map[string]float64
}

// gauge is a metric that goes up and down.
func gauge[T any](name, help string, value func(T) float64) fact[T] {
	return fact[T]{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, single(value)}
}

// counter is a metric that only goes up while the server runs. Its name ends in _total.
func counter[T any](name, help string, value func(T) float64) fact[T] {
	return fact[T]{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, single(value)}
}

// labelled is a gauge with a label, whose values are few and not for clients to choose.
func labelled[T any](name, help, label string, values func(T) map[string]float64) fact[T] {
	return fact[T]{prometheus.NewDesc(name, help, []string{label}, nil), prometheus.GaugeValue, values}
}

// labelledCounter is a counter with a label, likewise.
func labelledCounter[T any](name, help, label string, values func(T) map[string]float64) fact[T] {
	return fact[T]{prometheus.NewDesc(name, help, []string{label}, nil), prometheus.CounterValue, values}
}

func single[T any](value func(T) float64) func(T) map[string]float64 {
	return func(v T) map[string]float64 { return map[string]float64{"": value(v)} }
}

// teller is a prometheus.Collector over something that is read once for all of its
// facts, at each scrape.
type teller[T any] struct {
	log   *slog.Logger
	read  func(context.Context) (T, error)
	facts []fact[T]
}

// told makes a collector of the facts of what read returns. If it fails, the scrape
// goes without them, and the log says why.
func told[T any](s *Server, read func(context.Context) (T, error), facts ...fact[T]) prometheus.Collector {
	return &teller[T]{s.log, read, facts}
}

// Describe implements prometheus.Collector.
func (t *teller[T]) Describe(out chan<- *prometheus.Desc) {
	for _, f := range t.facts {
		out <- f.desc
	}
}

// scrapeTime is how long a reading may take.
const scrapeTime = 5 * time.Second

// Collect implements prometheus.Collector, which knows of no contexts.
func (t *teller[T]) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	v, err := t.read(ctx)
	if err != nil {
		t.log.Error("metrics cannot be read", "error", err)
		return
	}
	for _, f := range t.facts {
		for label, value := range f.values(v) {
			var labels []string
			if label != "" {
				labels = []string{label}
			}
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
		}
	}
}
