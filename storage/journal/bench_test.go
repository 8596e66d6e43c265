package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/journal"
	"github.com/seed-78150930/berth/storage/memory"
)

var row = make([]byte, 300)

// threeRows is an update such as a push makes.
func threeRows(n int64) func(storage.Tx) error {
	return func(tx storage.Tx) error {
		for i := range int64(3) {
			if err := tx.Put(fmt.Sprintf("row/%06d", (n*3+i)%30000), row); err != nil {
				return err
			}
		}
		return nil
	}
}

// kinds are an index alone and with its journal.
func kinds(b *testing.B, open func(dir string) storage.Numbered, run func(*testing.B, storage.Index)) {
	for _, with := range []string{"bare", "journal"} {
		b.Run(with, func(b *testing.B) {
			dir := b.TempDir()
			var x storage.Index = open(dir)
			if with == "journal" {
				x = over(b, x, filepath.Join(dir, "journal"), journal.Options{})
			}
			b.ReportAllocs()
			before := processorTime(b)
			run(b, x)
			b.StopTimer()
			must(b, x.Close())
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what the process has used: unlike the time on the clock it is
// much the same on a machine that is busy.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkUpdateMemory shows what the journal costs beside an index that costs
// nearly nothing.
func BenchmarkUpdateMemory(b *testing.B) {
	kinds(b, func(string) storage.Numbered { return memory.NewIndex() }, func(b *testing.B, x storage.Index) {
		for n := int64(0); b.Loop(); n++ {
			must(b, x.Update(ctx, threeRows(n)))
		}
	})
}

func BenchmarkUpdateBolt64(b *testing.B) {
	kinds(b, func(dir string) storage.Numbered { return openBolt(b, dir) }, func(b *testing.B, x storage.Index) {
		procs := runtime.GOMAXPROCS(0)
		b.SetParallelism((64 + procs - 1) / procs)
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := x.Update(ctx, threeRows(n.Add(1))); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkReplay makes an index in a file of a hundred thousand records.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	x := over(b, memory.NewIndex(), dir, journal.Options{Compact: 1 << 40})
	const records = 100_000
	for n := range int64(records) {
		update(b, x, threeRows(n*7919))
	}
	must(b, x.Close())
	before := processorTime(b)
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "index.db")
		into, err := boltindex.Open(path, boltindex.Options{Bulk: true})
		must(b, err)
		_, err = journal.Replay(ctx, dir, journal.At{}, into)
		must(b, err)
		must(b, into.Close())
		must(b, os.Remove(path))
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/records/1000, "cpu-s/1M-records") // µs a record
}

// BenchmarkCheckAndCompare opens an index after a crash, and holds it against its
// journal: about 100 MB of rows.
func BenchmarkCheckAndCompare(b *testing.B) {
	dir := b.TempDir()
	inner := openBolt(b, dir)
	x := over(b, inner, filepath.Join(dir, "journal"), journal.Options{})
	for n := range 300 {
		update(b, x, func(tx storage.Tx) error {
			for i := range 1000 {
				if err := tx.Put(fmt.Sprintf("row/%08d", (n*1000+i)*7919%300000), row); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(b, x.Close())
	info, err := os.Stat(filepath.Join(dir, "index.db"))
	must(b, err)
	b.SetBytes(info.Size())
	for b.Loop() {
		must(b, os.RemoveAll(filepath.Join(dir, "index.db.closed")))
		x := openBolt(b, dir)
		s, err := journal.Open(filepath.Join(dir, "journal"), journal.At{})
		must(b, err)
		c, err := s.Compare(ctx, x, 1)
		must(b, err)
		if len(c.Differences) > 0 || c.Rows != 300000 {
			b.Fatalf("%+v", c)
		}
		must(b, s.Close())
		must(b, x.Close())
	}
}
