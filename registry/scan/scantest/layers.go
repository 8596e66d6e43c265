package scantest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
)

// The media types of layers (OCI image specification, layer.md).
const (
	TarType  = "application/vnd.oci.image.layer.v1.tar"
	GzipType = TarType + "+gzip"
	ZstdType = TarType + "+zstd"
)

// File is an entry of a layer: a file of mode 0644, or what Type says.
type File struct {
	Name string
	Body string
	Type byte   // of archive/tar; 0 for a file
	Link string // what a link leads to
}

// Dir is a folder.
func Dir(name string) File { return File{Name: name + "/", Type: tar.TypeDir} }

// Symlink is a symbolic link.
func Symlink(name, to string) File { return File{Name: name, Type: tar.TypeSymlink, Link: to} }

// Hardlink is a hard link to an entry of the same layer.
func Hardlink(name, to string) File { return File{Name: name, Type: tar.TypeLink, Link: to} }

// Tar makes an archive. It panics on what no archive can have.
func Tar(files ...File) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Typeflag: f.Type, Linkname: f.Link, Mode: 0o644, Size: int64(len(f.Body))}
		if f.Type == 0 {
			h.Typeflag = tar.TypeReg
		}
		must(w.WriteHeader(h))
		_, err := w.Write([]byte(f.Body))
		must(err)
	}
	must(w.Close())
	return out.Bytes()
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("scantest: %v", err))
	}
}

// Layer is a layer as it is stored.
type Layer struct {
	Bytes          []byte
	MediaType      string
	Digest, DiffID digest.Digest // of the bytes, and of the archive in them
}

// Plain makes a layer that is not packed.
func Plain(files ...File) Layer {
	archive := Tar(files...)
	return made(archive, archive, TarType)
}

// Gzip makes a layer that is packed by gzip.
func Gzip(files ...File) Layer {
	archive := Tar(files...)
	return made(packGzip(archive), archive, GzipType)
}

// Zstd makes a layer that is packed by zstd.
func Zstd(files ...File) Layer {
	archive := Tar(files...)
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	must(err)
	return made(w.EncodeAll(archive, nil), archive, ZstdType)
}

// Raw makes a layer of bytes that need not be an archive.
func Raw(bytes []byte, mediaType string) Layer { return made(bytes, bytes, mediaType) }

func packGzip(archive []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(archive)
	must(err)
	must(w.Close())
	return out.Bytes()
}

func made(packed, archive []byte, mediaType string) Layer {
	return Layer{packed, mediaType, digest.FromBytes(digest.SHA256, packed), digest.FromBytes(digest.SHA256, archive)}
}

// Image is an image of linux/amd64: its layers, the lowest first.
type Image struct{ Layers []Layer }

// Config is the image's config, which names its platform and layers.
func (i Image) Config() []byte {
	diffs := []string{}
	for _, l := range i.Layers {
		diffs = append(diffs, l.DiffID.String())
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	must(err)
	return config
}

// Scan is the image as a Scanner is given it.
func (i Image) Scan() scan.Image {
	img := scan.Image{Platform: scan.Platform{OS: "linux", Architecture: "amd64"}}
	byDigest := map[digest.Digest][]byte{}
	for _, l := range i.Layers {
		byDigest[l.Digest] = l.Bytes
		img.Layers = append(img.Layers, scan.Layer{Digest: l.Digest, MediaType: l.MediaType, Size: int64(len(l.Bytes))})
	}
	img.Open = func(_ context.Context, l scan.Layer) (io.ReadCloser, error) {
		b, ok := byDigest[l.Digest]
		if !ok {
			return nil, scan.NewProblem(scan.NotHere, "Layer %s is not in this registry", l.Digest)
		}
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	return img
}
