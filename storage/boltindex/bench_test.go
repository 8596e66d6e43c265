package boltindex_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/seed-78150930/berth/storage"
)

var row = make([]byte, 300)

func BenchmarkUpdate(b *testing.B) {
	x := openTemp(b)
	for n := 0; b.Loop(); n++ {
		if err := x.Update(ctx, put(fmt.Sprint(n%10000), string(row))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdate64 has 64 updates at a time, which share their commits.
func BenchmarkUpdate64(b *testing.B) {
	x := openTemp(b)
	procs := runtime.GOMAXPROCS(0)
	b.SetParallelism((64 + procs - 1) / procs) // times GOMAXPROCS
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := x.Update(ctx, put(fmt.Sprint(n.Add(1)%10000), string(row))); err != nil {
				b.Error(err)
			}
		}
	})
	s := x.Stats()
	b.ReportMetric(float64(s.Commits)/float64(s.Updates), "commits/update")
}

func BenchmarkGet(b *testing.B) {
	x := openTemp(b)
	err := x.Update(ctx, func(tx storage.Tx) error {
		for i := range 10000 {
			if err := tx.Put(fmt.Sprintf("%08d", i), row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		err := x.View(ctx, func(r storage.Reader) error {
			_, err := r.Get(fmt.Sprintf("%08d", n*7919%10000))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
