package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// collect makes a whole pass, whose counts are returned without their times.
func collect(t testing.TB, s *registry.Service) registry.Collected {
	t.Helper()
	done, err := s.CollectNow(t.Context(), 0)
	must(t, err)
	if done.EndedAt.Before(done.StartedAt) {
		t.Errorf("a pass from %v to %v", done.StartedAt, done.EndedAt)
	}
	done.StartedAt, done.EndedAt = time.Time{}, time.Time{}
	return done
}

// addLayers uploads layers that no image uses.
func addLayers(t testing.TB, s *registry.Service, n registry.Name, many int) {
	t.Helper()
	for i := range many {
		addLayer(t, s, n, fmt.Sprintf("layer %d", i))
	}
}

// holds says which of some contents a repository has as layers.
func holds(t testing.TB, s *registry.Service, n registry.Name, contents ...string) (some []string) {
	t.Helper()
	for _, c := range contents {
		_, r, err := s.OpenLayer(alice(t), n, sha256Of([]byte(c)))
		if registry.CodeOf(err) == registry.LayerNotFound {
			continue
		}
		must(t, err)
		must(t, r.Close())
		some = append(some, c)
	}
	return some
}

func TestCollectionTakesWhatNoImageUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := memory.NewBlobs()
		s := open(t, registry.Options{Blobs: blobs, GCGrace: time.Hour})
		n, other := create(t, s, "team/app"), create(t, s, "team/other")
		addImage(t, s, n, "1", "used")
		addLayer(t, s, n, "loose")
		addLayer(t, s, n, "twice loose")
		addLayer(t, s, other, "twice loose")
		addLayer(t, s, other, "used") // there no image does

		if got := collect(t, s); got.Layers != 0 || got.Blobs != 0 {
			t.Errorf("within the grace %+v was taken", got)
		}
		time.Sleep(time.Hour)
		want := registry.Collected{Looked: 6 + 2, Layers: 4, Contents: 2, Blobs: 2, Bytes: int64(len("loose" + "twice loose"))}
		if diff := cmp.Diff(want, collect(t, s)); diff != "" {
			t.Errorf("the pass (-want +got):\n%s", diff)
		}
		if got := holds(t, s, n, "used", "{}", "loose", "twice loose"); !slices.Equal(got, []string{"used", "{}"}) {
			t.Errorf("the repository has %q", got)
		}
		if got := holds(t, s, other, "used", "twice loose"); got != nil {
			t.Errorf("the other repository has %q", got)
		}
		if got := blobCount(t, blobs); got != 2 {
			t.Errorf("the store keeps %d blobs, want the two of the image", got)
		}
	})
}

func TestCollectionLeavesWhatLiesInTheArchive(t *testing.T) {
	s := open(t, registry.Options{RestoreTime: time.Hour})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1", "used")
	setClass(t, s, n, img, registry.ArchiveClass)
	if got := collect(t, s); got.Layers != 0 {
		t.Errorf("%d layers of an archived image were taken", got.Layers)
	}
}

// TestGraceBeginsAnew has a layer live on that a client was told of, or sent again.
func TestGraceBeginsAnew(t *testing.T) {
	for name, touch := range map[string]func(testing.TB, *registry.Service, registry.Name){
		"upload":    func(t testing.TB, s *registry.Service, n registry.Name) { addLayer(t, s, n, "layer") },
		"look":      func(t testing.TB, s *registry.Service, n registry.Name) { look(t, s, n, "layer") },
		"mount":     func(t testing.TB, s *registry.Service, n registry.Name) { mount(t, s, n, "layer") },
		"elsewhere": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, registry.Options{GCGrace: time.Hour})
				n := create(t, s, "team/app")
				source := create(t, s, "team/source")
				addLayer(t, s, n, "layer")
				addImage(t, s, source, "1", "layer")
				time.Sleep(time.Hour)
				want := 1
				if touch == nil {
					look(t, s, source, "layer")
					want = 0
				} else {
					touch(t, s, n)
				}
				time.Sleep(time.Hour - time.Second)
				collect(t, s)
				if got := holds(t, s, n, "layer"); len(got) != want {
					t.Errorf("after less than its grace the repository has %q", got)
				}
				time.Sleep(time.Second)
				collect(t, s)
				if got := holds(t, s, n, "layer"); got != nil {
					t.Errorf("after its grace the repository has %q", got)
				}
			})
		})
	}
}

func look(t testing.TB, s *registry.Service, n registry.Name, content string) {
	t.Helper()
	_, err := s.Layer(alice(t), n, sha256Of([]byte(content)))
	must(t, err)
}

func mount(t testing.TB, s *registry.Service, n registry.Name, content string) {
	t.Helper()
	_, err := s.Mount(alice(t), n, sha256Of([]byte(content)), registry.Mount{From: name(t, "team/source"), MayRead: anyone})
	must(t, err)
}

// TestCollectionGoesOn breaks a pass off again and again: it must come to its end and
// look at nothing twice.
func TestCollectionGoesOn(t *testing.T) {
	const layers = 1_234
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	s := open(t, o)
	n := create(t, s, "team/app")
	addLayers(t, s, n, layers)
	for tries := 0; ; tries++ {
		ctx, stop := context.WithCancel(t.Context())
		breaking := &countingIndex{Index: o.Index, stop: stop, left: 4}
		again := open(t, registry.Options{Index: breaking, Blobs: o.Blobs})
		err := again.Collect(ctx)
		stop()
		if err == nil && tries == 0 {
			t.Fatal("the first pass was not broken off")
		}
		if err == nil {
			f, err := again.CollectionFigures(t.Context())
			must(t, err)
			if f.Last == nil || f.Last.Layers != layers || f.Last.Looked < layers || f.Last.Looked > 2*layers+2000 {
				t.Errorf("after %d parts: %+v", tries+1, f.Last)
			}
			return
		}
		if !errors.Is(err, context.Canceled) || tries > 100 {
			t.Fatalf("part %d: %v", tries+1, err)
		}
	}
}

// countingIndex ends a context after some updates.
type countingIndex struct {
	storage.Index
	stop func()
	left int
}

func (x *countingIndex) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if x.left--; x.left == 0 {
		x.stop()
	}
	return x.Index.Update(ctx, fn)
}

func TestCollectionIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{GCRate: 100})
		n := create(t, s, "team/app")
		addLayers(t, s, n, 1_200)
		began := time.Now()
		must(t, s.Collect(t.Context()))
		if took := time.Since(began); took < 12*time.Second || took > 13*time.Second {
			t.Errorf("1,200 rows at 100 a second took %v", took)
		}
	})
}

func TestPassesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{GCRate: 100})
		n := create(t, s, "team/app")
		addLayers(t, s, n, 1_000)
		first := make(chan error)
		go func() { first <- s.Collect(t.Context()) }()
		synctest.Wait()
		if f, err := s.CollectionFigures(t.Context()); err != nil || f.Running == nil || f.Running.Looked != 500 {
			t.Errorf("while it runs: %+v, %v", f.Running, err)
		}
		addLayer(t, s, n, "came later") // before or behind the place where the first pass is
		if got := collect(t, s); got.Layers > 1 {
			t.Errorf("the second pass took %d layers", got.Layers)
		}
		must(t, <-first)
		if got := holds(t, s, n, "came later"); got != nil {
			t.Errorf("after two passes the repository has %q", got)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.CollectNow(ended, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("a pass that nobody waits for: %v", err)
		}
	})
}

func TestCollectionTakesUploadsAndOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
		before := open(t, o)
		n := create(t, before, "team/app")
		send(t, before, n, start(t, before, n), "lost")
		u, err := before.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
		must(t, err)
		_, err = before.AppendUpload(alice(t), n, u.ID, whole(0, "forgotten"))
		must(t, err)

		s := open(t, o) // without the janitor
		time.Sleep(25 * time.Hour)
		want := registry.Collected{Looked: 1, Uploads: 1, Orphans: 1, Blobs: 2, Bytes: int64(len("forgotten" + "lost"))}
		if diff := cmp.Diff(want, collect(t, s)); diff != "" {
			t.Errorf("the pass (-want +got):\n%s", diff)
		}
		if got := blobCount(t, o.Blobs); got != 0 {
			t.Errorf("the store keeps %d blobs", got)
		}
		f, err := s.CollectionFigures(t.Context())
		must(t, err)
		if f.Runs != 1 || f.Total != want || f.Last == nil || f.Running != nil || f.Waiting != 0 {
			t.Errorf("figures %+v", f)
		}
	})
}

func TestCollectionTellsOfFaults(t *testing.T) {
	broken := errors.New("broken disk")
	index := &faultyIndex{Index: memory.NewIndex()}
	s := open(t, registry.Options{Index: index})
	index.fail(broken)
	if err := s.Collect(t.Context()); !errors.Is(err, broken) {
		t.Errorf("a pass over a broken index: %v", err)
	}
	index.heal()
	blobs := &faultyBlobs{Blobs: memory.NewBlobs(), delete: func(string) error { return broken }}
	s = open(t, registry.Options{Blobs: blobs})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "loose")
	if err := s.Collect(t.Context()); !errors.Is(err, broken) {
		t.Errorf("a pass that can delete nothing: %v", err)
	}
	f, err := s.CollectionFigures(t.Context())
	must(t, err)
	if f.Failures != 1 || f.Runs != 0 || f.Waiting != 1 {
		t.Errorf("figures %+v", f)
	}
	blobs.delete = nil
	must(t, s.Collect(t.Context()))
	if got := blobCount(t, blobs); got != 0 {
		t.Errorf("the store keeps %d blobs", got)
	}
}

// TestCollectionBesidePushes has pushers, deleters and readers work on the same layers
// while one pass without any grace follows the other. Whatever was acknowledged can be
// read until its owner deletes it, and who reads a layer gets all of it or is told that
// it is not there.
func TestCollectionBesidePushes(t *testing.T) {
	s := open(t, registry.Options{})
	names := []registry.Name{create(t, s, "team/app"), create(t, s, "team/other")}
	ctx, stop := context.WithCancel(t.Context())
	var background, pushers sync.WaitGroup
	background.Go(func() { _ = s.Run(ctx) })
	var passes atomic.Int64
	background.Go(func() {
		for ; ctx.Err() == nil; passes.Add(1) {
			if err := s.Collect(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("collect: %v", err)
			}
		}
	})
	for i := range 3 {
		r := rand.New(rand.NewPCG(2, uint64(i)))
		background.Go(func() {
			for ctx.Err() == nil {
				readWhole(t, s, names[r.IntN(len(names))], fmt.Sprintf("layer %d", r.IntN(layerKinds)))
			}
		})
	}
	for i := range 6 {
		p := &pusher{worker{s, names, rand.New(rand.NewPCG(3, uint64(i)))}, i, map[string]registry.Name{}}
		pushers.Go(func() { p.run(t, func(n int) bool { return n < 12 || passes.Load() < 3 && !t.Failed() }) })
	}
	pushers.Wait()
	stop()
	background.Wait()
	collect(t, s)
	for _, n := range names {
		taggedImagesAreWhole(t, s, n)
	}
}

// readWhole reads a layer that may be there or not.
func readWhole(t *testing.T, s *registry.Service, n registry.Name, content string) {
	_, r, err := s.OpenLayer(context.Background(), n, sha256Of([]byte(content)))
	if registry.CodeOf(err) == registry.LayerNotFound {
		return
	}
	if err != nil {
		t.Errorf("open a layer: %v", err)
		return
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != content {
		t.Errorf("a layer reads %q, %v; want %q", got, err, content)
	}
}

// pusher pushes images under tags of its own, and deletes them.
type pusher struct {
	worker
	id   int
	kept map[string]registry.Name // acknowledged, by tag
}

// run pushes and reads as long as there is more to do.
func (p *pusher) run(t *testing.T, more func(steps int) bool) {
	for i := 0; more(i); i++ {
		if len(p.kept) > 3 {
			p.remove(t)
		}
		n, name := p.name(), fmt.Sprintf("%d-%d", p.id, i)
		if err := p.pushImage(t, n, name); err != nil {
			t.Errorf("push: %v", err)
			return
		}
		p.kept[name] = n
		for name, n := range p.kept {
			img, err := p.s.Image(alice(t), n, tagged(t, name))
			if err != nil {
				t.Errorf("an acknowledged image: %v", err)
				return
			}
			wholeImage(t, p.s, n, name, img.Digest)
		}
	}
}

// pushImage pushes as clients do: what the repository says that it has is not sent.
// What it says is not promised, so whoever is told that a layer is missing sends it.
func (p *pusher) pushImage(t *testing.T, n registry.Name, name string) error {
	contents := []string{p.content(), p.content(), "config of " + strings.Split(name, "-")[0]}
	for {
		var list []v1.Descriptor
		for _, c := range contents {
			desc := descriptor(v1.MediaTypeImageLayer, []byte(c))
			_, err := p.s.ReadableLayer(alice(t), n, sha256Of([]byte(c)))
			if registry.CodeOf(err) == registry.LayerNotFound {
				desc, err = p.upload(t, n, c)
			}
			if err != nil {
				return err
			}
			list = append(list, desc)
		}
		m := v1.Manifest{Config: list[2], Layers: list[:2], Annotations: map[string]string{"of": name}}
		_, err := p.s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, name)}, Body: imageOf(t, m)})
		if registry.CodeOf(err) != registry.LayersMissing {
			return err
		}
	}
}

func (p *pusher) remove(t *testing.T) {
	for name, n := range p.kept {
		if _, err := p.s.DeleteImage(alice(t), n, tagged(t, name), nil); err != nil {
			t.Errorf("delete: %v", err)
		}
		delete(p.kept, name)
		return
	}
}

// TestOpenLayerWhileItIsCollected takes a layer away between the look at its row and the
// opening of its bytes, once for good and once to have it come back.
func TestOpenLayerWhileItIsCollected(t *testing.T) {
	for _, back := range []bool{false, true} {
		blobs := &faultyBlobs{Blobs: memory.NewBlobs()}
		s := open(t, registry.Options{Blobs: blobs})
		n := create(t, s, "team/app")
		addLayer(t, s, n, "layer")
		once := false
		blobs.open = func(string) error {
			if once {
				return nil
			}
			once = true
			collect(t, s)
			if back {
				addLayer(t, s, n, "layer")
			}
			return nil
		}
		_, r, err := s.OpenLayer(alice(t), n, sha256Of([]byte("layer")))
		if !back {
			wantCode(t, "open a layer that goes", err, registry.LayerNotFound)
			continue
		}
		must(t, err)
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || string(got) != "layer" {
			t.Errorf("a layer that came back reads %q, %v", got, err)
		}
	}
}

// TestReadersOutliveTheirLayer has a layer deleted under who reads it.
func TestReadersOutliveTheirLayer(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "layer")
	_, r, err := s.OpenLayer(alice(t), n, sha256Of([]byte("layer")))
	must(t, err)
	if got := collect(t, s); got.Blobs != 1 {
		t.Fatalf("the pass took %+v", got)
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil || digest.FromBytes(digest.SHA256, got) != sha256Of([]byte("layer")) {
		t.Errorf("it reads %q, %v", got, err)
	}
}
