package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// TestLifecycleFactsAreOfOneMoment: what changes while pages are read is read
// again, so that no tag is on two images and no image left out.
func TestLifecycleFactsAreOfOneMoment(t *testing.T) {
	index := &peeking{Index: memory.NewIndex()}
	s := open(t, registry.Options{Index: index})
	n := create(t, s, "team/app")
	config := addConfig(t, s, n)
	var list []registry.Image
	for i := range 1100 { // three pages
		m := v1.Manifest{Config: config, Annotations: map[string]string{"n": fmt.Sprint(i)}}
		list = append(list, put(t, s, n, fmt.Sprint("t", i), imageOf(t, m)))
	}
	slices.SortFunc(list, func(a, b registry.Image) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	first, last := list[0], list[len(list)-1]
	var moved, added, gone, multi registry.Image
	index.onView(3, func() { // the first page is read
		img, err := s.DescribeImage(alice(t), n, registry.Ref{Digest: first.Digest})
		must(t, err)
		_, body, err := s.Manifest(alice(t), n, registry.Ref{Digest: last.Digest})
		must(t, err)
		moved = put(t, s, n, img.Tags[0].String(), body)
		added = put(t, s, n, "added", imageOf(t, v1.Manifest{Config: config, Annotations: map[string]string{"n": "added"}}))
		multi = put(t, s, n, "multi", indexOf(t, list[1]))
		gone = list[2]
		_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: gone.Digest}, nil)
		must(t, err)
	})
	got, err := s.LifecycleFacts(alice(t), n)
	must(t, err)
	facts := map[string]lifecycle.Facts{}
	for _, f := range got {
		facts[f.Digest.String()] = f
	}
	want, _, err := s.Images(alice(t), n, registry.ImageFilter{}, "", 2000)
	must(t, err)
	if len(got) != len(want) || len(facts) != len(want) || facts[added.Digest.String()].Tags == nil || moved.Digest != last.Digest {
		t.Errorf("%d facts of %d images, want %d", len(got), len(facts), len(want))
	}
	for _, img := range want {
		f := facts[img.Digest.String()]
		var tags []string
		for _, tg := range img.Tags {
			tags = append(tags, tg.String())
		}
		if !slices.Equal(tags, f.Tags) || !f.PushedAt.Equal(img.PushedAt) || !f.TaggedAt.Equal(img.TaggedAt) {
			t.Errorf("facts %+v of %+v", f, img)
		}
	}
	if p := facts[list[1].Digest.String()].Parents; len(p) != 1 || p[0] != multi.Digest {
		t.Errorf("parents %v, want the index", p)
	}
	if _, there := facts[gone.Digest.String()]; there {
		t.Error("facts of an image that is gone")
	}
}

// peeking is an index that does something before a view.
type peeking struct {
	storage.Index
	left int
	do   func()
}

func (x *peeking) onView(n int, do func()) { x.left, x.do = n, do }

func (x *peeking) View(ctx context.Context, fn func(storage.Reader) error) error {
	if x.left--; x.left < 0 && x.do != nil {
		do := x.do
		x.do = nil
		do()
	}
	return x.Index.View(ctx, fn)
}
