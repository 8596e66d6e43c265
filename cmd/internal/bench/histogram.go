package bench

import (
	"math/bits"
	"time"
)

// histogram counts latencies in buckets that are at most 1/128 of their value
// wide, so that a run of any length takes the same memory and a quantile is
// right within 0.8 %. The zero value is empty. It is not for several goroutines:
// each has its own, and they are added up at the end.
type histogram struct {
	counts [buckets]int64
	total  int64
	most   time.Duration
}

const (
	fineBits = 7
	fine     = 1 << fineBits
	// longest is what the last bucket begins with, some 18 minutes.
	longestBits = 40
	buckets     = fine * (longestBits - fineBits + 1)
)

// bucketOf is the bucket of a latency. The first ones hold one nanosecond
// each; from there on each power of two has as many.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := bits.Len64(v) - 1 - fineBits
	if shift < 0 {
		return int(v)
	}
	return min(shift*fine+int(v>>shift), buckets-1)
}

// middle is the latency in the middle of a bucket.
func middle(bucket int) time.Duration {
	if bucket < 2*fine {
		return time.Duration(bucket)
	}
	shift := bucket/fine - 1
	low := uint64(bucket-shift*fine) << shift
	return time.Duration(low + 1<<shift/2)
}

// record counts one latency.
func (h *histogram) record(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
	h.most = max(h.most, d)
}

// add counts what another one has.
func (h *histogram) add(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.most = max(h.most, other.most)
}

// quantile is the latency that a share q of all is not above, such as 0.99;
// zero if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := min(int64(q*float64(h.total)), h.total-1)
	for i, n := range h.counts {
		if rank -= n; rank < 0 {
			return min(middle(i), h.most)
		}
	}
	return h.most
}
