package transfer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
	"github.com/seed-78150930/berth/registry/transfer"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sha256Of(b []byte) digest.Digest { return digest.FromBytes(digest.SHA256, b) }

func client(t testing.TB) *http.Client {
	t.Helper()
	c, err := remote.New(remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1"}, Redirects: remote.MostRedirects})
	must(t, err)
	return c
}

// at is the registry at an address.
func at(t testing.TB, url string) *peer.Registry {
	t.Helper()
	r, err := peer.New(peer.Options{URL: url, Client: client(t)})
	must(t, err)
	return r
}

// from opens bytes as PushBlob wants them.
func from(content []byte) func(int64) (io.ReadCloser, error) {
	return func(from int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[from:])), nil
	}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

type object = map[string]any

func described(mediaType string, content []byte) object {
	return object{"mediaType": mediaType, "digest": sha256Of(content).String(), "size": len(content)}
}

const (
	configType = "application/vnd.oci.image.config.v1+json"
	layerType  = "application/vnd.oci.image.layer.v1.tar"
)

// made is an image with what it is made of.
type made struct {
	mediaType string
	body      []byte
	blobs     [][]byte
}

func (m made) digest() digest.Digest { return sha256Of(m.body) }

// image is one of some layers, which refers to a subject unless that is nil.
func image(subject *made, layers ...string) made {
	config := []byte(`{"architecture":"` + layers[0] + `"}`)
	m := made{mediaType: manifest.MediaTypeOCIManifest, blobs: [][]byte{config}}
	doc := object{"schemaVersion": 2, "mediaType": m.mediaType, "config": described(configType, config)}
	var list []object
	for _, l := range layers {
		m.blobs = append(m.blobs, []byte(l))
		list = append(list, described(layerType, []byte(l)))
	}
	doc["layers"] = list
	if subject != nil {
		doc["subject"] = described(subject.mediaType, subject.body)
		doc["artifactType"] = "application/vnd.example.signature"
	}
	m.body = encode(doc)
	return m
}

// index is one of some images, each for another architecture.
func index(images ...made) made {
	m := made{mediaType: manifest.MediaTypeOCIIndex}
	var list []object
	for i, one := range images {
		d := described(one.mediaType, one.body)
		d["platform"] = object{"os": "linux", "architecture": fmt.Sprint("arch", i)}
		list = append(list, d)
	}
	m.body = encode(object{"schemaVersion": 2, "mediaType": m.mediaType, "manifests": list})
	return m
}

// put puts an image into a place, under a tag or, if that is "", its digest.
func put(t testing.TB, to transfer.Target, repo, tag string, m made) {
	t.Helper()
	for _, b := range m.blobs {
		must(t, to.PushBlob(t.Context(), repo, sha256Of(b), int64(len(b)), from(b)))
	}
	if tag == "" {
		tag = m.digest().String()
	}
	must(t, to.PushManifest(t.Context(), repo, tag, m.mediaType, m.body))
}

// world is what fill puts into a registry.
type world struct{ plain, other, arm, both, signature, sbom, loose made }

func newWorld() world {
	w := world{plain: image(nil, "plain", "shared"), other: image(nil, "other", "shared"), arm: image(nil, "arm"), loose: image(nil, "loose")}
	w.both = index(w.plain, w.arm)
	w.signature = image(&w.both, "signature of both")
	w.sbom = image(&w.arm, "sbom of arm")
	return w
}

// all are the images by the name of their repository, with their tags.
func (w world) all() []placed {
	return []placed{
		{"team/app", "v1", w.plain}, {"team/app", "v1.0", w.plain}, {"team/app", "", w.arm}, {"team/app", "both", w.both},
		{"team/app", "", w.signature}, {"team/app", "", w.sbom}, {"team", "v2", w.other}, {"team/app", "", w.loose},
	}
}

type placed struct {
	repo, tag string
	made
}

func (w world) fill(t testing.TB, to transfer.Target) {
	t.Helper()
	for _, p := range w.all() {
		put(t, to, p.repo, p.tag, p.made)
	}
}

// has holds a place against the images that it should have, whole.
func has(t testing.TB, what string, in transfer.Source, want ...placed) {
	t.Helper()
	for _, p := range want {
		ref := p.tag
		if ref == "" {
			ref = p.digest().String()
		}
		m, err := in.Manifest(t.Context(), p.repo, ref)
		if err != nil || !bytes.Equal(m.Body, p.body) || m.MediaType != p.mediaType {
			t.Errorf("%s: %s of %s is %s of %q, %v", what, ref, p.repo, m.Digest, m.MediaType, err)
		}
		for _, b := range p.blobs {
			if got, err := read(in, p.repo, sha256Of(b)); err != nil || got != string(b) {
				t.Errorf("%s: a blob of %s is %q, %v", what, ref, got, err)
			}
		}
	}
}

// hasNot says that a place lacks an image.
func hasNot(t testing.TB, what string, in transfer.Source, repo, ref string) {
	t.Helper()
	if m, err := in.Manifest(t.Context(), repo, ref); !errors.Is(err, peer.ErrNotFound) {
		t.Errorf("%s: %s of %s is %s, %v", what, ref, repo, m.Digest, err)
	}
}

func read(in transfer.Source, repo string, d digest.Digest) (string, error) {
	body, _, err := in.OpenBlob(context.Background(), repo, d, 0)
	if err != nil {
		return "", err
	}
	defer body.Close()
	all, err := io.ReadAll(body)
	return string(all), err
}

// run copies, and fails the test if nothing could be begun.
func run(t testing.TB, o transfer.Options) transfer.Report {
	t.Helper()
	if o.Wanted == nil {
		o.Wanted = []transfer.Wanted{{Repository: "*"}}
	}
	r, err := transfer.Run(t.Context(), o)
	must(t, err)
	return r
}

// good fails the test for each thing that was not copied.
func good(t testing.TB, r transfer.Report) transfer.Report {
	t.Helper()
	for _, f := range r.Failed {
		t.Errorf("%s:%s was not copied: %s", f.Repository, f.Reference, f.Error)
	}
	return r
}

// counts are some figures of a report.
func counts(r transfer.Report) string {
	return fmt.Sprintf("%d images, %d copied, %d there, %d failed; %d blobs, %d mounted", r.Images, r.Copied, r.There, len(r.Failed), r.Blobs, r.Mounted)
}

// files writes files to a new folder.
func files(t testing.TB, all map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range all {
		name = filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o700))
		must(t, os.WriteFile(name, []byte(content), 0o600))
	}
	return dir
}

// blobsOf are an image's files in a layout.
func blobsOf(images ...made) map[string]string {
	all := map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}
	for _, m := range images {
		all["blobs/sha256/"+m.digest().Encoded()] = string(m.body)
		for _, b := range m.blobs {
			all["blobs/sha256/"+sha256Of(b).Encoded()] = string(b)
		}
	}
	return all
}

// layout are the files of a layout with one image under the tag v1.
func layout(m made) map[string]string {
	all := blobsOf(m)
	d := described(m.mediaType, m.body)
	d["annotations"] = object{"org.opencontainers.image.ref.name": "v1"}
	all["index.json"] = string(encode(object{"schemaVersion": 2, "manifests": []object{d}}))
	return all
}

// packed writes files to a tar file.
func packed(t testing.TB, all map[string]string, more ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range all {
		must(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg}))
		_, err := io.WriteString(w, content)
		must(t, err)
	}
	for _, h := range more {
		must(t, w.WriteHeader(&h))
	}
	if err := w.Close(); err != nil && !strings.Contains(err.Error(), "missed writing") {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "image.tar")
	must(t, os.WriteFile(name, b.Bytes(), 0o600))
	return name
}

// intoFolder is a new folder to write one repository to.
func intoFolder(t testing.TB, repo string) *transfer.LayoutWriter {
	t.Helper()
	out, err := transfer.CreateLayouts(t.TempDir(), repo)
	must(t, err)
	t.Cleanup(func() { must(t, out.Close()) })
	return out
}
