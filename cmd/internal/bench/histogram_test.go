package bench_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/bench"
)

func TestQuantilesAreRightWithinABucket(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 10_000 { // from nanoseconds to minutes, each order of magnitude as often
		all = append(all, time.Duration(1)<<random.IntN(38)+time.Duration(random.IntN(1000)))
	}
	q := []float64{0, 0.001, 0.5, 0.9, 0.99, 0.9999, 1}
	got := bench.Quantiles(all, q...)
	slices.Sort(all)
	for i, q := range q {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if off := (got[i] - want).Abs(); off > want/128 {
			t.Errorf("quantile %v is %v, want %v", q, got[i], want)
		}
	}
}

func TestQuantilesAtTheEdges(t *testing.T) {
	tests := []struct {
		of   []time.Duration
		want time.Duration // the median
	}{
		{nil, 0},
		{[]time.Duration{0}, 0},
		{[]time.Duration{-time.Second}, 0}, // a clock that was put back
		{[]time.Duration{127}, 127},
		{[]time.Duration{255}, 255},
		{[]time.Duration{10 * time.Second}, 10 * time.Second},
		{[]time.Duration{1, 1, 5, 5, 5}, 5},
	}
	for _, tt := range tests {
		got := bench.Quantiles(tt.of, 0.5)[0]
		if off := (got - tt.want).Abs(); off > tt.want/128 {
			t.Errorf("the median of %v is %v", tt.of, got)
		}
	}
	// What is longer than the last bucket is counted there.
	if got := bench.Quantiles([]time.Duration{time.Hour}, 0.5)[0]; got < 18*time.Minute || got > time.Hour {
		t.Errorf("the median of an hour is %v", got)
	}
}
