package registry_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

const kib = 1 << 10

func bytesOf(n int, fill string) string { return strings.Repeat(fill, n) }

// known is a part whose length is told.
func known(content string) registry.Part {
	p := stream(content)
	p.Length = int64(len(content))
	return p
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("a body was read that was refused by its length")
	return 0, io.EOF
}

func limited(t testing.TB, l registry.Limits) (*registry.Service, *memory.Blobs, registry.Name) {
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Blobs: blobs, Limits: l})
	return s, blobs, create(t, s, "team/app")
}

// used is what a quota on bytes is held against, but for open uploads.
func used(t testing.TB, s *registry.Service, n registry.Name) int64 {
	t.Helper()
	of, err := s.RepositorySizes(alice(t), n)
	must(t, err)
	return of.Logical + of.Pending
}

func TestQuotaByLength(t *testing.T) {
	s, blobs, n := limited(t, registry.Limits{RepositoryBytes: 10 * kib})
	id := start(t, s, n)
	for _, whole := range []bool{false, true} {
		u, err := s.AppendUpload(alice(t), n, id, registry.Part{Offset: -1, Length: 10*kib + 1, Body: unread{t}, Whole: whole})
		wantCode(t, "too long a part", err, registry.QuotaExceeded)
		if u.Offset != 0 || blobCount(t, blobs) != 0 {
			t.Errorf("the upload stands at %d, %d blobs", u.Offset, blobCount(t, blobs))
		}
	}
	_, err := s.AppendUpload(alice(t), n, id, known(bytesOf(10*kib, "x")))
	must(t, err)
	_, err = s.StartUpload(alice(t), n, registry.NewUpload{})
	e := wantCode(t, "an upload where nothing has room", err, registry.QuotaExceeded)
	if e != nil && (e.Limit != 10*kib || e.Field != "repository") {
		t.Errorf("limit %d of %q", e.Limit, e.Field)
	}
	must(t, s.CancelUpload(alice(t), n, id))
	start(t, s, n)
}

// TestQuotaByBytes of a body that does not say how long it is: what went beyond is
// dropped with the rest of the request, and the upload goes on from before.
func TestQuotaByBytes(t *testing.T) {
	const limit = 20 << 20 // two slices and a half
	s, blobs, n := limited(t, registry.Limits{RepositoryBytes: limit})
	id := start(t, s, n)
	send(t, s, n, id, "before")
	u, err := s.AppendUpload(alice(t), n, id, stream(bytesOf(limit, "x")))
	wantCode(t, "too long a stream", err, registry.QuotaExceeded)
	if u.Offset != int64(len("before")) {
		t.Errorf("the upload stands at %d", u.Offset)
	}
	for b, err := range blobs.List(context.Background(), "") {
		if must(t, err); b.Size > int64(len("before")) {
			t.Errorf("%d bytes are kept", b.Size)
		}
	}
	send(t, s, n, id, bytesOf(limit-6, "y"))
	_, err = finish(t, s, n, id, sha256Of([]byte("before"+bytesOf(limit-6, "y"))))
	must(t, err)
	if got := used(t, s, n); got != limit {
		t.Errorf("%d bytes are used, want %d", got, limit)
	}
}

// TestQuotaIsNotPassedTogether by many at once, each of which would fit alone.
func TestQuotaIsNotPassedTogether(t *testing.T) {
	for what, length := range map[string]bool{"told": true, "not told": false} {
		t.Run(what, func(t *testing.T) {
			s, _, n := limited(t, registry.Limits{RepositoryBytes: 10 * kib})
			var done sync.WaitGroup
			var kept atomic.Int64
			for i := range 8 {
				done.Go(func() {
					content := bytesOf(6*kib, string(rune('a'+i)))
					u, err := s.StartUpload(alice(t), n, registry.NewUpload{})
					if err != nil {
						wantCode(t, "start", err, registry.QuotaExceeded)
						return
					}
					p := stream(content)
					if length {
						p = known(content)
					}
					if _, err = s.AppendUpload(alice(t), n, u.ID, p); err == nil {
						_, err = finish(t, s, n, u.ID, sha256Of([]byte(content)))
					}
					if err == nil {
						kept.Add(1)
						return
					}
					wantCode(t, "append", err, registry.QuotaExceeded)
				})
			}
			done.Wait()
			if kept.Load() != 1 || used(t, s, n) > 10*kib {
				t.Errorf("%d uploads are kept, %d bytes used", kept.Load(), used(t, s, n))
			}
		})
	}
}

// TestQuotaOnImages: each counts its layers, and what a manifest adds must fit too.
func TestQuotaOnImages(t *testing.T) {
	s, _, n := limited(t, registry.Limits{RepositoryBytes: 10 * kib})
	layer := addLayer(t, s, n, bytesOf(4*kib, "x"))
	m := v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{layer}}
	first := put(t, s, n, "1", imageOf(t, m))
	m.Annotations = map[string]string{"n": "2"}
	put(t, s, n, "2", imageOf(t, m))
	before := used(t, s, n)
	m.Annotations["n"] = "3"
	_, err := s.PutImage(alice(t), n, registry.Push{Body: imageOf(t, m), Tags: []registry.Tag{tag(t, "3")}})
	wantCode(t, "a third image", err, registry.QuotaExceeded)
	if got := used(t, s, n); got != before {
		t.Errorf("%d bytes are used, %d before", got, before)
	}
	put(t, s, n, "again", imageOf(t, v1.Manifest{Config: m.Config, Layers: m.Layers})) // nothing new
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: first.Digest}, nil)
	must(t, err)
	put(t, s, n, "3", imageOf(t, m))
}

// TestQuotaOfARegistry is on all repositories together, and on images that are mounted
// or brought as replicas.
func TestQuotaOfARegistry(t *testing.T) {
	s, _, n := limited(t, registry.Limits{})
	addImage(t, s, n, "1", bytesOf(4*kib, "x"))
	other := create(t, s, "team/other")
	s.Configure(registry.Options{Limits: registry.Limits{RegistryBytes: used(t, s, n) + 3*kib}})
	_, err := s.Mount(alice(t), other, sha256Of([]byte(bytesOf(4*kib, "x"))), registry.Mount{From: n, MayRead: anyone})
	if e := wantCode(t, "a mount", err, registry.QuotaExceeded); e != nil && e.Field != "registry" {
		t.Errorf("the quota is of the %s", e.Field)
	}
	if got := used(t, s, other); got != 0 {
		t.Errorf("%d bytes are used", got)
	}
	_, err = s.AppendUpload(alice(t), other, start(t, s, other), known(bytesOf(4*kib, "y")))
	wantCode(t, "an upload", err, registry.QuotaExceeded)
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	put(t, s, n, "small", imageOf(t, v1.Manifest{Config: addConfig(t, s, n)}))
	s.Configure(registry.Options{Limits: registry.Limits{RegistryBytes: 100}})
	bringAll(t, s)
	sameStates(t, "small", states(t, s, n, tagged(t, "small")), map[registry.ID]string{west: "FAILEDLimitExceeded"})
}

func TestQuotaOnTheImagesOfARegistry(t *testing.T) {
	s, _, n := limited(t, registry.Limits{RegistryImages: 2})
	other := create(t, s, "team/other")
	addImage(t, s, n, "1", "one")
	two := addImage(t, s, other, "2", "two")
	m := imageOf(t, v1.Manifest{Config: addConfig(t, s, n)})
	_, err := s.PutImage(alice(t), n, registry.Push{Body: m})
	wantCode(t, "a third image", err, registry.TooManyInRegistry)
	_, err = s.DeleteImage(alice(t), other, registry.Ref{Digest: two.Digest}, nil)
	must(t, err)
	put(t, s, n, "3", m)
}

// TestTheTrashIsInNoQuota, and what comes back from it must fit again.
func TestTheTrashIsInNoQuota(t *testing.T) {
	c := registry.Options{TrashWindow: time.Hour, Limits: registry.Limits{RepositoryBytes: 10 * kib}}
	s := open(t, c)
	n := create(t, s, "team/app")
	old := addImage(t, s, n, "old", bytesOf(6*kib, "x"))
	_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: old.Digest}, nil)
	must(t, err)
	addImage(t, s, n, "new", bytesOf(6*kib, "y"))
	_, err = s.RestoreImage(alice(t), n, registry.Ref{Digest: old.Digest})
	wantCode(t, "restore", err, registry.QuotaExceeded)
	of, err := s.RepositorySizes(alice(t), n)
	must(t, err)
	if of.TrashImages != 1 || of.Trash < 6*kib || of.Images != 1 {
		t.Errorf("sizes %+v", of)
	}
}

// TestQuotaOfRepositoriesThatComeBack holds for the whole of what comes back.
func TestQuotaOfRepositoriesThatComeBack(t *testing.T) {
	c := registry.Options{TrashWindow: time.Hour}
	s := open(t, c)
	n := create(t, s, "team/app")
	addImage(t, s, n, "old", bytesOf(6*kib, "x"))
	_, err := s.DeleteRepository(alice(t), n, true)
	must(t, err)
	c.Limits.RegistryBytes = 5 * kib
	s.Configure(c)
	_, err = s.RestoreRepository(alice(t), n, registry.Name{})
	wantCode(t, "restore", err, registry.QuotaExceeded)
	c.Limits = registry.Limits{RegistryImages: 1}
	s.Configure(c)
	_, err = s.RestoreRepository(alice(t), n, registry.Name{})
	must(t, err)
}

// TestRefusedUploadsAreAsBefore after a restart too: what was committed on the way is
// taken back.
func TestRefusedUploadsAreAsBefore(t *testing.T) {
	index, blobs := memory.NewIndex(), memory.NewBlobs()
	o := registry.Options{Index: index, Blobs: blobs, Limits: registry.Limits{RepositoryBytes: 20 << 20}}
	s := open(t, o)
	n := create(t, s, "team/app")
	u, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
	must(t, err)
	_, err = s.AppendUpload(alice(t), n, u.ID, registry.Part{Offset: -1, Length: -1, Body: io.MultiReader(
		bytes.NewReader(make([]byte, 17<<20)), bytes.NewReader(make([]byte, 17<<20)),
	)})
	wantCode(t, "too long a stream", err, registry.QuotaExceeded)
	must(t, s.Close(context.Background()))
	s = open(t, o)
	got, err := s.Upload(alice(t), n, u.ID)
	must(t, err)
	if got.Offset != 0 {
		t.Errorf("the upload stands at %d", got.Offset)
	}
	send(t, s, n, u.ID, bytesOf(20<<20, "z"))
}
