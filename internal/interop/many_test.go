package interop_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	gcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// together is how many clients push at once.
const together = 64

// Clients that know nothing of each other push images of several platforms into
// one repository at once. All their images have one layer in common, and each
// eight clients another, so that the same bytes come in by many uploads.
func TestKoManyAtOnce(t *testing.T) {
	s := harness.Start(t)
	s.CreateRepository(t, "team/app")
	repo := parseRepository(t, s.Host+"/team/app")
	common := newGCRLayer(t, 1<<20)
	var ofEight gcr.Layer
	indexes := make([]gcr.ImageIndex, together)
	for i := range indexes {
		if i%8 == 0 {
			ofEight = newGCRLayer(t, 256<<10)
		}
		indexes[i] = newGCRIndex(t, []gcr.Layer{common, ofEight}, "amd64", "arm64", "riscv64")
	}

	var all sync.WaitGroup
	begin := make(chan struct{})
	for i, index := range indexes {
		options := gcrOptions(t, s) // with a transport, and so with connections, of its own
		all.Go(func() {
			<-begin
			if err := remote.WriteIndex(repo.Tag(fmt.Sprintf("client-%02d", i)), index, options...); err != nil {
				t.Errorf("client %d pushes its own: %v", i, err)
			}
			if err := remote.WriteIndex(repo.Tag("last"), index, options...); err != nil {
				t.Errorf("client %d pushes what all push: %v", i, err)
			}
		})
	}
	close(begin)
	all.Wait()

	options := gcrOptions(t, s)
	var tags []string
	for i, index := range indexes {
		tags = append(tags, fmt.Sprintf("client-%02d", i))
		pullWhole(t, repo.Tag(tags[i]), index, options)
	}
	if got, want := tagsOf(t, s, "team/app"), append(tags, "last"); !slices.Equal(got, want) {
		t.Errorf("the tags are %q, want %q", got, want)
	}
	last, err := remote.Index(repo.Tag("last"), options...)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(indexes, func(i gcr.ImageIndex) bool { return sameDigest(t, i, last) }) {
		t.Error("the tag that all pushed names what none of them pushed")
	}
	wantNoFaults(t, s)
}

func sameDigest(t *testing.T, a, b gcr.ImageIndex) bool {
	t.Helper()
	da, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	db, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return da == db
}
