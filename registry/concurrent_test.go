package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage/memory"
)

// worker does things at random to repositories that others work on too.
type worker struct {
	s     *registry.Service
	names []registry.Name
	rand  *rand.Rand
}

const layerKinds, tagKinds = 6, 3 // few, so that workers meet

func (w *worker) name() registry.Name { return w.names[w.rand.IntN(len(w.names))] }

func (w *worker) content() string { return fmt.Sprintf("layer %d", w.rand.IntN(layerKinds)) }

func (w *worker) tagName() string { return fmt.Sprintf("tag%d", w.rand.IntN(tagKinds)) }

// step does one thing. Refusals that others cause are no errors.
func (w *worker) step(t *testing.T) error {
	steps := []func(*testing.T) error{
		w.push, w.push, w.push, w.pushIndex, w.deleteImage, w.deleteImage, w.deleteImage,
		w.untag, w.deleteLayer, w.deleteLayer, w.deleteLayer, w.mount, w.read, w.cancel,
	}
	err := steps[w.rand.IntN(len(steps))](t)
	if registry.CodeOf(err) != "" {
		return nil
	}
	return err
}

// upload brings a layer by two appends and describes it.
func (w *worker) upload(t *testing.T, n registry.Name, content string) (v1.Descriptor, error) {
	desc := descriptor(v1.MediaTypeImageLayer, []byte(content))
	u, err := w.s.StartUpload(alice(t), n, registry.NewUpload{Durable: w.rand.IntN(2) == 0})
	for _, part := range []string{content[:3], content[3:]} {
		if err == nil {
			_, err = w.s.AppendUpload(alice(t), n, u.ID, stream(part))
		}
	}
	if err == nil {
		_, err = w.s.FinishUpload(alice(t), n, u.ID, registry.Finish{Digests: []digest.Digest{sha256Of([]byte(content))}})
	}
	return desc, err
}

func (w *worker) push(t *testing.T) error {
	n := w.name()
	var m v1.Manifest
	for range 1 + w.rand.IntN(2) {
		desc, err := w.upload(t, n, w.content())
		if err != nil {
			return err
		}
		m.Config = desc
		m.Layers = append(m.Layers, desc)
	}
	_, err := w.s.PutImage(alice(t), n, registry.Push{Tags: tagList(t, w.tagName(), w.tagName()), Body: imageOf(t, m)})
	return err
}

func (w *worker) pushIndex(t *testing.T) error {
	n := w.name()
	img, err := w.s.Image(alice(t), n, tagged(t, w.tagName()))
	if err != nil {
		return err
	}
	_, err = w.s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "index")}, Body: indexOf(t, img)})
	return err
}

// deleteImage deletes any image, since those without tags keep layers too.
func (w *worker) deleteImage(t *testing.T) error {
	n := w.name()
	page, _, err := w.s.Images(alice(t), n, registry.ImageFilter{}, "", 1000)
	if err != nil || len(page) == 0 {
		return err
	}
	_, err = w.s.DeleteImage(alice(t), n, registry.Ref{Digest: page[w.rand.IntN(len(page))].Digest}, nil)
	return err
}

func (w *worker) untag(t *testing.T) error {
	_, err := w.s.Untag(alice(t), w.name(), tag(t, w.tagName()), registry.LastTag(w.rand.IntN(2)), nil)
	return err
}

func (w *worker) deleteLayer(t *testing.T) error {
	return w.s.DeleteLayer(alice(t), w.name(), sha256Of([]byte(w.content())))
}

func (w *worker) mount(t *testing.T) error {
	m := registry.Mount{MayRead: anyone}
	if w.rand.IntN(2) == 0 {
		m.From = w.name()
	}
	_, err := w.s.Mount(alice(t), w.name(), sha256Of([]byte(w.content())), m)
	return err
}

func (w *worker) read(t *testing.T) error {
	_, r, err := w.s.OpenLayer(alice(t), w.name(), sha256Of([]byte(w.content())))
	if err == nil {
		err = r.Close()
	}
	return err
}

func (w *worker) cancel(t *testing.T) error {
	n := w.name()
	u, err := w.s.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
	if err == nil {
		_, err = w.s.AppendUpload(alice(t), n, u.ID, stream("given up"))
	}
	if err == nil {
		err = w.s.CancelUpload(alice(t), n, u.ID)
	}
	return err
}

// taggedImagesAreWhole reads all that the tags of a repository lead to.
func taggedImagesAreWhole(t *testing.T, s *registry.Service, n registry.Name) {
	t.Helper()
	for name, d := range tagNames(t, s, n) {
		wholeImage(t, s, n, name, d)
	}
}

func wholeImage(t *testing.T, s *registry.Service, n registry.Name, what string, d digest.Digest) {
	t.Helper()
	img, body, err := s.Manifest(alice(t), n, registry.Ref{Digest: d})
	must(t, err)
	m, err := manifest.Parse(img.MediaType, body)
	must(t, err)
	for _, l := range m.Layers {
		if got := readLayer(t, s, n, l.Digest); sha256Of([]byte(got)) != l.Digest {
			t.Errorf("%s in %q: layer %s reads %q", what, n, l.Digest, got)
		}
	}
	for _, c := range m.Manifests {
		wholeImage(t, s, n, "child of "+what, c.Digest)
	}
}

func TestManyAtOnce(t *testing.T) {
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Blobs: blobs})
	names := []registry.Name{create(t, s, "team/app"), create(t, s, "team/other")}
	ctx, stop := context.WithCancel(t.Context())
	var janitor, workers sync.WaitGroup
	janitor.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	for i := range 8 {
		w := &worker{s, names, rand.New(rand.NewPCG(1, uint64(i)))}
		workers.Go(func() {
			for range 150 {
				if err := w.step(t); err != nil {
					t.Errorf("a fault: %v", err)
				}
			}
		})
	}
	workers.Wait()
	stop()
	janitor.Wait()
	checkRows(t, s)
	everyKind(t, s)
	for _, n := range names {
		taggedImagesAreWhole(t, s, n)
		must(t, func() error { _, err := s.DeleteRepository(alice(t), n, true); return err }())
	}
	checkRows(t, s)
	must(t, registry.Tidy(t.Context(), s))
	if got := blobCount(t, blobs); got != 0 {
		t.Errorf("the store keeps %d blobs of repositories that are gone", got)
	}
}

// everyKind fails the test unless the workers got something of each kind done.
func everyKind(t *testing.T, s *registry.Service) {
	t.Helper()
	done := map[registry.EventKind]int{}
	for _, e := range readEvents(t, s, 1000) {
		done[e.Kind]++
	}
	for _, kind := range []registry.EventKind{registry.ImagePushed, registry.ImageDeleted, registry.TagRemoved, registry.LayerDeleted} {
		if done[kind] == 0 {
			t.Errorf("no event %q among %v", kind, done)
		}
	}
}

func TestOneTagAndManyPushers(t *testing.T) {
	s := open(t, registry.Options{})
	n := createWith(t, s, "team/app", registry.Settings{TagRule: registry.TagRule{Mutability: registry.Immutable}})
	taken := make([]registry.Code, 8)
	var pushers sync.WaitGroup
	for i := range taken {
		body := append(indexOf(t), slices.Repeat([]byte{' '}, i)...)
		pushers.Go(func() {
			_, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "1.0")}, Body: body})
			taken[i] = registry.CodeOf(err)
		})
	}
	pushers.Wait()
	slices.Sort(taken)
	want := slices.Repeat([]registry.Code{registry.TagImmutable}, len(taken))
	want[0] = ""
	if !slices.Equal(taken, want) {
		t.Errorf("pushes of an immutable tag: %q, want that one is taken", taken)
	}
}
