package replicate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/replicate"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

var (
	here = registry.ID{Account: "000000000000", Region: "us-east-1"}
	west = registry.ID{Account: "000000000000", Region: "us-west-2"}
	east = registry.ID{Account: "000000000000", Region: "eu-west-1"}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func alice(t testing.TB) context.Context {
	return auth.WithPrincipal(t.Context(), auth.Principal{Account: here.Account, ARN: "arn:aws:iam::000000000000:user/alice"})
}

// open makes a service with a registry whose images go to these registries.
func open(t testing.TB, index storage.Index, to ...registry.ID) *registry.Service {
	t.Helper()
	s := reopen(t, index)
	must(t, s.PutReplication(alice(t), here, registry.Replication{Rules: []registry.ReplicationRule{{Destinations: to}}}))
	return s
}

// reopen makes a service over an index that there was. Its layers have no bytes, which
// replication does not read.
func reopen(t testing.TB, index storage.Index) *registry.Service {
	t.Helper()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs(), CreateOnPush: registry.CreateAlways})
	must(t, err)
	return s
}

func worker(t testing.TB, r replicate.Registry) *replicate.Worker {
	t.Helper()
	w, err := replicate.New(replicate.Options{Registry: r})
	must(t, err)
	return w
}

func nameIn(t testing.TB, id registry.ID, path string) registry.Name {
	t.Helper()
	n, err := registry.ParseName(id, path)
	must(t, err)
	return n
}

func ref(t testing.TB, tag string) registry.Ref {
	t.Helper()
	parsed, err := registry.ParseTag(tag)
	must(t, err)
	return registry.Ref{Tag: parsed}
}

// push stores an image of one layer under a tag.
func push(t testing.TB, s *registry.Service, path, tag string) registry.Image {
	t.Helper()
	n, content := nameIn(t, here, path), path+" "+tag
	u, err := s.StartUpload(alice(t), n, registry.NewUpload{MayCreate: true})
	must(t, err)
	_, err = s.AppendUpload(alice(t), n, u.ID, registry.Part{Offset: -1, Length: -1, Body: strings.NewReader(content)})
	must(t, err)
	d := digest.FromBytes(digest.SHA256, []byte(content))
	_, err = s.FinishUpload(alice(t), n, u.ID, registry.Finish{Digests: []digest.Digest{d}})
	must(t, err)
	layer := fmt.Sprintf(`{"mediaType":"application/octet-stream","digest":%q,"size":%d}`, d, len(content))
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, manifest.MediaTypeOCIManifest, layer, layer)
	done, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{ref(t, tag).Tag}, Body: []byte(body)})
	must(t, err)
	return done.Image
}

// retag gives a tagged image another tag.
func retag(t testing.TB, s *registry.Service, path, from, to string) registry.Image {
	t.Helper()
	n := nameIn(t, here, path)
	_, body, err := s.Manifest(alice(t), n, ref(t, from))
	must(t, err)
	done, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{ref(t, to).Tag}, Body: body})
	must(t, err)
	return done.Image
}

// state is how far a tagged image has come on its way to a registry.
func state(t testing.TB, s *registry.Service, path, tag string, to registry.ID) registry.ReplicationStatus {
	t.Helper()
	list, err := s.ReplicationStatuses(alice(t), nameIn(t, here, path), ref(t, tag))
	must(t, err)
	for _, status := range list {
		if status.To == to {
			return status
		}
	}
	return registry.ReplicationStatus{}
}

// wantCopy fails the test unless a registry has an image under a tag.
func wantCopy(t testing.TB, s *registry.Service, to registry.ID, path, tag string, img registry.Image) {
	t.Helper()
	got, err := s.Image(alice(t), nameIn(t, to, path), ref(t, tag))
	if err != nil || got.Digest != img.Digest {
		t.Errorf("%s:%s in %s is %s (%v), want %s", path, tag, to.Region, got.Digest, err, img.Digest)
	}
}

// events counts the events of a kind.
func events(t testing.TB, s *registry.Service, kind registry.EventKind) (n int) {
	t.Helper()
	page, err := s.Events(alice(t), 0, 100_000)
	must(t, err)
	for _, e := range page {
		if e.Kind == kind {
			n++
		}
	}
	return n
}
