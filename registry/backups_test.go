package registry_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/backup"
	"github.com/seed-78150930/berth/storage/journal"
	"github.com/seed-78150930/berth/storage/memory"
)

// copied is a store as a backup reads it.
type copied struct {
	index storage.Index
	blobs storage.Blobs
}

// Snapshot implements backup.Source.
func (c copied) Snapshot(ctx context.Context, w io.Writer) error {
	return c.index.View(ctx, func(r storage.Reader) error {
		number := r.(storage.Numbering).Number()
		out, err := journal.NewSnapshotWriter(w, number)
		if err != nil {
			return err
		}
		for e, err := range r.Scan(storage.Range{}) {
			if err == nil {
				err = out.Put(e.Key, e.Value)
			}
			if err != nil {
				return err
			}
		}
		_, err = out.Finish(number, time.Now())
		return err
	})
}

// Records implements backup.Source.
func (c copied) Records(context.Context, uint64, uint64, io.Writer) error { return backup.ErrNoRecords }

// Open implements backup.Source.
func (c copied) Open(ctx context.Context, blob string) (io.ReadCloser, error) {
	return registry.OpenContent(ctx, c.blobs, blob)
}

func namedBlobs(e storage.Entry) (backup.Content, bool, error) {
	c, ok, err := registry.ContentOf(e)
	return backup.Content(c), ok, err
}

// backUp makes a backup with a hold, as programs do.
func backUp(t *testing.T, s *registry.Service, from copied, to backup.Target) backup.Report {
	t.Helper()
	h, err := s.HoldBytes(t.Context(), "a test", time.Minute)
	must(t, err)
	r, err := backup.Make(t.Context(), backup.Options{
		Source: from, Target: to, Contents: namedBlobs, Berth: "1", DataFormat: 1, Key: "abcd", Lineage: h.Lineage,
		Sign: make([]byte, 32), Scratch: t.TempDir(),
	})
	must(t, err)
	must(t, s.ReleaseHold(t.Context(), h.ID))
	return r
}

// broughtBack is a service over what the last backup has, whose rows and bytes are checked
// when the test ends.
func broughtBack(t *testing.T, from backup.Target) *registry.Service {
	t.Helper()
	ctx := t.Context()
	b, err := backup.Find(ctx, from, backup.Wanted{}, make([]byte, 32))
	must(t, err)
	must(t, b.Check(ctx))
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	_, err = b.Load(ctx, o.Index)
	must(t, err)
	_, err = b.Fill(ctx, o.Index, o.Blobs, backup.Filling{Contents: namedBlobs, Progress: func(backup.Progress) {}})
	must(t, err)
	must(t, registry.Settle(ctx, o.Index))
	return open(t, o)
}

// addCollectedImage is addImage beside collections that leave a layer no time: it begins
// again until all are there, as clients do.
func addCollectedImage(t *testing.T, s *registry.Service, n registry.Name, tagName, content string) {
	t.Helper()
	for {
		m := v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, content)}}
		_, err := s.PutImage(alice(t), n, registry.Push{Tags: tagList(t, tagName), Body: imageOf(t, m)})
		if registry.CodeOf(err) != registry.LayersMissing {
			must(t, err)
			return
		}
	}
}

// TestBackupUnderLoad backs a store up while others push, delete and collect. What comes
// back is a state that existed: its rows agree, all its images can be read, and what was
// acknowledged before the backup began is there.
func TestBackupUnderLoad(t *testing.T) {
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs(), GCGrace: time.Nanosecond}
	s := open(t, o)
	run(t, s)
	to, err := backup.MakeFolder(t.TempDir())
	must(t, err)
	defer to.Close()
	names := []registry.Name{create(t, s, "team/one"), create(t, s, "team/two")}
	mine := create(t, s, "mine")
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for n := range 3 {
		w := &worker{s: s, names: names, rand: rand.New(rand.NewPCG(uint64(n), 1))}
		load.Go(func() {
			for ctx.Err() == nil {
				if err := w.step(t); err != nil {
					t.Errorf("under load: %v", err)
					return
				}
			}
		})
	}
	load.Go(func() {
		for ctx.Err() == nil {
			if _, err := s.CollectNow(ctx, 0); err != nil && ctx.Err() == nil {
				t.Errorf("collect: %v", err)
			}
		}
	})
	for round := range 4 {
		addCollectedImage(t, s, mine, fmt.Sprintf("v%d", round), fmt.Sprintf("my layer %d", round))
		if r := backUp(t, s, copied{o.Index, o.Blobs}, to); len(r.Lacks) > 0 {
			t.Errorf("backup %d lacks %+v", round, r.Lacks)
		}
		back := broughtBack(t, to)
		for _, n := range names {
			taggedImagesAreWhole(t, back, n)
		}
		taggedImagesAreWhole(t, back, mine)
		if got := len(tagNames(t, back, mine)); got != round+1 {
			t.Errorf("backup %d has %d tags that were there before, want %d", round, got, round+1)
		}
	}
	stop()
	load.Wait()
}

// TestBackupLeavesOutWhatIsUnderWay: uploads and condemned bytes are not in what comes back,
// and it begins a history of its own.
func TestBackupLeavesOutWhatIsUnderWay(t *testing.T) {
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	s := open(t, o)
	n := create(t, s, "team/app")
	addImage(t, s, n, "v1", "layer")
	u, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
	must(t, err)
	_, err = s.AppendUpload(alice(t), n, u.ID, stream("some bytes"))
	must(t, err)
	must(t, s.Close(t.Context())) // which notes how far it came
	addLayer(t, s, n, "deleted")
	must(t, s.DeleteLayer(alice(t), n, sha256Of([]byte("deleted"))))
	to, err := backup.MakeFolder(t.TempDir())
	must(t, err)
	defer to.Close()
	first := backUp(t, s, copied{o.Index, o.Blobs}, to)

	back := broughtBack(t, to)
	_, err = back.Upload(alice(t), n, u.ID)
	wantCode(t, "go on with an upload", err, registry.UploadNotFound)
	h, err := back.HoldBytes(t.Context(), "a test", time.Minute)
	must(t, err)
	if h.Lineage == first.Lineage || h.Lineage == "" {
		t.Errorf("its history is %q, like that which it comes from", h.Lineage)
	}
}
