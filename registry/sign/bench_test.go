package sign_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/sign"
)

// What a signature costs in memory: the making of it, and all that stores it.
func BenchmarkSign(b *testing.B) {
	index, blobs := newStore()
	h := open(b, index, blobs, release)
	h.rules(release)
	for i := range b.N {
		h.push("team/app", fmt.Sprint(i))
	}
	w, err := sign.New(sign.Options{Registry: h.Service, Keyring: h.keys})
	must(b, err)
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error)
	b.ResetTimer()
	go func() { done <- w.Run(ctx) }()
	for waiting := 1; waiting > 0; time.Sleep(time.Millisecond) {
		waiting, err = h.UnsignedCount(b.Context())
		must(b, err)
	}
	b.StopTimer()
	stop()
	must(b, <-done)
	if f := w.Figures(); f != (sign.Figures{Signed: int64(min(b.N, registry.MostCounted))}) {
		b.Errorf("figures are %+v", f)
	}
}
