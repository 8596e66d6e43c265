package bench

import (
	"context"
	"net/http"
	"time"
)

// Quantiles are those of some latencies.
func Quantiles(of []time.Duration, q ...float64) []time.Duration {
	var one, two, all histogram
	for i, d := range of {
		if i%2 == 0 {
			one.record(d)
		} else {
			two.record(d)
		}
	}
	all.add(&one)
	all.add(&two)
	got := make([]time.Duration, len(q))
	for i := range q {
		got[i] = all.quantile(q[i])
	}
	return got
}

// Blobs are contents of a size, in both of their forms, with their digests.
func Blobs(n int, size int64) (contents, chunks [][]byte, digests []string) {
	g := newGenerator()
	for range n {
		b := g.blob(size)
		contents, digests = append(contents, b.reader().Bytes()), append(digests, b.digest)
		chunks = append(chunks, blob{parts: b.chunked()}.reader().Bytes())
	}
	return contents, chunks, digests
}

// ReadCPU reads what Linux tells of a process.
var ReadCPU = readCPU

// Resolve is where a Location leads.
var Resolve = resolve

// Ask sends a request by a transport, and is what was answered.
func Ask(ctx context.Context, t *http.Transport, method, base, path string) (status int, body string, err error) {
	w := newWire(t)
	defer w.close()
	got, err := w.do(ctx, request{method: method, base: base, path: path, keep: true})
	return got.status, string(got.body), err
}
