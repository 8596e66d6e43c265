package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// here is the registry that most tests work in.
var here = registry.ID{Account: "000000000000", Region: "us-east-1"}

// open makes a service, over a new store unless one is given, whose rows are
// checked when the test ends.
func open(t testing.TB, o registry.Options) *registry.Service {
	t.Helper()
	if o.Index == nil {
		o.Index = memory.NewIndex()
	}
	if o.Blobs == nil {
		o.Blobs = memory.NewBlobs()
	}
	s := openUnchecked(t, o)
	t.Cleanup(func() { checkRows(t, s) })
	return s
}

// openUnchecked makes a service whose rows are checked when the test says so.
func openUnchecked(t testing.TB, o registry.Options) *registry.Service {
	t.Helper()
	s, err := registry.New(t.Context(), o)
	must(t, err)
	return s
}

// copyOf is a new index with the rows of another one.
func copyOf(t testing.TB, index storage.Index) storage.Index {
	t.Helper()
	made := memory.NewIndex()
	must(t, made.Update(t.Context(), func(tx storage.Tx) error {
		for key, value := range rowsOf(t, index) {
			if err := tx.Put(key, []byte(value)); err != nil {
				return err
			}
		}
		return nil
	}))
	return made
}

// checkRows fails the test if rows or bytes do not agree with each other.
func checkRows(t testing.TB, s *registry.Service) {
	t.Helper()
	for f, err := range s.Check(context.Background(), registry.Check{Hash: true}) {
		if err != nil {
			t.Errorf("check rows: %v", err)
			return
		}
		t.Errorf("rows do not agree: %v", f)
	}
}

// arn is that of the user who.
func arn(who string) string { return "arn:aws:iam::000000000000:user/" + who }

// by is the context of a request that who makes.
func by(t testing.TB, who string) context.Context {
	return auth.WithPrincipal(t.Context(), auth.Principal{Account: here.Account, ARN: arn(who)})
}

// alice makes the requests of most tests.
func alice(t testing.TB) context.Context { return by(t, "alice") }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode fails the test unless err is the refusal with that code, and returns
// it.
func wantCode(t testing.TB, what string, err error, code registry.Code) *registry.Error {
	t.Helper()
	var e *registry.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("%s: got error %v (code %q), want the refusal %q", what, err, registry.CodeOf(err), code)
	}
	return e
}

func name(t testing.TB, path string) registry.Name { return nameIn(t, here, path) }

func nameIn(t testing.TB, id registry.ID, path string) registry.Name {
	t.Helper()
	n, err := registry.ParseName(id, path)
	must(t, err)
	return n
}

// tag parses a tag; "" gives none.
func tag(t testing.TB, s string) registry.Tag {
	t.Helper()
	if s == "" {
		return registry.Tag{}
	}
	parsed, err := registry.ParseTag(s)
	must(t, err)
	return parsed
}

func tagged(t testing.TB, s string) registry.Ref { return registry.Ref{Tag: tag(t, s)} }

func create(t testing.TB, s *registry.Service, path string) registry.Name {
	t.Helper()
	return createWith(t, s, path, registry.Settings{})
}

func createWith(t testing.TB, s *registry.Service, path string, set registry.Settings) registry.Name {
	t.Helper()
	n := name(t, path)
	_, err := s.CreateRepository(alice(t), n, set)
	must(t, err)
	return n
}

func sha256Of(b []byte) digest.Digest { return digest.FromBytes(digest.SHA256, b) }

func descriptor(mediaType string, b []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: sha256Of(b).OCI(), Size: int64(len(b))}
}

// addLayer uploads content and describes it as a layer.
func addLayer(t testing.TB, s *registry.Service, n registry.Name, content string) v1.Descriptor {
	t.Helper()
	return addBlob(t, s, n, v1.MediaTypeImageLayer, content)
}

// addConfig uploads the config of most images.
func addConfig(t testing.TB, s *registry.Service, n registry.Name) v1.Descriptor {
	t.Helper()
	return addBlob(t, s, n, v1.MediaTypeImageConfig, "{}")
}

func addBlob(t testing.TB, s *registry.Service, n registry.Name, mediaType, content string) v1.Descriptor {
	t.Helper()
	id := start(t, s, n)
	send(t, s, n, id, content)
	_, err := finish(t, s, n, id, sha256Of([]byte(content)))
	must(t, err)
	return descriptor(mediaType, []byte(content))
}

// start begins an upload and returns its id.
func start(t testing.TB, s *registry.Service, n registry.Name) string {
	t.Helper()
	u, err := s.StartUpload(alice(t), n, registry.NewUpload{})
	must(t, err)
	return u.ID
}

// send adds content at the end of an upload.
func send(t testing.TB, s *registry.Service, n registry.Name, id, content string) {
	t.Helper()
	_, err := s.AppendUpload(alice(t), n, id, stream(content))
	must(t, err)
}

// stream is a part of bytes that goes wherever the upload stands.
func stream(content string) registry.Part {
	return registry.Part{Offset: -1, Length: -1, Body: bytes.NewReader([]byte(content))}
}

func finish(t testing.TB, s *registry.Service, n registry.Name, id string, want ...digest.Digest) (registry.Layer, error) {
	t.Helper()
	return s.FinishUpload(alice(t), n, id, registry.Finish{Digests: want})
}

// readLayer reads a layer whole.
func readLayer(t testing.TB, s *registry.Service, n registry.Name, d digest.Digest) string {
	t.Helper()
	l, r, err := s.OpenLayer(alice(t), n, d)
	must(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	must(t, err)
	if int64(len(b)) != l.Size {
		t.Errorf("layer %s has %d bytes, should have %d", d, len(b), l.Size)
	}
	return string(b)
}

// imageOf writes an OCI image manifest.
func imageOf(t testing.TB, m v1.Manifest) []byte {
	t.Helper()
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	if m.MediaType == "" {
		m.MediaType = v1.MediaTypeImageManifest
	}
	return marshal(t, m)
}

// indexOf writes an OCI index of images.
func indexOf(t testing.TB, list ...registry.Image) []byte {
	t.Helper()
	x := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for _, img := range list {
		x.Manifests = append(x.Manifests, v1.Descriptor{MediaType: img.MediaType, Digest: img.Digest.OCI(), Size: img.ManifestSize})
	}
	return marshal(t, x)
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

// put pushes a manifest that must be taken; tagName "" gives it no tag.
func put(t testing.TB, s *registry.Service, n registry.Name, tagName string, body []byte) registry.Image {
	t.Helper()
	done, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, tagName)}, Body: body})
	must(t, err)
	return done.Image
}

// addImage pushes an image of one layer, which makes it unlike the others.
func addImage(t testing.TB, s *registry.Service, n registry.Name, tagName, content string) registry.Image {
	t.Helper()
	m := v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, content)}}
	return put(t, s, n, tagName, imageOf(t, m))
}

// blobCount is how many blobs a store keeps.
func blobCount(t testing.TB, blobs storage.Blobs) (n int) {
	t.Helper()
	for _, err := range blobs.List(context.Background(), "") {
		must(t, err)
		n++
	}
	return n
}

// tagNames are the tags of a repository, and the digests that they name.
func tagNames(t testing.TB, s *registry.Service, n registry.Name) map[string]digest.Digest {
	t.Helper()
	page, next, err := s.Tags(alice(t), n, "", 10_000)
	must(t, err)
	if next != "" {
		t.Fatal("more tags than a test should make")
	}
	named := map[string]digest.Digest{}
	for _, tg := range page {
		img, err := s.Image(alice(t), n, registry.Ref{Tag: tg})
		must(t, err)
		named[tg.String()] = img.Digest
	}
	return named
}
