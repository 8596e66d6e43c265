package interop_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	gcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// The name Ko is for the way in which ko, and programs like it, push: by
// go-containerregistry, with a pusher that is used again.
func TestKo(t *testing.T) {
	s := harness.Start(t)
	s.CreateRepository(t, "team/app")
	options := gcrOptions(t, s)
	repo := parseRepository(t, s.Host+"/team/app")
	index := newGCRIndex(t, []gcr.Layer{newGCRLayer(t, 1<<20)}, "amd64", "arm64", "riscv64")

	pusher, err := remote.NewPusher(options...)
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, remote.Reuse(pusher))
	for _, tag := range []string{"1.0", "latest"} {
		if err := pusher.Push(t.Context(), repo.Tag(tag), index); err != nil {
			t.Fatal(err)
		}
	}
	image, err := random.Image(1<<10, 3)
	if err != nil {
		t.Fatal(err)
	}
	many := map[name.Reference]remote.Taggable{repo.Tag("image"): image, repo.Tag("index"): index}
	if err := remote.MultiWrite(many, options...); err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("again"), image, options...); err != nil {
		t.Fatal(err)
	}
	if err := remote.Tag(repo.Tag("tagged"), image, options...); err != nil {
		t.Fatal(err)
	}
	pullWhole(t, repo.Tag("latest"), index, options)
	tags, err := remote.List(repo, options...)
	if want := []string{"1.0", "again", "image", "index", "latest", "tagged"}; err != nil || !slices.Equal(tags, want) {
		t.Errorf("the tags are %q, %v; want %q", tags, err, want)
	}
	koDeletes(t, repo, image, options)
}

// koDeletes deletes an image by its digest, with all its tags.
func koDeletes(t *testing.T, repo name.Repository, image gcr.Image, options []remote.Option) {
	t.Helper()
	d, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(repo.Digest(d.String()), options...); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(repo.Tag("tagged"), options...); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("the deleted image's tag: %v, want 404", err)
	}
}

// pullWhole pulls an index with all its layers and compares every digest.
func pullWhole(t *testing.T, ref name.Reference, want gcr.ImageIndex, options []remote.Option) {
	t.Helper()
	got, err := remote.Index(ref, options...)
	if err != nil {
		t.Error(err)
		return
	}
	if err := validate.Index(got); err != nil {
		t.Errorf("%s: %v", ref, err)
	}
	gotDigest, err := got.Digest()
	if err != nil {
		t.Error(err)
	}
	if wantDigest, err := want.Digest(); err != nil || gotDigest != wantDigest {
		t.Errorf("%s is %s, want %s, %v", ref, gotDigest, wantDigest, err)
	}
}

// newGCRIndex makes an index of images that share layers and have one each of
// their own.
func newGCRIndex(t *testing.T, shared []gcr.Layer, processors ...string) gcr.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, processor := range processors {
		config := &gcr.ConfigFile{OS: "linux", Architecture: processor, RootFS: gcr.RootFS{Type: "layers"}}
		base, err := mutate.ConfigFile(base, config)
		if err != nil {
			t.Fatal(err)
		}
		image, err := mutate.AppendLayers(base, append(slices.Clone(shared), newGCRLayer(t, 8<<10))...)
		if err != nil {
			t.Fatal(err)
		}
		platform := gcr.Platform{OS: "linux", Architecture: processor}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: gcr.Descriptor{Platform: &platform}})
	}
	return index
}

func newGCRLayer(t *testing.T, size int64) gcr.Layer {
	t.Helper()
	layer, err := random.Layer(size, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

func parseRepository(t *testing.T, text string) name.Repository {
	t.Helper()
	repo, err := name.NewRepository(text)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// gcrOptions are for requests that are logged in and not made again when the
// server fails.
func gcrOptions(t *testing.T, s *harness.Server) []remote.Option {
	t.Helper()
	plain := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(plain.CloseIdleConnections)
	return []remote.Option{
		remote.WithContext(t.Context()),
		remote.WithTransport(plain),
		remote.WithAuth(&authn.Basic{Username: "AWS", Password: s.Password(t)}),
		remote.WithRetryStatusCodes(), remote.WithRetryPredicate(func(error) bool { return false }),
	}
}
