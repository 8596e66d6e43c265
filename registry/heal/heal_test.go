package heal_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/heal"
	"github.com/seed-78150930/berth/registry/remote"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sha256Of(s string) digest.Digest { return digest.FromBytes(digest.SHA256, []byte(s)) }

// alice makes the requests.
func alice(t testing.TB) context.Context {
	return auth.WithPrincipal(t.Context(), auth.Principal{Account: "000000000000", ARN: "arn:aws:iam::000000000000:user/alice"})
}

// store is a registry with one image of one layer.
type store struct {
	*registry.Service
	index    storage.Index
	blobs    storage.Blobs
	name     registry.Name
	image    digest.Digest
	manifest string
}

const layer, ociPrefix = "some layer", "application/vnd.oci.image."

func newStore(t testing.TB) store {
	t.Helper()
	s := store{index: memory.NewIndex(), blobs: memory.NewBlobs()}
	var err error
	s.Service, err = registry.New(t.Context(), registry.Options{Index: s.index, Blobs: s.blobs})
	must(t, err)
	s.name, err = registry.ParseName(registry.ID{Account: "000000000000", Region: "us-east-1"}, "team/app")
	must(t, err)
	_, err = s.CreateRepository(alice(t), s.name, registry.Settings{})
	must(t, err)
	for _, content := range []string{"{}", layer} {
		s.add(t, content)
	}
	s.manifest = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ociPrefix+"manifest.v1+json", ociPrefix+"config.v1+json", sha256Of("{}"), ociPrefix+"layer.v1.tar", sha256Of(layer), len(layer))
	done, err := s.PutImage(alice(t), s.name, registry.Push{Body: []byte(s.manifest)})
	must(t, err)
	s.image = done.Image.Digest
	return s
}

func (s store) add(t testing.TB, content string) {
	t.Helper()
	u, err := s.StartUpload(alice(t), s.name, registry.NewUpload{})
	must(t, err)
	_, err = s.AppendUpload(alice(t), s.name, u.ID, registry.Part{Offset: -1, Length: -1, Body: strings.NewReader(content)})
	must(t, err)
	_, err = s.FinishUpload(alice(t), s.name, u.ID, registry.Finish{Digests: []digest.Digest{sha256Of(content)}})
	must(t, err)
}

// spoil damages the layer and the manifest, and has both found.
func (s store) spoil(t testing.TB) {
	t.Helper()
	for info, err := range s.blobs.List(t.Context(), "") {
		must(t, err)
		if info.Size == int64(len(layer)) {
			must(t, s.blobs.Delete(t.Context(), info.ID))
		}
	}
	must(t, s.index.Update(t.Context(), func(tx storage.Tx) error {
		for e, err := range tx.Scan(storage.Range{Prefix: "manifest\x00"}) {
			if err != nil {
				return err
			}
			return tx.Put(e.Key, []byte(strings.Replace(string(e.Value), "layers", "lajers", 1)))
		}
		return nil
	}))
	run, err := s.Scrub(t.Context(), registry.Scrub{Anew: true})
	must(t, err)
	if run.Damaged != 2 {
		t.Fatalf("%d damaged, want 2", run.Damaged)
	}
}

// other is a registry that has these bytes of the layer and the manifest.
func other(t testing.TB, layerBytes, manifest string, digests store) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "berth" || password != "secret":
			w.Header().Set("WWW-Authenticate", `Basic realm="other"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/base/v2/team/app/blobs/"+sha256Of(layer).String():
			fmt.Fprint(w, layerBytes)
		case r.URL.Path == "/base/v2/team/app/manifests/"+digests.image.String():
			fmt.Fprint(w, manifest)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

func healing(t testing.TB, servers ...*httptest.Server) *heal.Sources {
	t.Helper()
	client, err := remote.New(remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1"}})
	must(t, err)
	var places []heal.Place
	for _, s := range servers {
		places = append(places, heal.Place{URL: s.URL + "/base/", User: "berth", Password: accounts.NewSecret("secret")})
	}
	s, err := heal.New(client, places)
	must(t, err)
	return s
}

func TestHeal(t *testing.T) {
	s := newStore(t)
	s.spoil(t)
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	must(t, s.Heal(t.Context(), healing(t, empty, other(t, layer, s.manifest, s))))
	list, err := s.Damages(t.Context(), 10)
	must(t, err)
	if len(list) != 0 {
		t.Errorf("still damaged: %+v", list)
	}
	_, body, err := s.Manifest(alice(t), s.name, registry.Ref{Digest: s.image})
	if err != nil || string(body) != s.manifest {
		t.Errorf("the manifest is %q, %v", body, err)
	}
	for f, err := range s.Check(t.Context(), registry.Check{Hash: true}) {
		t.Errorf("fault %v, %v", f, err)
	}
}

func TestHealTakesNoOtherBytes(t *testing.T) {
	for _, bytes := range []string{"some maxer", "some", "some layer and more", ""} {
		s := newStore(t)
		s.spoil(t)
		must(t, s.Heal(t.Context(), healing(t, other(t, bytes, bytes, s))))
		list, err := s.Damages(t.Context(), 10)
		must(t, err)
		if len(list) != 2 || list[0].Tried == "" || list[1].Tried == "" || strings.Contains(list[0].Tried+list[1].Tried, "secret") {
			t.Errorf("healed with %q: %+v", bytes, list)
		}
		n := 0
		for _, err := range s.blobs.List(t.Context(), "") {
			must(t, err)
			n++
		}
		if n != 1 {
			t.Errorf("%d blobs are left of a healing that failed, want the config's alone", n)
		}
	}
}

func TestBadPlaces(t *testing.T) {
	for _, bad := range []string{"", "replica", "https://user:secret@replica", "https://replica?a=b"} {
		if _, err := heal.New(http.DefaultClient, []heal.Place{{URL: bad}}); err == nil {
			t.Errorf("%q is taken for the address of a registry", bad)
		}
	}
}
