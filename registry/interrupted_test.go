package registry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// mortal is an index that dies after some transactions, with all that it has.
type mortal struct {
	storage.Index
	left int // below zero: it lives for ever
}

var errDead = errors.New("the process was killed")

func (x *mortal) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if x.left == 0 {
		return errDead
	}
	x.left--
	return x.Index.Update(ctx, fn)
}

func (x *mortal) View(ctx context.Context, fn func(storage.Reader) error) error {
	if x.left == 0 {
		return errDead
	}
	return x.Index.View(ctx, fn)
}

// TestLifecycleSurvivesAKill: wherever a run is broken off, the next one goes on
// and ends where one in a single go does, with each image recorded once.
func TestLifecycleSurvivesAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDue(t)
		killed := 0
		for ; ; killed++ { // transactions come first
			index := &mortal{Index: copyOf(t, d.index), left: -1}
			if !d.brokenOff(t, index, func() { index.left = killed }, func() { index.left = -1 }) {
				break
			}
		}
		if killed < 4 {
			t.Errorf("killed at %d places only", killed)
		}
	})
}

// TestTwoRunsAtOnce: a process that lost its lease and goes on beside another one
// does no harm, however far that one came.
func TestTwoRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDue(t)
		for at := range 4 {
			for far := range 5 {
				index := &meddling{Index: copyOf(t, d.index)}
				d.brokenOff(t, index, func() {
					index.beforeUpdate(at, func() {
						dying := &mortal{Index: index.Index, left: -1}
						s, err := registry.New(t.Context(), registry.Options{Index: dying, Blobs: memory.NewBlobs()})
						must(t, err)
						dying.left = far
						if err := s.RunLifecycle(t.Context()); err != nil && !errors.Is(err, errDead) {
							t.Errorf("the other run: %v", err)
						}
					})
				}, func() { index.before = nil })
			}
		}
	})
}

// TestLifecycleSurvivesFaults: as with kills where one read or write fails.
func TestLifecycleSurvivesFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDue(t)
		n := 1
		for ; ; n += 1 + n/8 {
			index := &brokenIndex{Index: copyOf(t, d.index), left: -1}
			if !d.brokenOff(t, index, func() { index.left = n }, func() { index.left = -1 }) {
				break
			}
		}
		if n < 200 {
			t.Errorf("only %d reads and writes", n)
		}
	})
}

// due is a store in which a lifecycle policy has something to do.
type due struct {
	index  storage.Index
	blobs  storage.Blobs
	name   registry.Name
	images map[string]registry.Image
}

func newDue(t *testing.T) *due {
	t.Helper()
	d := &due{index: memory.NewIndex(), blobs: memory.NewBlobs(), name: name(t, "team/app"), images: map[string]registry.Image{}}
	s := open(t, d.options(d.index))
	n := create(t, s, "team/app")
	for i := range 25 {
		key := fmt.Sprintf("%02d", i)
		d.images[key] = addImage(t, s, n, "tmp-"+key, key)
		time.Sleep(time.Minute)
	}
	// The eight that the last rule leaves count those that the others take.
	_, err := s.PutLifecyclePolicy(alice(t), n, rules(
		rule(1, "tagged", `"tagPatternList": ["tmp-*4"],`, moreThan(1), expire),
		rule(2, "tagged", `"tagPatternList": ["tmp-2*"],`, moreThan(2), archive),
		rule(3, "any", "", moreThan(8), expire),
	))
	must(t, err)
	time.Sleep(day)
	return d
}

func (d *due) options(index storage.Index) registry.Options {
	return registry.Options{Index: index, Blobs: d.blobs, EventRetention: 1000 * day}
}

// brokenOff breaks a run off, if it gets as far as that, lets another one follow
// it, and looks at what both did together. The index has a copy of the rows.
func (d *due) brokenOff(t *testing.T, index storage.Index, harm, heal func()) (broken bool) {
	t.Helper()
	s := openUnchecked(t, d.options(index))
	harm()
	err := s.RunLifecycle(alice(t))
	heal()
	if broken = errors.Is(err, errDead) || errors.Is(err, errBroken); !broken {
		must(t, err)
	}
	s = openUnchecked(t, d.options(index))
	checkRows(t, s)
	must(t, s.RunLifecycle(alice(t)))
	checkRows(t, s)
	var want []string
	gone := 0
	for _, key := range slices.Sorted(maps.Keys(d.images)) {
		switch {
		case key == "04" || key == "14" || key < "17":
			gone++
		case key == "20" || key == "21" || key == "22":
			want = append(want, key+" ARCHIVED")
		default:
			want = append(want, key)
		}
	}
	if diff := cmp.Diff(want, left(t, s, d.name, d.images)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	done, failed := audits(t, s, registry.LifecycleRun, d.images)
	slices.Sort(done)
	if len(slices.Compact(done)) != gone+3 || len(done) != gone+3 || len(failed) > 0 {
		t.Errorf("recorded %q and %q", done, failed)
	}
	return broken
}

// meddling is an index that does something before a transaction.
type meddling struct {
	storage.Index
	before func()
}

// beforeUpdate has something done before the nth update from now on.
func (x *meddling) beforeUpdate(n int, do func()) {
	x.before = do
	for range n {
		next := x.before
		x.before = func() { x.before = next }
	}
}

func (x *meddling) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if do := x.before; do != nil {
		x.before = nil
		do()
	}
	return x.Index.Update(ctx, fn)
}

// TestLifecycleChecksAgain: what others change between a decision and its being
// carried out keeps images from it.
func TestLifecycleChecksAgain(t *testing.T) {
	expireTmp := rules(rule(1, "tagged", `"tagPrefixList": ["tmp"],`, sincePushed(1), expire))
	tests := []struct {
		what   string
		meddle func(t *testing.T, s *registry.Service, n registry.Name, img registry.Image)
		stays  bool
		failed string
	}{
		{"nothing", func(*testing.T, *registry.Service, registry.Name, registry.Image) {}, false, ""},
		{"a new tag", func(t *testing.T, s *registry.Service, n registry.Name, img registry.Image) {
			_, body, err := s.Manifest(alice(t), n, registry.Ref{Digest: img.Digest})
			must(t, err)
			put(t, s, n, "keep", body)
		}, true, "img expire by 1: ImageChanged"},
		{"a tag less", func(t *testing.T, s *registry.Service, n registry.Name, img registry.Image) {
			_, err := s.Untag(alice(t), n, tag(t, "tmp"), registry.KeepImage, nil)
			must(t, err)
		}, true, "img expire by 1: ImageChanged"},
		{"an index", func(t *testing.T, s *registry.Service, n registry.Name, img registry.Image) {
			put(t, s, n, "multi", indexOf(t, img))
		}, true, "img expire by 1: ImageReferencedByManifestList"},
		{"the archive", func(t *testing.T, s *registry.Service, n registry.Name, img registry.Image) {
			setClass(t, s, n, img, registry.ArchiveClass)
		}, true, "img expire by 1: ImageChanged"},
		{"another policy", func(t *testing.T, s *registry.Service, n registry.Name, img registry.Image) {
			_, err := s.PutLifecyclePolicy(alice(t), n, expireTmp)
			must(t, err)
		}, true, ""},
		{"no policy", func(t *testing.T, s *registry.Service, n registry.Name, img registry.Image) {
			_, err := s.DeleteLifecyclePolicy(alice(t), n)
			must(t, err)
		}, true, ""},
		{"another repository", func(t *testing.T, s *registry.Service, n registry.Name, img registry.Image) {
			_, err := s.DeleteRepository(alice(t), n, true)
			must(t, err)
			create(t, s, n.String())
			must(t, registry.Tidy(alice(t), s))
			addImage(t, s, n, "tmp", "one")
		}, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				index := &meddling{Index: memory.NewIndex()}
				s := open(t, registry.Options{Index: index})
				n := create(t, s, "team/app")
				img := addImage(t, s, n, "tmp", "one")
				_, err := s.PutLifecyclePolicy(alice(t), n, expireTmp)
				must(t, err)
				time.Sleep(2 * day)
				index.beforeUpdate(1, func() { tt.meddle(t, s, n, img) }) // the plan is written by then
				must(t, s.RunLifecycle(alice(t)))
				all := map[string]registry.Image{"img": img}
				if stays := len(left(t, s, n, all)) > 0; stays != tt.stays {
					t.Errorf("stays: %v, want %v", stays, tt.stays)
				}
				if _, failed := audits(t, s, registry.LifecycleRun, all); strings.Join(failed, ", ") != tt.failed {
					t.Errorf("recorded as %q, want %q", failed, tt.failed)
				}
				must(t, s.RunLifecycle(alice(t))) // and the rows agree
			})
		})
	}
}
