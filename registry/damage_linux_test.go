package registry_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/fsblob"
	"github.com/seed-78150930/berth/storage/memory"
)

// onDisk is a service whose layers are files, and the folder that has them. Its store
// may be damaged at the end.
func onDisk(t testing.TB, o registry.Options) (*registry.Service, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "blobs")
	blobs, err := fsblob.Open(dir)
	must(t, err)
	o.Blobs = blobs
	if o.Index == nil {
		o.Index = memory.NewIndex()
	}
	s, err := registry.New(t.Context(), o)
	must(t, err)
	return s, dir
}

// fileOf is the sealed file with some content.
func fileOf(t testing.TB, dir, content string) string {
	t.Helper()
	var found string
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if string(b) == content {
			found = path
		}
		return err
	}))
	if found == "" {
		t.Fatalf("no file has the content %q", content)
	}
	return found
}

// flip flips a bit of a file, and puts its time back if asked.
func flip(t testing.TB, path string, putBack bool) {
	t.Helper()
	before, err := os.Stat(path)
	must(t, err)
	b, err := os.ReadFile(path)
	must(t, err)
	b[len(b)/2] ^= 1
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(b, 0)
	must(t, errors.Join(err, f.Close()))
	if putBack {
		must(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
	}
}

// old makes a file's times so old that whatever touches it next changes them, which a
// kernel's clock for files may be too coarse for else. Its layer is read, so that it is
// known as it is.
func old(t testing.TB, s *registry.Service, n registry.Name, dir, content string) string {
	t.Helper()
	path := fileOf(t, dir, content)
	past := time.Now().Add(-time.Hour)
	for was := changeTime(t, path); changeTime(t, path).Equal(was); {
		must(t, os.Chtimes(path, past, past))
	}
	readLayer(t, s, n, sha256Of([]byte(content)))
	was := changeTime(t, path)
	other := filepath.Join(t.TempDir(), "clock")
	for { // until the clock for files has gone on
		must(t, os.WriteFile(other, []byte("tick"), 0o600))
		if changeTime(t, other).After(was) {
			return path
		}
	}
}

// damageEvents lists the kinds of the events about damage.
func damageEvents(t testing.TB, s *registry.Service) (kinds []registry.EventKind) {
	t.Helper()
	page, err := s.Events(t.Context(), 0, 10_000)
	must(t, err)
	for _, e := range page {
		if e.Kind == registry.ContentDamaged || e.Kind == registry.ContentHealed {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func TestDamagedLayers(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(t testing.TB, path string)
	}{
		{"a flipped bit", func(t testing.TB, path string) { flip(t, path, false) }},
		{"a flipped bit, with its time put back", func(t testing.TB, path string) { flip(t, path, true) }},
		{"too short", func(t testing.TB, path string) { must(t, os.Truncate(path, 4)) }},
		{"too long", func(t testing.TB, path string) {
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, append(b, '!'), 0o600))
		}},
		{"empty", func(t testing.TB, path string) { must(t, os.Truncate(path, 0)) }},
		{"gone", func(t testing.TB, path string) { must(t, os.Remove(path)) }},
		{"a folder", func(t testing.TB, path string) { must(t, errors.Join(os.Remove(path), os.Mkdir(path, 0o700))) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, dir := onDisk(t, registry.Options{})
			defer s.Close(context.Background())
			n, other := create(t, s, "team/app"), create(t, s, "team/other")
			img := addImage(t, s, n, "1", "some layer")
			d := sha256Of([]byte("some layer"))
			test.damage(t, old(t, s, n, dir, "some layer"))

			for range 2 {
				_, r, err := s.OpenLayer(alice(t), n, d)
				wantCode(t, "open", err, registry.LayerDamaged)
				if r != nil {
					t.Fatal("a damaged layer has bytes")
				}
			}
			wantHidden(t, s, n, other, d)
			if got := damageEvents(t, s); !slices.Equal(got, []registry.EventKind{registry.ContentDamaged}) {
				t.Errorf("events %q", got)
			}

			// Whoever sends it again heals it, for all repositories that hold it.
			id := start(t, s, other)
			send(t, s, other, id, "some layer")
			l, err := finish(t, s, other, id, d)
			must(t, err)
			if l.Existed {
				t.Error("the layer existed, which was damaged")
			}
			if got := readLayer(t, s, n, d); got != "some layer" {
				t.Errorf("the layer is healed with %q", got)
			}
			_, err = s.PresentLayer(alice(t), n, d)
			must(t, err)
			put(t, s, n, "again", pulled(t, s, n, img))
			if got := damageEvents(t, s); !slices.Equal(got, []registry.EventKind{registry.ContentDamaged, registry.ContentHealed}) {
				t.Errorf("events %q", got)
			}
			must(t, registry.Tidy(t.Context(), s))
			checkRows(t, s)
		})
	}
}

// wantHidden fails the test unless a damaged layer is as good as absent for those who
// push, and an error for those who read.
func wantHidden(t testing.TB, s *registry.Service, n, other registry.Name, d digest.Digest) {
	t.Helper()
	_, err := s.ReadableLayer(alice(t), n, d)
	wantCode(t, "read", err, registry.LayerDamaged)
	_, err = s.PresentLayer(alice(t), n, d)
	wantCode(t, "look", err, registry.LayerNotFound)
	for _, from := range []registry.Name{n, {}} {
		_, err = s.Mount(alice(t), other, d, registry.Mount{From: from, MayRead: anyone})
		wantCode(t, "mount", err, registry.LayerNotFound)
	}
	l, err := s.Layer(alice(t), n, d)
	must(t, err)
	if !l.Damaged {
		t.Error("the layer is not said to be damaged")
	}
	list, err := s.Damages(t.Context(), 10)
	must(t, err)
	if len(list) != 1 || list[0].Digest != d || list[0].Found == "" || list[0].At.IsZero() || list[0].Size != l.Size {
		t.Errorf("damages: %+v", list)
	}
	body := imageWithLayer(t, s, n, d, l.Size)
	_, err = s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "new")}, Body: body})
	wantCode(t, "push an image that uses it", err, registry.LayersMissing)
}

// TestTouchedLayers shows that what only looks different is hashed once, and known
// after that.
func TestTouchedLayers(t *testing.T) {
	index := &refusingIndex{Index: memory.NewIndex()}
	s, dir := onDisk(t, registry.Options{Index: index})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "some layer")
	path := old(t, s, n, dir, "some layer")
	hashed := func() int64 {
		f, err := s.Integrity(t.Context())
		must(t, err)
		return f.Hashed
	}
	d, before := sha256Of([]byte("some layer")), hashed()
	must(t, os.Chmod(path, 0o640))
	readLayer(t, s, n, d)
	readLayer(t, s, n, d)
	if got := hashed() - before; got != 1 {
		t.Errorf("a touched layer was hashed %d times in two reads, want once", got)
	}
	o := registry.Options{Verify: registry.VerifyAlways}
	s.Configure(o)
	readLayer(t, s, n, d)
	readLayer(t, s, n, d)
	if got := hashed() - before; got != 3 {
		t.Errorf("a layer was hashed %d times in two reads, when each was to hash it", got-1)
	}
	s.Configure(registry.Options{})

	// A store that takes no writes cannot note it; the process knows it.
	before = hashed()
	index.refuse.Store(true)
	for was := changeTime(t, path); changeTime(t, path).Equal(was); {
		must(t, os.Chmod(path, 0o600))
	}
	readLayer(t, s, n, d)
	readLayer(t, s, n, d)
	if got := hashed() - before; got != 1 {
		t.Errorf("a touched layer of a store that takes no writes was hashed %d times, want once", got)
	}
	flip(t, path, true)
	for range 2 {
		_, _, err := s.OpenLayer(alice(t), n, d)
		wantCode(t, "a damaged layer of a store that takes no writes", err, registry.LayerDamaged)
	}
	index.refuse.Store(false)
}

// TestStampsOfOldStores reads a layer whose content has no stamp yet.
func TestStampsOfOldStores(t *testing.T) {
	index := memory.NewIndex()
	s, dir := onDisk(t, registry.Options{Index: index})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "some layer")
	for key, value := range rowsOf(t, index) {
		if strings.HasPrefix(key, "content\x00") {
			at := strings.Index(value, `,"Stamp"`)
			if at < 0 {
				t.Fatalf("the content %s has no stamp", value)
			}
			putRow(t, index, key, value[:at]+"}")
		}
	}
	d := sha256Of([]byte("some layer"))
	flip(t, fileOf(t, dir, "some layer"), true)
	_, _, err := s.OpenLayer(alice(t), n, d)
	wantCode(t, "open", err, registry.LayerDamaged)
}

// TestOneHashForManyReaders has many read a touched layer at once, and the first give
// up.
func TestOneHashForManyReaders(t *testing.T) {
	s, dir := onDisk(t, registry.Options{})
	n := create(t, s, "team/app")
	content := strings.Repeat("some layer ", 1<<18)
	addLayer(t, s, n, content)
	path := old(t, s, n, dir, content)
	before, err := s.Integrity(t.Context())
	must(t, err)
	must(t, os.Chmod(path, 0o640))
	ctx, cancel := context.WithCancel(alice(t))
	cancel()
	if _, _, err := s.OpenLayer(ctx, n, sha256Of([]byte(content))); !errors.Is(err, context.Canceled) {
		t.Errorf("a reader that gave up: %v", err)
	}
	done := make(chan error)
	for range 16 {
		go func() {
			_, r, err := s.OpenLayer(alice(t), n, sha256Of([]byte(content)))
			if err == nil {
				err = r.Close()
			}
			done <- err
		}()
	}
	for range 16 {
		must(t, <-done)
	}
	after, err := s.Integrity(t.Context())
	must(t, err)
	if got := after.Hashed - before.Hashed; got != 1 {
		t.Errorf("16 readers had it hashed %d times, want once", got)
	}
	must(t, s.Close(context.Background()))
}

// TestPushOverTouchedBytes has a layer pushed again that was damaged before anybody
// read it.
func TestPushOverTouchedBytes(t *testing.T) {
	s, dir := onDisk(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "some layer")
	flip(t, old(t, s, n, dir, "some layer"), true)
	addLayer(t, s, n, "some layer")
	if got := readLayer(t, s, n, sha256Of([]byte("some layer"))); got != "some layer" {
		t.Errorf("the layer is %q", got)
	}
	must(t, registry.Tidy(t.Context(), s))
	checkRows(t, s)
}

func TestDamagedManifests(t *testing.T) {
	index := memory.NewIndex()
	s, _ := onDisk(t, registry.Options{Index: index})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1", "some layer")
	body := pulled(t, s, n, img)
	for key, value := range rowsOf(t, index) {
		if strings.HasPrefix(key, "manifest\x00") {
			putRow(t, index, key, strings.Replace(value, "layers", "lajers", 1))
		}
	}
	for range 2 {
		_, _, err := s.Manifest(alice(t), n, tagged(t, "1"))
		wantCode(t, "pull", err, registry.ImageDamaged)
	}
	_, err := s.Image(alice(t), n, tagged(t, "1"))
	wantCode(t, "look", err, registry.ImageNotFound)
	list, err := s.Damages(t.Context(), 10)
	must(t, err)
	if len(list) != 1 || list[0].Digest != img.Digest || list[0].Repository != n {
		t.Errorf("damages: %+v", list)
	}
	put(t, s, n, "1", body)
	if got := pulled(t, s, n, img); string(got) != string(body) {
		t.Errorf("the manifest is healed with %q", got)
	}
	if got := damageEvents(t, s); !slices.Equal(got, []registry.EventKind{registry.ContentDamaged, registry.ContentHealed}) {
		t.Errorf("events %q", got)
	}
	checkRows(t, s)
}

// TestDamageGoesWithItsLast shows that nothing is left of a damaged layer, or image,
// that nobody holds any more.
func TestDamageGoesWithItsLast(t *testing.T) {
	s, dir := onDisk(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "some layer")
	d := sha256Of([]byte("some layer"))
	flip(t, old(t, s, n, dir, "some layer"), false)
	_, _, err := s.OpenLayer(alice(t), n, d)
	wantCode(t, "open", err, registry.LayerDamaged)
	must(t, s.DeleteLayer(alice(t), n, d))
	must(t, registry.Tidy(t.Context(), s))
	list, err := s.Damages(t.Context(), 10)
	must(t, err)
	if len(list) != 0 {
		t.Errorf("damages: %+v", list)
	}
	checkRows(t, s)
}

// pulled pulls an image.
func pulled(t testing.TB, s *registry.Service, n registry.Name, img registry.Image) []byte {
	t.Helper()
	_, body, err := s.Manifest(alice(t), n, registry.Ref{Digest: img.Digest})
	must(t, err)
	return body
}

// imageWithLayer writes an image of a layer that may not be there.
func imageWithLayer(t testing.TB, s *registry.Service, n registry.Name, d digest.Digest, size int64) []byte {
	t.Helper()
	layer := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: d.OCI(), Size: size}
	return imageOf(t, v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{layer}, Annotations: map[string]string{"a": "new image"}})
}

// changeTime is when the inode of a file was last changed.
func changeTime(t testing.TB, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix())
}

// refusingIndex takes no writes while it is told so.
type refusingIndex struct {
	storage.Index
	refuse atomic.Bool
}

func (x *refusingIndex) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if x.refuse.Load() {
		return storage.ErrReadOnly
	}
	return x.Index.Update(ctx, fn)
}
