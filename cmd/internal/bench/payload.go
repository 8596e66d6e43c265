package bench

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	randv2 "math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
)

// blob is content whose digest is known before it is sent.
type blob struct {
	digest string
	size   int64
	parts  net.Buffers // what it consists of, in order; shared with other blobs
}

// generator makes blobs that no registry has seen. It has one block of bytes
// that nothing compresses. A blob is the beginning of it, as long as the blob is
// to be, and then a few bytes that are its own. So what is hashed for a blob is
// those few: the rest was hashed once for all blobs of the same size.
type generator struct {
	seed  [16]byte
	count atomic.Uint64

	mu     sync.Mutex
	block  []byte
	hashed map[int64]hash.Cloner // by length of the beginning
}

const (
	// ownBytes are those at the end of each blob.
	ownBytes = 32
	// longestBlock bounds memory. A blob that is longer has the block again.
	longestBlock = 256 << 20
)

func newGenerator() *generator {
	g := &generator{hashed: map[int64]hash.Cloner{}}
	_, _ = rand.Read(g.seed[:]) // never fails
	return g
}

// blob makes a blob of a size, of ownBytes at least.
func (g *generator) blob(size int64) blob {
	common := max(size-ownBytes, 0)
	parts, hashed := g.beginning(common)
	own := make([]byte, ownBytes)
	copy(own, g.seed[:])
	binary.LittleEndian.PutUint64(own[len(g.seed):], g.count.Add(1))
	hashed.Write(own)
	return blob{digestOf(hashed), common + ownBytes, append(parts, own)}
}

// beginning is what all blobs of a size have in common, and a hash that has
// taken it in.
func (g *generator) beginning(size int64) (net.Buffers, hash.Hash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.grow(min(size, longestBlock))
	var parts net.Buffers
	for left := size; left > 0; {
		n := min(left, int64(len(g.block)))
		parts = append(parts, g.block[:n:n])
		left -= n
	}
	known, ok := g.hashed[size]
	if !ok {
		h := sha256.New()
		for _, p := range parts {
			h.Write(p)
		}
		known = h.(hash.Cloner) // as every hash of the standard library is
		g.hashed[size] = known
	}
	c, err := known.Clone()
	if err != nil {
		panic("a hash of SHA-256 cannot be copied: " + err.Error()) // the standard library promises that it can
	}
	return parts, c
}

// grow makes the block so long. Blobs keep those that they were made of, whose
// bytes are the same as far as they go.
func (g *generator) grow(size int64) {
	if int64(len(g.block)) >= size {
		return
	}
	g.block = make([]byte, size)
	_, _ = randv2.NewChaCha8([32]byte(append(g.seed[:], g.seed[:]...))).Read(g.block) // never fails
}

func digestOf(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// bytesBlob is the blob of some bytes.
func bytesBlob(text []byte) blob {
	h := sha256.New()
	h.Write(text)
	return blob{digestOf(h), int64(len(text)), net.Buffers{text}}
}

// chunk is how much docker and others that stream a layer send at a time: the
// size of the buffer of Go's io.Copy.
const chunk = 32 << 10

// chunked is the blob in the form of a body whose length is not told (RFC 9112,
// section 7.1).
func (b blob) chunked() net.Buffers {
	var out net.Buffers
	for _, p := range b.parts {
		for len(p) > 0 {
			n := min(len(p), chunk)
			out = append(out, []byte(strconv.FormatInt(int64(n), 16)+"\r\n"), p[:n], crlf)
			p = p[n:]
		}
	}
	return append(out, []byte("0\r\n\r\n"))
}

var crlf = []byte("\r\n")

// The media types of an image (OCI image specification).
const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// image is an image that is in a registry, or will be.
type image struct {
	repo, tag string
	blobs     []blob // layers, then the config
	manifest  blob
}

// image makes an image of layers of its own.
func (g *generator) image(repo, tag string, layers int, size int64) image {
	blobs := make([]blob, 0, layers+1)
	for range layers {
		blobs = append(blobs, g.blob(size))
	}
	return describe(repo, tag, append(blobs, configOf(repo, tag, blobs)), nil)
}

// configOf is the config of an image with these layers.
func configOf(repo, tag string, layers []blob) blob {
	ids := make([]string, len(layers))
	for i, l := range layers {
		ids[i] = l.digest
	}
	return bytesBlob(mustJSON(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Labels": map[string]string{"image": repo + ":" + tag}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	}))
}

// describe is the image of blobs, the last of which is its config.
func describe(repo, tag string, blobs []blob, annotations map[string]string) image {
	m := manifest{SchemaVersion: 2, MediaType: typeManifest, Layers: []descriptor{}, Annotations: annotations}
	last := len(blobs) - 1
	for _, b := range blobs[:last] {
		m.Layers = append(m.Layers, descriptor{typeLayer, b.digest, b.size})
	}
	m.Config = descriptor{typeConfig, blobs[last].digest, blobs[last].size}
	return image{repo, tag, blobs, bytesBlob(mustJSON(m))}
}

// mustJSON encodes what consists of texts and numbers, which cannot fail.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("%T cannot be JSON: %v", v, err))
	}
	return text
}
