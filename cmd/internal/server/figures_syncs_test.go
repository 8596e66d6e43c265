package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
)

// syncs are those of a store: of files and folders, which go through disk.FS, and of
// the index, whose every commit is two of fdatasync by bbolt (its data, then the page
// that points to them), with one more when the file grows, by 16 MiB. `make figures`
// has strace count them all.
func (d *doorway) syncs(c *tally) int64 {
	d.Helper()
	return c.files.Load() + c.folders.Load() + 2*d.house.Commits() + d.growth()
}

// growth is how often the index's file has grown.
func (d *doorway) growth() int64 {
	d.Helper()
	info, err := os.Stat(filepath.Join(d.house.flags["data"], "index.db"))
	d.must(err)
	return info.Size() >> 24
}

// pushed is how many images are pushed one by one, and how many at once: the journal,
// which is synced once a second, and what the server writes by itself are shared by them.
const pushed = 16

func TestFigureSyncsOfAnImage(t *testing.T) {
	var c tally
	d := openWatched(t, map[string]string{"data": filepath.Join(t.TempDir(), "data"), "log-level": "warn"}, c.watch())
	d.createRepository("team/app")
	d.must(d.pushImage("team/app", "first", d.smallImage(0)))
	before, began := d.syncs(&c), time.Now()
	journal := during(&c.journal, func() {
		for i := range uint64(pushed) {
			d.must(d.pushImage("team/app", "latest", d.smallImage(1+i)))
		}
	})
	figure(t, "syncs of files, folders and index for an image of 5 layers and a config", float64(d.syncs(&c)-before)/pushed, 27)
	figure(t, "syncs of the journal beside them, less one a second", float64(journal)-time.Since(began).Seconds(), 2)

	s := &inStep{of: pushed}
	c.before = s.wait
	before = d.syncs(&c)
	pushAtOnce(d, s)
	figure(t, "the same with 16 pushed at once", float64(d.syncs(&c)-before)/pushed, 15)
}

// pushAtOnce has as many pushers as images.
func pushAtOnce(d *doorway, s *inStep) {
	d.Helper()
	var pushers sync.WaitGroup
	failed := make(chan error, pushed)
	for i := range uint64(pushed) {
		pushers.Go(func() {
			defer s.leave()
			failed <- d.pushImage("team/app", fmt.Sprint("tag", i), d.smallImage(100+i))
		})
	}
	pushers.Wait()
	for range pushed {
		d.must(<-failed)
	}
}

// inStep has the updates of several pushers come together, while the first of them is in
// its transaction. So it is on an idle machine by itself, since all wait for the same
// disk; on one with other work they might come one by one, and what is counted would be
// the machine.
type inStep struct {
	mu   sync.Mutex
	of   int   // pushers
	next *wave // whose updates have not begun
}

// wave is an update of each pusher.
type wave struct {
	waiting int
	begin   chan struct{} // closed when all wait
	coming  sync.WaitGroup
}

func (s *inStep) wait(ctx context.Context) (inside func()) {
	if auth.PrincipalOf(ctx).ARN == "" { // the server's own
		return func() {}
	}
	s.mu.Lock()
	if s.next == nil {
		s.next = &wave{begin: make(chan struct{})}
	}
	w := s.next
	w.waiting++
	w.coming.Add(1)
	s.release()
	s.mu.Unlock()
	<-w.begin
	w.coming.Done()
	return w.coming.Wait
}

func (s *inStep) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of--
	s.release()
}

// release lets a wave go if nobody is missing. The caller has the lock.
func (s *inStep) release() {
	if s.next != nil && s.next.waiting >= s.of {
		close(s.next.begin)
		s.next = nil
	}
}
