package mirror_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// notPending waits until nothing is on its way.
func (b *bench) notPending() {
	b.t.Helper()
	b.eventually(func() error {
		list, err := b.Pendings(alice(b.t), nil, 10)
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("%v are on their way", list)
		}
		return err
	})
}

// A repository that is deleted while an image of it is on its way takes that along, and
// brings it back if it comes back from the trash.
func TestRepositoryDeleted(t *testing.T) {
	for _, window := range []time.Duration{0, 24 * time.Hour} {
		b := open(t, func(o *registry.Options) { o.TrashWindow = window })
		b.work()
		long := strings.Repeat("0123456789abcdef", 1<<14)
		b.up.image("1", long)
		release := b.slow(len(long))
		_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
		must(t, err)
		_, r, err := b.OpenLayer(alice(t), b.name("quay/app"), digestOf(long))
		must(t, err)
		_, err = b.DeleteRepository(alice(t), b.name("quay/app"), false)
		must(t, err)
		b.notPending()
		release()
		if text, err := io.ReadAll(r); err != nil || string(text) != long { // whose bytes were right
			t.Errorf("%d bytes, error %v", len(text), err)
		}
		must(t, r.Close())
		if _, err := b.Repository(alice(t), b.name("quay/app")); registry.CodeOf(err) != registry.RepositoryNotFound {
			t.Errorf("the repository is there again: %v", err)
		}
		if window > 0 {
			_, err := b.RestoreRepository(alice(t), b.name("quay/app"), b.name("quay/app"))
			must(t, err)
			b.pull(tagged(t, "1"))
			b.eventually(func() error {
				b.pass(time.Minute) // for the worker, which may have failed before
				_, err := b.DescribeImage(alice(t), b.name("quay/app"), tagged(t, "1"))
				return err
			})
		}
	}
}

// Without its rule an image on its way comes no further, which those who pull it are
// told; with one again it does.
func TestRuleDeleted(t *testing.T) {
	b := open(t)
	b.up.image("1", "one")
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	_, err = b.DeletePullThroughRule(alice(t), here, "quay")
	must(t, err)
	_, err = b.read(digestOf("one"))
	wantCode(t, "a layer", err, registry.UpstreamUnavailable)
	_, _, err = b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	wantCode(t, "the manifest", err, registry.ImageNotFound)
	b.rule, err = b.CreatePullThroughRule(alice(t), here, registry.PullThroughRule{Prefix: "quay", UpstreamHost: "quay.io"})
	must(t, err)
	if text, err := b.read(digestOf("one")); text != "one" || err != nil {
		t.Errorf("with the rule: %q (%v)", text, err)
	}
	b.work()
	b.await(tagged(t, "1"))
}

// A list is kept without an image that upstream never gives right.
func TestChildNeverComes(t *testing.T) {
	b := open(t)
	b.work()
	good, bad := b.up.image("", "good"), b.up.image("", "bad")
	list := b.up.index("all", good, bad)
	b.up.set(func() { b.up.blobs[digestOf("bad")] = []byte("BAD") })
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "all"))
	must(t, err)
	b.eventually(func() error {
		b.pass(time.Hour)
		_, _ = b.read(digestOf("bad")) // has the worker look
		img, err := b.DescribeImage(alice(t), b.name("quay/app"), tagged(t, "all"))
		if err == nil && img.Digest != list {
			t.Errorf("the tag names %s", img.Digest)
		}
		return err
	})
	b.notPending()
	_, err = b.DescribeImage(alice(t), b.name("quay/app"), registry.Ref{Digest: bad})
	wantCode(t, "the one that never came", err, registry.ImageNotFound)
	b.up.set(func() { b.up.blobs[digestOf("bad")] = []byte("bad") })
	b.pull(registry.Ref{Digest: bad})
	b.await(registry.Ref{Digest: bad})
}

// Of a list that is longer than any, nothing is brought but what is pulled.
func TestLongList(t *testing.T) {
	b := open(t)
	b.work()
	pulled := b.up.image("", "pulled")
	images := []digest.Digest{pulled}
	for i := range 1000 {
		images = append(images, digestOf(fmt.Sprint(i)))
	}
	list := b.up.index("all", images...)
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "all"))
	must(t, err)
	if got := b.await(tagged(t, "all")); got.Digest != list {
		t.Errorf("the tag names %s", got.Digest)
	}
	if n := b.up.count("manifest app " + pulled.String()); n != 0 {
		t.Errorf("an image of the list was fetched %d times", n)
	}
	b.pull(registry.Ref{Digest: pulled})
	b.await(registry.Ref{Digest: pulled})
}

// A list of lists brings all images.
func TestListOfLists(t *testing.T) {
	b := open(t)
	b.work()
	inner := b.up.index("", b.up.image("", "one"), b.up.image("", "two"))
	b.up.index("all", inner, b.up.image("", "three"))
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "all"))
	must(t, err)
	b.await(tagged(t, "all"))
	for _, layer := range []string{"one", "two", "three"} {
		if text, err := b.read(digestOf(layer)); text != layer || err != nil {
			t.Errorf("%s is %q (%v)", layer, text, err)
		}
	}
	b.notPending()
}

// A layer of two images on their way is fetched once, and one that a client pushes
// meanwhile is good for them too.
func TestLayerOfTwo(t *testing.T) {
	b := open(t)
	long := strings.Repeat("0123456789abcdef", 1<<14)
	b.up.image("1", long, "one")
	b.up.image("2", long, "two")
	release := b.slow(len(long))
	for _, tag := range []string{"1", "2"} {
		_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, tag))
		must(t, err)
	}
	b.work()
	_, r, err := b.OpenLayer(alice(t), b.name("quay/app"), digestOf(long))
	must(t, err)
	b.upload(long)
	release()
	text, err := io.ReadAll(r)
	if err != nil || string(text) != long {
		t.Errorf("%d bytes, error %v", len(text), err)
	}
	must(t, r.Close())
	b.await(tagged(t, "1"))
	b.await(tagged(t, "2"))
	if n := b.up.count("blob " + digestOf(long).String()); n != 1 {
		t.Errorf("the layer was fetched %d times", n)
	}
}

// Any part of a layer on its way can be read, the last bytes when all have come.
func TestRanges(t *testing.T) {
	b := open(t)
	long := strings.Repeat("0123456789abcdef", 1<<14)
	b.up.image("1", long)
	release := b.slow(len(long))
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	_, r, err := b.OpenLayer(alice(t), b.name("quay/app"), digestOf(long))
	must(t, err)
	defer r.Close()
	part := func(offset int64, whence int) string {
		_, err := r.Seek(offset, whence)
		must(t, err)
		got := make([]byte, 10)
		_, err = io.ReadFull(r, got)
		must(t, err)
		return string(got)
	}
	if got := part(100, io.SeekStart); got != long[100:110] {
		t.Errorf("bytes 100 to 109 are %q", got)
	}
	if got := part(-50, io.SeekCurrent); got != long[60:70] {
		t.Errorf("bytes 60 to 69 are %q", got)
	}
	release()
	if got := part(-10, io.SeekEnd); got != long[len(long)-10:] {
		t.Errorf("the last bytes are %q", got)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d bytes, error %v", n, err)
	}
}

// Who asks for a layer that upstream fails to give is told that it is not there, so that
// a push sends it.
func TestPushOfWhatDoesNotCome(t *testing.T) {
	b := open(t)
	b.up.image("1", "one")
	n := b.name("quay/app")
	_, _, err := b.Manifest(alice(t), n, tagged(t, "1"))
	must(t, err)
	l, err := b.PresentLayer(alice(t), n, digestOf("one"))
	must(t, err)
	if !l.Referenced || l.Doubtful || l.Size != 3 {
		t.Errorf("a layer that is to come: %+v", l)
	}
	b.up.set(func() { b.up.err = &peer.Error{Host: "quay.io", Status: 503} })
	_, err = b.read(digestOf("one"))
	wantCode(t, "a layer", err, registry.UpstreamUnavailable)
	b.eventually(func() error {
		_, err := b.PresentLayer(alice(t), n, digestOf("one"))
		if registry.CodeOf(err) != registry.LayerNotFound {
			return fmt.Errorf("a layer that did not come: %v", err)
		}
		return nil
	})
	own := b.push("own", "one")
	if img, _ := b.pull(tagged(t, "own")); img.Digest != own {
		t.Errorf("the tag names %s", img.Digest)
	}
	b.up.set(func() { b.up.err = nil })
	b.work()
	b.await(tagged(t, "1"))
}

// A push of an image whose layers are on their way waits for them.
func TestPushWaits(t *testing.T) {
	b := open(t)
	b.work()
	long := strings.Repeat("0123456789abcdef", 1<<14)
	b.up.image("1", long)
	release := b.slow(len(long))
	n := b.name("quay/app")
	_, body, err := b.Manifest(alice(t), n, tagged(t, "1"))
	must(t, err)
	done := make(chan error)
	go func() {
		_, err := b.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tagged(t, "own").Tag}, Body: body})
		done <- err
	}()
	release()
	must(t, <-done)
	b.await(tagged(t, "own"))
}

// A layer that is on its way is not mounted: another repository has no right to it.
func TestMount(t *testing.T) {
	b := open(t)
	b.up.image("1", "one")
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	_, err = b.CreateRepository(alice(t), b.name("other"), registry.Settings{})
	must(t, err)
	for _, from := range []registry.Name{b.name("quay/app"), {}} {
		_, err = b.Mount(alice(t), b.name("other"), digestOf("one"), registry.Mount{From: from, MayRead: func(context.Context, registry.Name) bool { return true }})
		wantCode(t, "a mount", err, registry.LayerNotFound)
	}
	_, _, err = b.OpenLayer(alice(t), b.name("other"), digestOf("one"))
	wantCode(t, "the layer from another repository", err, registry.LayerNotFound)
}

// What an image on its way needs of layers stays, however long it takes.
func TestCollect(t *testing.T) {
	b := open(t)
	b.up.image("1", "one", "two")
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	_, err = b.read(digestOf("one"))
	must(t, err)
	b.eventually(func() error { // it is kept after its last byte was read
		_, err := b.PresentLayer(alice(t), b.name("quay/app"), digestOf("one"))
		return err
	})
	for range 3 {
		b.pass(48 * time.Hour)
		must(t, b.Collect(alice(t)))
	}
	b.work()
	b.await(tagged(t, "1"))
	if n := b.up.count("blob " + digestOf("one").String()); n != 1 {
		t.Errorf("a layer was fetched %d times", n)
	}
}

// A first pull counts as one of the image that it brings.
func TestPullTime(t *testing.T) {
	b := open(t)
	b.up.image("1", "one")
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	b.work()
	b.await(tagged(t, "1"))
	must(t, b.FlushPulls(alice(t)))
	if img := b.await(tagged(t, "1")); !img.PulledAt.Equal(b.clock()) {
		t.Errorf("pulled at %v", img.PulledAt)
	}
}

// full has no room for layers until it is told to.
type full struct {
	storage.Blobs
	room bool
}

func (f *full) Append(ctx context.Context, id string, off int64, r io.Reader) (int64, error) {
	if f.room {
		return f.Blobs.Append(ctx, id, off, r)
	}
	n, err := f.Blobs.Append(ctx, id, off, io.LimitReader(r, 1))
	if err == nil {
		err = fmt.Errorf("write: %w", storage.ErrFull)
	}
	return n, err
}

// Where the store has no room, or no more is allowed, a pull is refused for that reason,
// and nothing half stays.
func TestNoRoom(t *testing.T) {
	blobs := &full{Blobs: memory.NewBlobs()}
	b := open(t, func(o *registry.Options) { o.Blobs = blobs })
	b.up.image("1", "one")
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	_, err = b.read(digestOf("one"))
	wantCode(t, "a full store", err, registry.StoreFull)
	for id, err := range blobs.List(t.Context(), "") {
		t.Errorf("%v stayed (%v)", id, err)
	}
	blobs.room = true
	b.work()
	b.await(tagged(t, "1"))

	b = open(t, func(o *registry.Options) { o.Limits.RepositoryBytes = 100 })
	b.up.image("1", strings.Repeat("x", 200))
	_, _, err = b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	_, err = b.read(digestOf(strings.Repeat("x", 200)))
	wantCode(t, "over the quota", err, registry.QuotaExceeded)
}

// Layers that lie elsewhere by their type are not asked for.
func TestForeignLayers(t *testing.T) {
	b := open(t)
	b.work()
	b.up.set(func() {
		foreign := b.up.blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", []byte("elsewhere"))
		foreign.URLs = []string{"https://example.com/layer"}
		delete(b.up.blobs, digestOf("elsewhere"))
		const image = "application/vnd.docker.distribution.manifest.v2+json"
		b.up.put("1", v1.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image,
			Config: b.up.blob("application/vnd.docker.container.image.v1+json", []byte("{}")),
			Layers: []v1.Descriptor{foreign, b.up.blob("application/vnd.docker.image.rootfs.diff.tar.gzip", []byte("one"))},
		})
	})
	_, body, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	if !bytes.Contains(body, []byte("https://example.com/layer")) {
		t.Errorf("the manifest is %s", body)
	}
	b.await(tagged(t, "1"))
	if n := b.up.count("blob " + digestOf("elsewhere").String()); n != 0 {
		t.Errorf("it was asked for %d times", n)
	}
}

// A tag and a digest together get the image if the tag names it, and set the tag.
func TestTagAndDigest(t *testing.T) {
	b := open(t)
	b.work()
	d := b.up.image("1", "one")
	ref := tagged(t, "1")
	ref.Digest = digestOf("another")
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), ref)
	wantCode(t, "another digest", err, registry.TagMismatch)
	ref.Digest = d
	b.pull(ref)
	if got := b.await(tagged(t, "1")); got.Digest != d {
		t.Errorf("the tag names %s", got.Digest)
	}
	b.pull(ref)
	if n := b.up.count("manifest app 1"); n != 1 {
		t.Errorf("the manifest was fetched %d times", n)
	}
}

// One referrer that upstream does not have keeps no other away, and a subject that it
// does not have is no fault.
func TestReferrerMissing(t *testing.T) {
	b := open(t)
	b.work()
	d := b.up.image("1", "one")
	b.pull(tagged(t, "1"))
	b.await(tagged(t, "1"))
	subject := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d.OCI(), Size: int64(len(b.up.manifests[d.String()]))}
	b.up.set(func() {
		there := b.up.put("", v1.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: "application/x.sbom",
			Config: b.up.blob(v1.MediaTypeEmptyJSON, []byte("{}")), Layers: []v1.Descriptor{b.up.blob("text/plain", []byte("parts"))}, Subject: &subject,
		})
		b.up.referrers[d] = []peer.Descriptor{{Digest: digestOf("gone")}, {Digest: there}}
	})
	for range 2 {
		list, _, err := b.Service.Referrers(alice(t), b.name("quay/app"), d, registry.ReferrerFilter{}, "", 10)
		must(t, err)
		if len(list) != 1 || list[0].ArtifactType != "application/x.sbom" {
			t.Errorf("referrers %+v", list)
		}
	}
	if n := b.up.count("referrers " + d.String()); n != 1 {
		t.Errorf("upstream was asked %d times", n)
	}
}
