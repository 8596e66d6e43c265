package registry_test

import (
	"bytes"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

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
	_, err = s.DeleteImage(alice(t), n, child, nil)
	wantCode(t, "delete the child that came later", err, registry.ImageReferenced)
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
	must(t, err)
	_, err = s.DeleteImage(alice(t), n, child, nil)
	must(t, err)
}

func TestSparseIndexIsDeletedWithoutItsChild(t *testing.T) {
	s := open(t, registry.Options{SparseIndexes: true})
	n := create(t, s, "team/app")
	index, _ := indexWithout(t, s, n)
	img := put(t, s, n, "all", index)
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
	must(t, err)
}

// The setting may change while the server runs; what was taken stays.
func TestSparseIndexesByConfigure(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	body, _ := indexWithout(t, s, n)
	push := func(body []byte) (registry.Pushed, error) {
		return s.PutImage(alice(t), n, registry.Push{Tags: tagList(t, "all"), Body: body})
	}
	_, err := push(body)
	wantCode(t, "before", err, registry.ChildrenMissing)

	s.Configure(registry.Options{SparseIndexes: true})
	done, err := push(body)
	must(t, err)
	if want := int64(len("{}there")); done.Image.Size != want {
		t.Errorf("the index has the size %d, want that of the child that is there, %d", done.Image.Size, want)
	}
	absent := registry.Image{Digest: sha512Of(nil), MediaType: v1.MediaTypeImageIndex, ManifestSize: 7}
	outer := put(t, s, n, "outer", indexOf(t, done.Image, absent))
	hollow := put(t, s, n, "hollow", indexOf(t, absent, absent))
	if outer.Size != done.Image.Size || hollow.Size != 0 {
		t.Errorf("around it one of %d bytes, of nothing one of %d", outer.Size, hollow.Size)
	}
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: absent.Digest}, nil)
	wantCode(t, "delete what is not there", err, registry.ImageNotFound)

	s.Configure(registry.Options{})
	defer s.Configure(registry.Options{SparseIndexes: true}) // as the rows are
	_, err = push(append(body, ' '))
	wantCode(t, "a new one afterwards", err, registry.ChildrenMissing)
	if again, err := push(body); err != nil || !again.Existed {
		t.Errorf("the old one again: %+v, %v", again, err)
	}
	if _, got, err := s.Manifest(alice(t), n, tagged(t, "all")); err != nil || !bytes.Equal(got, body) {
		t.Errorf("pulled %q, %v", got, err)
	}
	for _, name := range []string{"outer", "all", "hollow"} {
		_, err := s.DeleteImage(alice(t), n, tagged(t, name), nil)
		must(t, err)
	}
}
