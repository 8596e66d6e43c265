package mirror_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/mirror"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

var here = registry.ID{Account: "000000000000", Region: "us-east-1"}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// upstream is a registry of one repository that does as it is told, and counts what it is
// asked for.
type upstream struct {
	mu        sync.Mutex
	manifests map[string][]byte // by digest
	tags      map[string]digest.Digest
	blobs     map[digest.Digest][]byte
	referrers map[digest.Digest][]peer.Descriptor
	asked     map[string]int
	mediaType string                                                      // of manifests, whatever they say; "" is their own
	err       error                                                       // of all
	open      func(context.Context, []byte, int64) (io.ReadCloser, int64) // how a blob is given; nil means whole
}

func newUpstream() *upstream {
	return &upstream{
		manifests: map[string][]byte{}, tags: map[string]digest.Digest{}, blobs: map[digest.Digest][]byte{},
		referrers: map[digest.Digest][]peer.Descriptor{}, asked: map[string]int{},
	}
}

func (u *upstream) ask(format string, args ...any) error {
	u.asked[fmt.Sprintf(format, args...)]++
	return u.err
}

func (u *upstream) count(what string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked[what]
}

func (u *upstream) set(fn func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	fn()
}

var errNotFound = &peer.Error{Host: "quay.io", Status: 404, Code: "MANIFEST_UNKNOWN"}

func (u *upstream) find(ref string) (peer.Manifest, error) {
	if d, ok := u.tags[ref]; ok {
		ref = d.String()
	}
	body, ok := u.manifests[ref]
	if !ok {
		return peer.Manifest{}, errNotFound
	}
	var m struct{ MediaType string }
	if err := json.Unmarshal(body, &m); err != nil {
		return peer.Manifest{}, err
	}
	if u.mediaType != "" {
		m.MediaType = u.mediaType
	}
	return peer.Manifest{Digest: digest.FromBytes(digest.SHA256, body), MediaType: m.MediaType, Body: body}, nil
}

func (u *upstream) Manifest(_ context.Context, repo, ref string) (peer.Manifest, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.ask("manifest %s %s", repo, ref); err != nil {
		return peer.Manifest{}, err
	}
	return u.find(ref)
}

func (u *upstream) Head(_ context.Context, repo, ref string) (peer.Descriptor, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.ask("head %s %s", repo, ref); err != nil {
		return peer.Descriptor{}, err
	}
	m, err := u.find(ref)
	return peer.Descriptor{Digest: m.Digest, MediaType: m.MediaType, Size: int64(len(m.Body))}, err
}

func (u *upstream) OpenBlob(ctx context.Context, repo string, d digest.Digest, from int64) (io.ReadCloser, int64, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.ask("blob %s", d); err != nil {
		return nil, 0, err
	}
	body, ok := u.blobs[d]
	if !ok {
		return nil, 0, errNotFound
	}
	if u.open != nil {
		r, size := u.open(ctx, body, from)
		return r, size, nil
	}
	return io.NopCloser(bytes.NewReader(body[from:])), int64(len(body)), nil
}

func (u *upstream) Referrers(_ context.Context, repo string, d digest.Digest) ([]peer.Descriptor, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.referrers[d], u.ask("referrers %s", d)
}

func (u *upstream) Ping(context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ask("ping")
}

func (u *upstream) blob(mediaType string, content []byte) v1.Descriptor {
	d := digest.FromBytes(digest.SHA256, content)
	u.blobs[d] = content
	return v1.Descriptor{MediaType: mediaType, Digest: d.OCI(), Size: int64(len(content))}
}

func (u *upstream) put(tag string, v any) digest.Digest {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	d := digest.FromBytes(digest.SHA256, body)
	u.manifests[d.String()] = body
	if tag != "" {
		u.tags[tag] = d
	}
	return d
}

// image puts an image of some layers.
func (u *upstream) image(tag string, layers ...string) digest.Digest {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: u.blob(v1.MediaTypeImageConfig, []byte("{}")),
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, u.blob(v1.MediaTypeImageLayer, []byte(l)))
	}
	return u.put(tag, m)
}

// index puts a list of images.
func (u *upstream) index(tag string, images ...digest.Digest) digest.Digest {
	u.mu.Lock()
	defer u.mu.Unlock()
	x := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for _, d := range images {
		x.Manifests = append(x.Manifests, v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d.OCI(), Size: int64(len(u.manifests[d.String()]))})
	}
	return u.put(tag, x)
}

// bench is a registry with a rule "quay" for an upstream.
type bench struct {
	*registry.Service
	t      testing.TB
	up     *upstream
	mirror *mirror.Mirror
	may    func(auth.Check) error
	rule   registry.PullThroughRule

	mu  sync.Mutex
	now time.Time
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func open(t testing.TB, change ...func(*registry.Options)) *bench {
	t.Helper()
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	for _, c := range change {
		c(&o)
	}
	b := reopen(t, newUpstream(), o.Index, o.Blobs, o)
	var err error
	b.rule, err = b.CreatePullThroughRule(alice(t), here, registry.PullThroughRule{Prefix: "quay", UpstreamHost: "quay.io"})
	must(t, err)
	return b
}

// reopen is a registry over what there was.
func reopen(t testing.TB, up *upstream, index storage.Index, blobs storage.Blobs, o registry.Options) *bench {
	t.Helper()
	b := &bench{t: t, up: up, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), may: func(auth.Check) error { return nil }}
	o.Index, o.Blobs, o.Now = index, blobs, b.clock
	var err error
	b.Service, err = registry.New(t.Context(), o)
	must(t, err)
	b.mirror, err = mirror.New(mirror.Options{
		Registry: b.Service, Now: b.clock,
		Authorizer: auth.AuthorizerFunc(func(_ context.Context, c auth.Check) error { return b.may(c) }),
		Open:       func(registry.PullThroughRule) (mirror.Upstream, error) { return up, nil },
	})
	must(t, err)
	b.SetMirror(b.mirror)
	t.Cleanup(func() {
		b.mirror.Close()
		for f, err := range b.Check(context.Background(), registry.Check{Hash: true}) {
			t.Errorf("rows do not agree: %v (%v)", f, err)
		}
	})
	return b
}

// work starts the worker, and returns what ends it and waits for that.
func (b *bench) work() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.mirror.Run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(end)
	return end
}

func alice(t testing.TB) context.Context {
	return auth.WithPrincipal(t.Context(), auth.Principal{Account: here.Account, ARN: "arn:aws:iam::000000000000:user/alice"})
}

func (b *bench) name(path string) registry.Name {
	b.t.Helper()
	n, err := registry.ParseName(here, path)
	must(b.t, err)
	return n
}

func tagged(t testing.TB, tag string) registry.Ref {
	t.Helper()
	parsed, err := registry.ParseTag(tag)
	must(t, err)
	return registry.Ref{Tag: parsed}
}

// pull pulls an image of "quay/app" with all its layers.
func (b *bench) pull(ref registry.Ref) (registry.Image, map[digest.Digest]string) {
	b.t.Helper()
	img, body, err := b.Manifest(alice(b.t), b.name("quay/app"), ref)
	must(b.t, err)
	if got := digest.FromBytes(digest.SHA256, body); got != img.Digest {
		b.t.Fatalf("manifest %s is called %s", got, img.Digest)
	}
	var m v1.Manifest
	must(b.t, json.Unmarshal(body, &m))
	got := map[digest.Digest]string{}
	for _, l := range append(m.Layers, m.Config) {
		d, err := digest.Parse(l.Digest.String())
		must(b.t, err)
		text, err := b.read(d)
		must(b.t, err)
		got[d] = text
	}
	return img, got
}

// read reads a layer of "quay/app".
func (b *bench) read(d digest.Digest) (string, error) {
	_, r, err := b.OpenLayer(alice(b.t), b.name("quay/app"), d)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

// await waits until "quay/app" has an image.
func (b *bench) await(ref registry.Ref) registry.Image {
	b.t.Helper()
	var img registry.Image
	b.eventually(func() (err error) {
		img, err = b.DescribeImage(alice(b.t), b.name("quay/app"), ref)
		return err
	})
	return img
}

// eventually waits until fn has no error.
func (b *bench) eventually(fn func() error) {
	b.t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		err := fn()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			b.t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// syncs are the events that tell of upstreams, as "status tag".
func (b *bench) syncs() (list []string) {
	b.t.Helper()
	page, err := b.Events(alice(b.t), 0, 100_000)
	must(b.t, err)
	for _, e := range page {
		if e.Kind != registry.UpstreamAsked {
			continue
		}
		var d registry.SyncDetail
		must(b.t, json.Unmarshal(e.Detail, &d))
		if d.Prefix != "quay" || d.Upstream != "quay.io" {
			b.t.Errorf("event of %+v", d)
		}
		list = append(list, d.Status+" "+e.Tag.String())
	}
	return list
}

func wantCode(t testing.TB, what string, err error, code registry.Code) {
	t.Helper()
	if got := registry.CodeOf(err); got != code {
		t.Errorf("%s: %v (%q), want %q", what, err, got, code)
	}
}

// key is the rule of a bench.
var key = mirror.Rule{Registry: here, Prefix: "quay"}

var errBroken = errors.New("broken")
