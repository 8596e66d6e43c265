package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage/memory"
)

const week = 7 * 24 * time.Hour

// clock is a clock that tests turn.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time       { return c.at }
func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

// trashStore is a service with a trash, a clock and its blobs.
type trashStore struct {
	*registry.Service
	t     testing.TB
	clock *clock
	blobs *memory.Blobs
	o     registry.Options
}

func openTrash(t testing.TB, change func(*registry.Options)) *trashStore {
	t.Helper()
	c := newClock()
	blobs := memory.NewBlobs()
	o := registry.Options{TrashWindow: week, Now: c.now, Blobs: blobs}
	if change != nil {
		change(&o)
	}
	return &trashStore{open(t, o), t, c, blobs, o}
}

// trash lists what is in the trash as words.
func (s *trashStore) trash() (list []string) {
	s.t.Helper()
	for after := ""; ; {
		page, next, err := s.Trash(alice(s.t), registry.TrashFilter{}, after, 2)
		must(s.t, err)
		for _, e := range page {
			word := e.Repository.String()
			if !e.Digest.IsZero() {
				word += "@" + e.Digest.Encoded()[:6]
			}
			for _, tg := range e.Tags {
				word += " " + tg.String()
			}
			list = append(list, word)
		}
		if after = next; next == "" {
			return list
		}
	}
}

func (s *trashStore) wantTrash(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.trash()); diff != "" {
		s.t.Errorf("in the trash (-want +got):\n%s", diff)
	}
}

func short(n string, d digest.Digest) string { return n + "@" + d.Encoded()[:6] }

func (s *trashStore) remove(n registry.Name, d digest.Digest) {
	s.t.Helper()
	_, err := s.DeleteImage(alice(s.t), n, registry.Ref{Digest: d}, nil)
	must(s.t, err)
	checkRows(s.t, s.Service)
}

func (s *trashStore) restore(n registry.Name, d digest.Digest) []registry.RestoredImage {
	s.t.Helper()
	list, err := s.RestoreImage(alice(s.t), n, registry.Ref{Digest: d})
	must(s.t, err)
	checkRows(s.t, s.Service)
	return list
}

// sweep lets go what has been there for long enough, and deletes the bytes.
func (s *trashStore) sweep() {
	s.t.Helper()
	must(s.t, s.SweepTrash(context.Background()))
	must(s.t, registry.Tidy(context.Background(), s.Service))
	checkRows(s.t, s.Service)
}

// unseen fails the test if a layer can be read, or mounted elsewhere.
func (s *trashStore) unseen(n registry.Name, d digest.Digest) {
	s.t.Helper()
	_, err := s.Layer(alice(s.t), n, d)
	wantCode(s.t, "layer in the trash", err, registry.LayerNotFound)
	_, err = s.ReadableLayer(alice(s.t), n, d)
	wantCode(s.t, "layer in the trash", err, registry.LayerNotFound)
	_, _, err = s.OpenLayer(alice(s.t), n, d)
	wantCode(s.t, "bytes of a layer in the trash", err, registry.LayerNotFound)
	if err := s.DeleteLayer(alice(s.t), n, d); err != nil && registry.CodeOf(err) != registry.LayerNotFound {
		s.t.Errorf("delete a layer in the trash: %v, want that it is done, once", err)
	}
	wantCode(s.t, "delete a layer in the trash again", s.DeleteLayer(alice(s.t), n, d), registry.LayerNotFound)
	all := func(context.Context, registry.Name) bool { return true }
	for _, from := range []registry.Name{n, {}} {
		_, err = s.Mount(alice(s.t), name(s.t, "elsewhere"), d, registry.Mount{From: from, MayRead: all})
		wantCode(s.t, "mount a layer from the trash", err, registry.LayerNotFound)
	}
}

func TestTrashedImageIsOutOfSight(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	create(t, s.Service, "elsewhere")
	img := addImage(t, s.Service, n, "1", "one")
	layer := sha256Of([]byte("one"))
	s.remove(n, img.Digest)

	_, err := s.Image(alice(t), n, tagged(t, "1"))
	wantCode(t, "pull by tag", err, registry.ImageNotFound)
	_, _, err = s.Manifest(alice(t), n, registry.Ref{Digest: img.Digest})
	wantCode(t, "pull by digest", err, registry.ImageNotFound)
	if page, _, err := s.Images(alice(t), n, registry.ImageFilter{}, "", 10); err != nil || len(page) != 0 {
		t.Errorf("images %v, %v", page, err)
	}
	if facts, err := s.LifecycleFacts(alice(t), n); err != nil || len(facts) != 0 {
		t.Errorf("lifecycle facts %v, %v", facts, err)
	}
	s.unseen(n, layer)
	s.wantTrash(short("app", img.Digest) + " 1")

	page, _, err := s.Trash(alice(t), registry.TrashFilter{}, "", 10)
	must(t, err)
	want := registry.Trashed{
		Repository: n, RepositoryID: page[0].RepositoryID, Digest: img.Digest, Tags: []registry.Tag{tag(t, "1")}, At: s.clock.now(), Until: s.clock.now().Add(week),
		By: arn("alice"), Cause: registry.TrashedByRequest, Bytes: img.ManifestSize + int64(len("{}")+len("one")),
	}
	if diff := cmp.Diff(want, page[0], cmp.AllowUnexported(registry.Name{}, registry.Tag{}), cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
		t.Errorf("in the trash (-want +got):\n%s", diff)
	}
}

func TestTrashGoesAtTheEndOfTheWindow(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	one, two := addImage(t, s.Service, n, "1", "one"), addImage(t, s.Service, n, "2", "two")
	s.remove(n, one.Digest)
	s.clock.pass(week - 1)
	due, err := s.TrashDue(t.Context())
	if s.sweep(); err != nil || due {
		t.Errorf("due before its time: %v, %v", due, err)
	}
	s.wantTrash(short("app", one.Digest) + " 1")
	s.clock.pass(1)
	if due, err := s.TrashDue(t.Context()); err != nil || !due {
		t.Errorf("not due: %v, %v", due, err)
	}
	s.sweep()
	s.wantTrash()
	if n := blobCount(t, s.blobs); n != 2 { // the config, and the layer of the other
		t.Errorf("%d blobs are left", n)
	}
	readLayer(t, s.Service, n, sha256Of([]byte("two")))
	if _, err := s.Image(alice(t), n, registry.Ref{Digest: two.Digest}); err != nil {
		t.Error(err)
	}
	_, err = s.RestoreImage(alice(t), n, registry.Ref{Digest: one.Digest})
	wantCode(t, "restore what is gone", err, registry.NotInTrash)
}

func TestTrashWindowCountsForWhatIsThere(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	img := addImage(t, s.Service, n, "1", "one")
	s.remove(n, img.Digest)
	s.clock.pass(time.Hour)
	s.o.TrashWindow = time.Hour
	s.Configure(s.o)
	s.sweep()
	s.wantTrash()

	s.o.TrashWindow = 0
	s.Configure(s.o)
	other := addImage(t, s.Service, n, "2", "two")
	s.remove(n, other.Digest)
	s.wantTrash()
	if got := readLayer(t, s.Service, n, sha256Of([]byte("two"))); got != "two" { // as if there had never been a trash
		t.Errorf("layer %q", got)
	}
}

func TestRestoreImage(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	create(t, s.Service, "elsewhere")
	body := imageOf(t, v1.Manifest{Config: addConfig(t, s.Service, n), Layers: []v1.Descriptor{addLayer(t, s.Service, n, "one")}})
	img := put(t, s.Service, n, "a", body)
	put(t, s.Service, n, "b", body)
	s.clock.pass(time.Hour)
	before, err := s.DescribeImage(alice(t), n, tagged(t, "a"))
	must(t, err)
	s.remove(n, img.Digest)
	other := addImage(t, s.Service, n, "b", "other")
	s.clock.pass(time.Hour)

	got := s.restore(n, img.Digest)
	if len(got) != 1 || !cmp.Equal(got[0].Tags, []registry.Tag{tag(t, "a")}, cmp.AllowUnexported(registry.Tag{})) || !cmp.Equal(got[0].Taken, []registry.Tag{tag(t, "b")}, cmp.AllowUnexported(registry.Tag{})) {
		t.Errorf("restored %+v", got)
	}
	after, err := s.DescribeImage(alice(t), n, tagged(t, "a"))
	must(t, err)
	if before.Tags = after.Tags; !cmp.Equal(before, after, cmp.AllowUnexported(registry.Name{}, registry.Tag{}), cmp.Comparer(func(a, b digest.Digest) bool { return a == b })) {
		t.Errorf("it went as %+v and came back as %+v", before, after)
	}
	if named := tagNames(t, s.Service, n); named["b"] != other.Digest || named["a"] != img.Digest {
		t.Errorf("tags %v", named)
	}
	if got := readLayer(t, s.Service, n, sha256Of([]byte("one"))); got != "one" {
		t.Errorf("layer %q", got)
	}
	s.wantTrash()
	s.clock.pass(2 * week)
	s.sweep()
	readLayer(t, s.Service, n, sha256Of([]byte("one")))
}

func TestRestoreByTagTakesTheLast(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	one := addImage(t, s.Service, n, "1", "one")
	s.remove(n, one.Digest)
	s.clock.pass(time.Minute)
	two := addImage(t, s.Service, n, "1", "two")
	s.remove(n, two.Digest)
	list, err := s.RestoreImage(alice(t), n, tagged(t, "1"))
	must(t, err)
	if list[0].Image.Digest != two.Digest {
		t.Errorf("restored %v, deleted last was %v", list[0].Image.Digest, two.Digest)
	}
	s.wantTrash(short("app", one.Digest) + " 1")
	_, err = s.RestoreImage(alice(t), n, tagged(t, "2"))
	wantCode(t, "a tag of none", err, registry.NotInTrash)
	_, err = s.RestoreImage(alice(t), name(t, "nowhere"), tagged(t, "1"))
	wantCode(t, "a repository that is not there", err, registry.RepositoryNotFound)
}

func TestPushOfWhatIsInTheTrash(t *testing.T) {
	for _, again := range []struct {
		name   string
		upload bool // the layers first, as clients do that were told that they are not there
	}{{"with its layers", true}, {"alone", false}} {
		t.Run(again.name, func(t *testing.T) {
			s := openTrash(t, nil)
			n := create(t, s.Service, "app")
			body := imageOf(t, v1.Manifest{Config: addConfig(t, s.Service, n), Layers: []v1.Descriptor{addLayer(t, s.Service, n, "one")}})
			img := put(t, s.Service, n, "1", body)
			s.remove(n, img.Digest)
			if again.upload {
				addConfig(t, s.Service, n)
				addLayer(t, s.Service, n, "one")
				checkRows(t, s.Service)
				readLayer(t, s.Service, n, sha256Of([]byte("one"))) // uploaded, and not yet used
			}
			if got := put(t, s.Service, n, "2", body); got.Digest != img.Digest {
				t.Errorf("pushed %v, was %v", got.Digest, img.Digest)
			}
			checkRows(t, s.Service)
			s.wantTrash()
			readLayer(t, s.Service, n, sha256Of([]byte("one")))
			s.clock.pass(2 * week)
			s.sweep()
			readLayer(t, s.Service, n, sha256Of([]byte("one")))
		})
	}
}

func TestLayersOfTheTrash(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	elsewhere := create(t, s.Service, "elsewhere")
	shared, own := addLayer(t, s.Service, n, "shared"), addLayer(t, s.Service, n, "own")
	config := addConfig(t, s.Service, n)
	one := put(t, s.Service, n, "1", imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{shared, own}}))
	two := put(t, s.Service, n, "2", imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{shared}}))
	s.remove(n, one.Digest)
	readLayer(t, s.Service, n, sha256Of([]byte("shared"))) // another image uses it
	s.unseen(n, sha256Of([]byte("own")))

	// One that is uploaded again is in sight, and goes out of it when it is deleted.
	addLayer(t, s.Service, n, "own")
	readLayer(t, s.Service, n, sha256Of([]byte("own")))
	must(t, s.DeleteLayer(alice(t), n, sha256Of([]byte("own"))))
	checkRows(t, s.Service)
	s.unseen(n, sha256Of([]byte("own")))

	// So is one that is mounted into the repository.
	addLayer(t, s.Service, elsewhere, "own")
	l, err := s.Mount(alice(t), n, sha256Of([]byte("own")), registry.Mount{From: elsewhere, MayRead: func(context.Context, registry.Name) bool { return true }})
	if err != nil || l.Existed {
		t.Errorf("mounted %+v, %v", l, err)
	}
	readLayer(t, s.Service, n, sha256Of([]byte("own")))

	s.remove(n, two.Digest)
	if got := s.restore(n, one.Digest); len(got) != 1 {
		t.Errorf("restored %v", got)
	}
	readLayer(t, s.Service, n, sha256Of([]byte("shared")))
	s.clock.pass(2 * week)
	s.sweep()
	readLayer(t, s.Service, n, sha256Of([]byte("shared")))
	readLayer(t, s.Service, n, sha256Of([]byte("own")))
}

func TestRestoreIndex(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	one, two := addImage(t, s.Service, n, "", "one"), addImage(t, s.Service, n, "", "two")
	list := put(t, s.Service, n, "list", indexOf(t, one, two))
	outer := put(t, s.Service, n, "outer", indexOf(t, list))
	for _, img := range []registry.Image{outer, list, one, two} {
		s.remove(n, img.Digest)
	}
	var back []digest.Digest
	for _, r := range s.restore(n, outer.Digest) {
		back = append(back, r.Image.Digest)
	}
	if want := []digest.Digest{one.Digest, two.Digest, list.Digest, outer.Digest}; !cmp.Equal(want, back, cmp.Comparer(func(a, b digest.Digest) bool { return a == b })) {
		t.Errorf("restored %v, want %v", back, want)
	}
	s.wantTrash()
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: one.Digest}, nil)
	wantCode(t, "delete what an index needs again", err, registry.ImageReferenced)

	for _, img := range []registry.Image{outer, list, one} {
		s.remove(n, img.Digest)
	}
	_, err = s.EmptyTrash(alice(t), registry.TrashFilter{})
	must(t, err)
	s.remove(n, two.Digest)
	body := indexOf(t, two)
	s.restore(n, two.Digest)
	last := put(t, s.Service, n, "last", body)
	s.remove(n, last.Digest)
	s.o.TrashWindow = 0
	s.Configure(s.o)
	s.remove(n, two.Digest) // for good
	e := wantCode(t, "restore an index without its image", func() error {
		_, err := s.RestoreImage(alice(t), n, registry.Ref{Digest: last.Digest})
		return err
	}(), registry.ChildrenMissing)
	if len(e.Digests) != 1 || e.Digests[0] != two.Digest {
		t.Errorf("it names %v, missing is %v", e.Digests, two.Digest)
	}
	s.wantTrash(short("app", last.Digest) + " last")
}
