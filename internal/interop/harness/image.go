package harness

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types, which image-spec does not have.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// A Layer is one file system layer.
type Layer struct {
	Tar  []byte // as it lies in an archive
	Gzip []byte // as it travels
}

// Digest is that of the layer as it travels.
func (l Layer) Digest() digest.Digest { return digest.FromBytes(l.Gzip) }

// An Image is what a registry is asked to keep: a manifest and what it names.
type Image struct {
	MediaType string
	Manifest  []byte
	Config    []byte
	Layers    []Layer
}

// Digest is that of the manifest.
func (m Image) Digest() digest.Digest { return digest.FromBytes(m.Manifest) }

// NewImage makes an image of so many layers with size random bytes in each,
// the same for the same seed. Its manifest is of mediaType, which is
// DockerManifest or that of an OCI image.
func NewImage(t testing.TB, mediaType string, seed uint64, layers, size int) Image {
	t.Helper()
	var tars [][]byte
	for i := range layers {
		tars = append(tars, Tar(t, map[string]string{fmt.Sprintf("layer-%d-%d", seed, i): string(Random(seed<<8|uint64(i), size))}))
	}
	return ImageOf(t, mediaType, tars...)
}

// ImageOf makes an image for linux/amd64 of layers that are given as tars, the lowest
// first. Its manifest is of mediaType, which is DockerManifest or that of an OCI image.
func ImageOf(t testing.TB, mediaType string, tars ...[]byte) Image {
	t.Helper()
	m := Image{MediaType: mediaType}
	config := v1.Image{Platform: v1.Platform{Architecture: "amd64", OS: "linux"}, RootFS: v1.RootFS{Type: "layers"}}
	for _, plain := range tars {
		m.Layers = append(m.Layers, newLayer(t, plain))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(plain))
		config.History = append(config.History, v1.History{CreatedBy: "a test"}) // schema 1 cannot do without
	}
	m.Config = encode(t, config)
	m.Manifest = encode(t, m.manifest())
	return m
}

// manifest describes m. Docker's schema 2 and OCI's image manifest differ in
// their media types alone.
func (m Image) manifest() v1.Manifest {
	configType, layerType := v1.MediaTypeImageConfig, v1.MediaTypeImageLayerGzip
	if m.MediaType == DockerManifest {
		configType, layerType = dockerConfig, dockerLayer
	}
	doc := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: m.MediaType,
		Config:    describe(configType, m.Config),
	}
	for _, l := range m.Layers {
		doc.Layers = append(doc.Layers, describe(layerType, l.Gzip))
	}
	return doc
}

// Blobs are the bytes that m's manifest names.
func (m Image) Blobs() [][]byte {
	blobs := [][]byte{m.Config}
	for _, l := range m.Layers {
		blobs = append(blobs, l.Gzip)
	}
	return blobs
}

// Whole is m's manifest and its blobs.
func (m Image) Whole() [][]byte { return append(m.Blobs(), m.Manifest) }

// Archive is m as `docker load` reads it, named ref.
func (m Image) Archive(t testing.TB, ref string) io.Reader {
	t.Helper()
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	e := entry{Config: "config.json", RepoTags: []string{ref}}
	addFile(t, w, e.Config, m.Config)
	for i, l := range m.Layers {
		e.Layers = append(e.Layers, fmt.Sprintf("%d.tar", i))
		addFile(t, w, e.Layers[i], l.Tar)
	}
	addFile(t, w, "manifest.json", encode(t, []entry{e}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// NewIndex makes an OCI index of images, one for each processor.
func NewIndex(t testing.TB, images ...Image) []byte {
	t.Helper()
	processors := []string{"amd64", "arm64", "riscv64", "s390x"}
	doc := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for i, m := range images {
		d := describe(m.MediaType, m.Manifest)
		d.Platform = &v1.Platform{Architecture: processors[i], OS: "linux"}
		doc.Manifests = append(doc.Manifests, d)
	}
	return encode(t, doc)
}

// Named makes the index of a layout in which the index inner has a name.
func Named(t testing.TB, name string, inner []byte) []byte {
	t.Helper()
	d := describe(v1.MediaTypeImageIndex, inner)
	d.Annotations = map[string]string{v1.AnnotationRefName: name}
	return encode(t, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []v1.Descriptor{d}})
}

// WriteLayout writes an OCI layout with that index and those blobs to a new
// folder, and returns the folder.
func WriteLayout(t testing.TB, index []byte, blobs ...[]byte) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, v1.ImageLayoutFile), encode(t, v1.ImageLayout{Version: v1.ImageLayoutVersion}))
	writeFile(t, filepath.Join(dir, v1.ImageIndexFile), index)
	for _, b := range blobs {
		writeFile(t, filepath.Join(dir, v1.ImageBlobsDir, "sha256", digest.FromBytes(b).Encoded()), b)
	}
	return dir
}

// Random returns size bytes that depend on seed alone.
func Random(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = RandomStream(seed).Read(b) // never fails
	return b
}

// RandomStream is an endless stream of bytes that depend on seed alone.
func RandomStream(seed uint64) io.Reader {
	return rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64(nil, seed)))
}

// Tar is a tar of files by their names, in order of these.
func Tar(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		addFile(t, w, name, []byte(files[name]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return plain.Bytes()
}

// newLayer packs a tar.
func newLayer(t testing.TB, plain []byte) Layer {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return Layer{Tar: plain, Gzip: packed.Bytes()}
}

func describe(mediaType string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func addFile(t testing.TB, w *tar.Writer, name string, content []byte) {
	t.Helper()
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
