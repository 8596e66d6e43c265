package mirror_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/storage/memory"
)

func digestOf(s string) digest.Digest { return digest.FromBytes(digest.SHA256, []byte(s)) }

// Of a layer that is not what its digest says nothing is kept, and who reads it gets an
// error before its last byte; an event tells.
func TestWrongLayer(t *testing.T) {
	long := strings.Repeat("layer ", 50_000)
	for what, wrong := range map[string]string{
		"another byte":   long[:len(long)-1] + "X",
		"a byte less":    long[:len(long)-1],
		"a byte more":    long + "X",
		"nothing at all": "",
	} {
		for _, told := range []bool{true, false} {
			b := open(t)
			b.up.image("1", long)
			b.up.set(func() {
				b.up.open = func(_ context.Context, content []byte, from int64) (io.ReadCloser, int64) {
					size := int64(-1)
					if len(content) == len(long) {
						content = []byte(wrong)
					}
					if told {
						size = int64(len(content))
					}
					return io.NopCloser(bytes.NewReader(content[min(from, int64(len(content))):])), size
				}
			})
			_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
			must(t, err)
			got, err := b.read(digestOf(long))
			if err == nil || len(got) >= len(long) {
				t.Errorf("%s: %d bytes were read, error %v", what, len(got), err)
			}
			b.eventually(func() error {
				if list := b.syncs(); len(list) == 0 || list[0] != "FAILED " {
					return fmt.Errorf("%s: events %q", what, list)
				}
				return nil
			})
			b.up.set(func() { b.up.open = nil })
			if got, err := b.read(digestOf(long)); got != long || err != nil {
				t.Errorf("%s: then %d bytes were read, error %v", what, len(got), err)
			}
		}
	}
}

// A manifest that is not what its digest says is not kept.
func TestWrongManifest(t *testing.T) {
	b := open(t)
	d := b.up.image("1", "one")
	other := b.up.image("2", "two")
	b.up.set(func() { b.up.manifests[d.String()] = b.up.manifests[other.String()] })
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), registry.Ref{Digest: d})
	wantCode(t, "other bytes", err, registry.UpstreamUnavailable)
	b.up.set(func() { b.up.mediaType = v1.MediaTypeImageIndex })
	_, _, err = b.Manifest(alice(t), b.name("quay/app"), tagged(t, "2"))
	wantCode(t, "another type than its own", err, registry.UpstreamUnavailable)
	_, err = b.Repository(alice(t), b.name("quay/app"))
	wantCode(t, "a repository for nothing", err, registry.RepositoryNotFound)
	if list := b.syncs(); !slices.Equal(list, []string{"FAILED ", "FAILED 2"}) {
		t.Errorf("events %q", list)
	}
}

// broken is a body that breaks off.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = &peer.Error{Host: "quay.io", Message: "connection reset"}
	}
	return n, err
}

// A body that breaks off is gone on with where it broke.
func TestBreaks(t *testing.T) {
	b := open(t)
	b.work()
	long := strings.Repeat("layer ", 50_000)
	b.up.image("1", long)
	b.up.set(func() {
		b.up.open = func(_ context.Context, content []byte, from int64) (io.ReadCloser, int64) {
			end := min(from+100_000, int64(len(content)))
			return io.NopCloser(broken{bytes.NewReader(content[from:end])}), int64(len(content))
		}
	})
	_, layers := b.pull(tagged(t, "1"))
	if layers[digestOf(long)] != long {
		t.Error("the layer is another one")
	}
	if n := b.up.count("blob " + digestOf(long).String()); n != 4 && n != 3 {
		t.Errorf("it was asked for %d times", n)
	}
	b.await(tagged(t, "1"))
}

// gated gives the rest of a body when it is opened.
type gated struct {
	first, rest io.Reader
	open        chan struct{}
	ctx         context.Context
}

func (g *gated) Read(p []byte) (int, error) {
	if n, err := g.first.Read(p); err == nil {
		return n, nil
	}
	select {
	case <-g.open:
		return g.rest.Read(p)
	case <-g.ctx.Done():
		return 0, g.ctx.Err()
	}
}

// slow has the upstream give its large layers but for the last bytes until it is opened.
func (b *bench) slow(large int) (release func()) {
	opened := make(chan struct{})
	b.up.set(func() {
		b.up.open = func(ctx context.Context, content []byte, from int64) (io.ReadCloser, int64) {
			size := int64(len(content))
			content = content[from:]
			if len(content) < large {
				return io.NopCloser(bytes.NewReader(content)), size
			}
			head := content[:len(content)-10]
			return io.NopCloser(&gated{bytes.NewReader(head), bytes.NewReader(content[len(head):]), opened, ctx}), size
		}
	})
	return sync.OnceFunc(func() { close(opened) })
}

// Hundreds of clients that pull a layer while it comes cost one fetch, are given bytes
// before all have come, and get the right ones.
func TestManyClients(t *testing.T) {
	b := open(t)
	b.work()
	long := strings.Repeat("0123456789abcdef", 1<<14)
	b.up.image("1", long, "small")
	release := b.slow(len(long))
	defer release()
	var all, begun sync.WaitGroup
	const clients = 200
	begun.Add(clients)
	for range clients {
		all.Go(func() {
			_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
			if err != nil {
				t.Error(err)
			}
			_, r, err := b.OpenLayer(alice(t), b.name("quay/app"), digestOf(long))
			if err != nil {
				t.Error(err)
				begun.Done()
				return
			}
			defer r.Close()
			head := make([]byte, len(long)/2)
			_, err = io.ReadFull(r, head)
			begun.Done()
			if err != nil {
				t.Error(err)
				return
			}
			rest, err := io.ReadAll(r)
			if string(head)+string(rest) != long || err != nil {
				t.Errorf("%d bytes, error %v", len(head)+len(rest), err)
			}
		})
	}
	begun.Wait()
	release()
	all.Wait()
	b.await(tagged(t, "1"))
	for _, l := range []string{long, "small", "{}"} {
		if n := b.up.count("blob " + digestOf(l).String()); n != 1 {
			t.Errorf("a layer of %d bytes was fetched %d times", len(l), n)
		}
	}
	if n := b.up.count("manifest app 1"); n != 1 {
		t.Errorf("the manifest was fetched %d times", n)
	}
}

// A server that stops in the midst of a layer goes on when it is started again, by
// itself.
func TestRestart(t *testing.T) {
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	first := open(t, func(use *registry.Options) { *use = o })
	end := first.work()
	long := strings.Repeat("0123456789abcdef", 1<<14)
	first.up.image("1", long)
	defer first.slow(len(long))()
	_, _, err := first.Manifest(alice(t), first.name("quay/app"), tagged(t, "1"))
	must(t, err)
	_, r, err := first.OpenLayer(alice(t), first.name("quay/app"), digestOf(long))
	must(t, err)
	_, err = io.ReadFull(r, make([]byte, 1000))
	must(t, err)
	end()
	if _, err := io.ReadAll(r); err == nil {
		t.Error("a layer that broke off was read to its end")
	}
	must(t, r.Close())
	if _, err := first.DescribeImage(alice(t), first.name("quay/app"), tagged(t, "1")); registry.CodeOf(err) != registry.ImageNotFound {
		t.Errorf("half an image: %v", err)
	}
	first.up.set(func() { first.up.open = nil })
	second := reopen(t, first.up, o.Index, o.Blobs, registry.Options{})
	second.work()
	second.await(tagged(t, "1"))
	if _, layers := second.pull(tagged(t, "1")); layers[digestOf(long)] != long {
		t.Error("the layer is another one")
	}
}

// Who goes away in the midst does not take the layer from others.
func TestClientGone(t *testing.T) {
	b := open(t)
	b.work()
	long := strings.Repeat("0123456789abcdef", 1<<14)
	b.up.image("1", long)
	release := b.slow(len(long))
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	ctx, cancel := context.WithCancel(alice(t))
	_, r, err := b.OpenLayer(ctx, b.name("quay/app"), digestOf(long))
	must(t, err)
	cancel()
	if got, err := io.ReadAll(r); err == nil || len(got) == len(long) {
		t.Errorf("%d bytes and no error after the request's end", len(got))
	}
	must(t, r.Close())
	release()
	b.await(tagged(t, "1"))
	if n := b.up.count("blob " + digestOf(long).String()); n != 1 {
		t.Errorf("the layer was fetched %d times", n)
	}
}
