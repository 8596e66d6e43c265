package registry_test

import (
	"testing"

	"github.com/seed-78150930/berth/registry"
)

// indexWithout is an index of two images, and the manifest of the one that is
// not in the repository.
func indexWithout(t testing.TB, s *registry.Service, n registry.Name) (index, absent []byte) {
	t.Helper()
	there := addImage(t, s, n, "", "there")
	other := create(t, s, "elsewhere")
	elsewhere := addImage(t, s, other, "", "elsewhere")
	_, absent, err := s.Manifest(alice(t), other, registry.Ref{Digest: elsewhere.Digest})
	must(t, err)
	return indexOf(t, there, elsewhere), absent
}

func TestSparseIndexesAreRefused(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	index, absent := indexWithout(t, s, n)
	_, err := s.PutImage(alice(t), n, registry.Push{Body: index})
	e := wantCode(t, "an index with an absent manifest", err, registry.ChildrenMissing)
	if len(e.Digests) != 1 || e.Digests[0] != sha256Of(absent) {
		t.Errorf("missing are %v, want %s", e.Digests, sha256Of(absent))
	}
}

func TestSparseIndexesAreAccepted(t *testing.T) {
	s := open(t, registry.Options{SparseIndexes: true})
	n := create(t, s, "team/app")
	index, absent := indexWithout(t, s, n)
	img := put(t, s, n, "all", index)
	child := registry.Ref{Digest: sha256Of(absent)}
	_, err := s.Image(alice(t), n, child)
	wantCode(t, "the absent manifest", err, registry.ImageNotFound)

	// What comes later is a child like the others.
	addConfig(t, s, n)
	addLayer(t, s, n, "elsewhere")
	put(t, s, n, "", absent)
	_, err = s.DeleteImage(alice(t), n, child)
	wantCode(t, "delete the child that came later", err, registry.ImageReferenced)
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest})
	must(t, err)
	_, err = s.DeleteImage(alice(t), n, child)
	must(t, err)
}

func TestSparseIndexIsDeletedWithoutItsChild(t *testing.T) {
	s := open(t, registry.Options{SparseIndexes: true})
	n := create(t, s, "team/app")
	index, _ := indexWithout(t, s, n)
	img := put(t, s, n, "all", index)
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest})
	must(t, err)
}
