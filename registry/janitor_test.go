package registry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

// run runs the background work until the test ends. Tests that call it are in
// a bubble, where time passes when all goroutines wait.
func run(t *testing.T, s *registry.Service) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRunDeletesWhatNobodyHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := memory.NewBlobs()
		s := open(t, registry.Options{Blobs: blobs})
		run(t, s)
		n, other := create(t, s, "team/app"), create(t, s, "team/other")
		steps := []struct {
			what string
			do   func() error
			want int // blobs then
		}{
			{"push", func() error { addImage(t, s, n, "1", "one"); return nil }, 2},
			{"push the same elsewhere", func() error { addImage(t, s, other, "1", "one"); return nil }, 2},
			{"delete one repository", func() error { _, err := s.DeleteRepository(alice(t), n, true); return err }, 2},
			{"cancel an upload", func() error {
				id := start(t, s, other)
				send(t, s, other, id, "two")
				return s.CancelUpload(alice(t), other, id)
			}, 2},
			{"delete the last image", func() error { _, err := s.DeleteImage(alice(t), other, tagged(t, "1"), nil); return err }, 2},
			{"delete a layer", func() error { return s.DeleteLayer(alice(t), other, sha256Of([]byte("one"))) }, 1},
			{"delete the other repository", func() error { _, err := s.DeleteRepository(alice(t), other, false); return err }, 0},
		}
		for _, step := range steps {
			must(t, step.do())
			synctest.Wait()
			if got := blobCount(t, blobs); got != step.want {
				t.Errorf("%s: the store keeps %d blobs, want %d", step.what, got, step.want)
			}
		}
	})
}

func TestRunCheckpointsIdleUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
		s := open(t, o)
		run(t, s)
		n := create(t, s, "team/app")
		id := start(t, s, n)
		send(t, s, n, id, "one")
		_, err := open(t, o).Upload(alice(t), n, id)
		wantCode(t, "find it after a crash at once", err, registry.UploadNotFound)

		time.Sleep(2 * time.Second)
		synctest.Wait()
		after := open(t, o)
		wantOffset(t, after, n, id, 3)
		send(t, s, n, id, " two") // the first process goes on
		_, err = finish(t, s, n, id, sha256Of([]byte("one two")))
		must(t, err)
		_, err = after.AppendUpload(alice(t), n, id, stream("x"))
		wantCode(t, "go on in the other one", err, registry.UploadNotFound)
	})
}

func TestUploadsInUseAreNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
		s := open(t, o)
		run(t, s)
		n := create(t, s, "team/app")
		id := start(t, s, n)
		for range 10 {
			send(t, s, n, id, "x")
			time.Sleep(600 * time.Millisecond)
		}
		synctest.Wait()
		_, err := open(t, o).Upload(alice(t), n, id)
		wantCode(t, "find it after a crash", err, registry.UploadNotFound)
		wantOffset(t, s, n, id, 10)
	})
}

func TestBusyUploadsAreNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs(), UploadExpiry: time.Minute}
		s := open(t, o)
		run(t, s)
		n := create(t, s, "team/app")
		id := start(t, s, n)
		content := strings.Repeat("slow ", 100)
		_, err := s.AppendUpload(alice(t), n, id, registry.Part{Offset: 0, Length: -1, Body: &slow{content}})
		must(t, err)
		_, err = finish(t, s, n, id, sha256Of([]byte(content)))
		must(t, err)
	})
}

// slow gives a byte a second.
type slow struct{ left string }

func (r *slow) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return strings.NewReader(cut(&r.left, 1)).Read(p)
}

// cut takes n bytes off the front of s, fewer at its end.
func cut(s *string, n int) string {
	n = min(n, len(*s))
	front := (*s)[:n]
	*s = (*s)[n:]
	return front
}

func TestUploadsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := memory.NewBlobs()
		s := open(t, registry.Options{Blobs: blobs, UploadExpiry: 2 * time.Hour, Limits: registry.Limits{Uploads: 1, RepositoryUploads: 1}})
		run(t, s)
		n := create(t, s, "team/app")
		id := start(t, s, n)
		send(t, s, n, id, "one")
		time.Sleep(110 * time.Minute)
		wantOffset(t, s, n, id, 3)
		send(t, s, n, id, "two") // and it counts anew
		time.Sleep(110 * time.Minute)
		wantOffset(t, s, n, id, 6)
		time.Sleep(12 * time.Minute)
		synctest.Wait()
		_, err := s.Upload(alice(t), n, id)
		wantCode(t, "find it after its time", err, registry.UploadNotFound)
		if got := blobCount(t, blobs); got != 0 {
			t.Errorf("the store keeps %d blobs of it", got)
		}
		start(t, s, n) // there is room for another one
	})
}

func TestUploadsAreFreedWithTheirRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := memory.NewBlobs()
		s := open(t, registry.Options{Blobs: blobs, Limits: registry.Limits{Uploads: 1}})
		run(t, s)
		n := create(t, s, "team/app")
		u, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
		must(t, err)
		_, err = s.AppendUpload(alice(t), n, u.ID, whole(0, "one"))
		must(t, err)
		_, err = s.DeleteRepository(alice(t), n, false)
		must(t, err)
		synctest.Wait()
		if got := blobCount(t, blobs); got != 0 {
			t.Errorf("the store keeps %d blobs of it", got)
		}
		start(t, s, create(t, s, "team/next"))
	})
}

func TestUploadAtWorkWhenItsRepositoryGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := memory.NewBlobs()
		s := open(t, registry.Options{Blobs: blobs, Limits: registry.Limits{Uploads: 1}, UploadExpiry: 10 * time.Minute})
		run(t, s)
		n := create(t, s, "team/app")
		id := start(t, s, n)
		send(t, s, n, id, "one")
		_, err := s.DeleteRepository(alice(t), n, false)
		must(t, err)
		time.Sleep(12 * time.Minute) // it expires like any other
		synctest.Wait()
		if got := blobCount(t, blobs); got != 0 {
			t.Errorf("the store keeps %d blobs of it", got)
		}
		start(t, s, create(t, s, "team/next"))
	})
}

func TestBlobsWithoutAnOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs(), UploadExpiry: time.Hour, GCGrace: 2 * time.Hour}
		before := open(t, o) // dies before a checkpoint
		n := create(t, before, "team/app")
		send(t, before, n, start(t, before, n), "lost")
		addLayer(t, before, n, "kept")

		s := open(t, o)
		run(t, s)
		time.Sleep(55 * time.Minute) // it may be an upload of another process
		must(t, s.Collect(t.Context()))
		if got := blobCount(t, o.Blobs); got != 2 {
			t.Errorf("the store keeps %d blobs, want 2", got)
		}
		young := start(t, s, n)
		send(t, s, n, young, "young")
		time.Sleep(10 * time.Minute)
		must(t, s.Collect(t.Context()))
		synctest.Wait()
		if got := blobCount(t, o.Blobs); got != 2 {
			t.Errorf("the store keeps %d blobs, want the layer and the young upload", got)
		}
		if got := readLayer(t, s, n, sha256Of([]byte("kept"))); got != "kept" {
			t.Errorf("the layer reads %q", got)
		}
		wantOffset(t, s, n, young, 5)
	})
}

// logged is a log that may be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestWhatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		blobs := &faultyBlobs{Blobs: memory.NewBlobs()}
		s := open(t, registry.Options{Blobs: blobs, Log: slog.New(slog.NewTextHandler(&log, nil))})
		failed := 0
		blobs.delete = func(string) error {
			if failed++; failed <= 2 {
				return errors.New("broken disk")
			}
			return nil
		}
		run(t, s)
		n := create(t, s, "team/app")
		addLayer(t, s, n, "one")
		must(t, s.DeleteLayer(alice(t), n, sha256Of([]byte("one"))))
		synctest.Wait()
		if got := blobCount(t, blobs); got != 1 || !strings.Contains(log.String(), "broken disk") {
			t.Errorf("the store keeps %d blobs; the log says:\n%s", got, log.String())
		}
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		if got := blobCount(t, blobs); got != 0 {
			t.Errorf("the store keeps %d blobs after two more tries; the log says:\n%s", got, log.String())
		}
	})
}

func TestIdleUploadOnAFaultyIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index := &faultyIndex{Index: memory.NewIndex()}
		o := registry.Options{Index: index, Blobs: memory.NewBlobs(), UploadExpiry: 4 * time.Minute}
		s := open(t, o)
		run(t, s)
		n := create(t, s, "team/app")
		id := start(t, s, n)
		send(t, s, n, id, "one")
		index.fail(errors.New("broken disk"))
		time.Sleep(12 * time.Minute) // its blob has no owner yet, and is old
		index.heal()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		after := open(t, o)
		wantOffset(t, after, n, id, 3)
		_, err := finish(t, after, n, id, sha256Of([]byte("one")))
		must(t, err)
	})
}

func TestUploadTakenUpElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs(), Log: slog.New(slog.NewTextHandler(&log, nil))}
		s := open(t, o)
		run(t, s)
		n := create(t, s, "team/app")
		id := start(t, s, n)
		send(t, s, n, id, "one")
		time.Sleep(2 * time.Second) // now others can see it
		send(t, s, n, id, "two")
		_, err := finish(t, open(t, o), n, id, sha256Of([]byte("one")))
		must(t, err)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		_, err = s.AppendUpload(alice(t), n, id, stream("three"))
		wantCode(t, "go on where it began", err, registry.UploadNotFound)
		if lines := strings.Count(log.String(), "\n"); lines > 1 {
			t.Errorf("the log says it %d times", lines)
		}
	})
}

func TestOldEventsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{EventRetention: time.Hour})
		run(t, s)
		create(t, s, "team/old")
		time.Sleep(50 * time.Minute)
		create(t, s, "team/new")
		time.Sleep(12 * time.Minute)
		synctest.Wait()
		events, err := s.Events(alice(t), 0, 10)
		if err != nil || len(events) != 1 || events[0].Repository.String() != "team/new" || events[0].Sequence != 2 {
			t.Errorf("events %+v, %v; want the second alone", events, err)
		}
		time.Sleep(time.Hour)
		create(t, s, "team/last")
		if events, err = s.Events(alice(t), 0, 10); err != nil || len(events) != 1 || events[0].Sequence != 3 {
			t.Errorf("events %+v, %v; want the third, whose number nothing had before", events, err)
		}
	})
}
