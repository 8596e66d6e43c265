package life

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// What histories are about is little, so that clients meet at it: two repositories
// with three tags and a few images, which share layers. All is the same in every
// history, but for the bytes.

var repositories = []string{"team/app", "tool"}

const tagCount = 3

func tagName(n int8) string { return fmt.Sprintf("t%d", n) }

// The media types that images are made of.
const (
	imageType  = "application/vnd.oci.image.manifest.v1+json"
	indexType  = "application/vnd.oci.image.index.v1+json"
	configType = "application/vnd.oci.image.config.v1+json"
	layerType  = "application/vnd.oci.image.layer.v1.tar"
)

// document is an image or an index.
type document struct {
	mediaType, digest string
	body              []byte
	blobs             [][]byte // config and layers
	children          []int8   // of an index
}

// images are the documents that have layers; the last document is an index of the
// first two.
const images = 5

// universe is all that can be pushed.
type universe struct {
	documents []document
	byDigest  map[string]int8
	blobs     map[string][]byte // of documents, by digest
	policies  []string
	seed      uint64
}

func newUniverse(seed uint64) *universe {
	u := &universe{byDigest: map[string]int8{}, blobs: map[string][]byte{}, seed: seed}
	random := rand.New(rand.NewPCG(seed, 1))
	var layers [][]byte
	for range 4 {
		layers = append(layers, bytesOf(random.Uint64(), 200+random.IntN(3000)))
	}
	for n := range images {
		config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","made":"%d of %d"}`, n, seed)
		u.add(image(config, layers[n%4], layers[(n+1)%4]))
	}
	u.add(u.index(0, 1))
	for n := range 3 {
		u.policies = append(u.policies, policy(n))
	}
	return u
}

func (u *universe) add(d document) {
	d.digest = sum(d.body)
	u.byDigest[d.digest] = int8(len(u.documents))
	u.documents = append(u.documents, d)
	for _, b := range d.blobs {
		u.blobs[sum(b)] = b
	}
}

func image(config []byte, layers ...[]byte) document {
	d := document{mediaType: imageType, blobs: append([][]byte{config}, layers...)}
	list := []members{}
	for _, l := range layers {
		list = append(list, members{"mediaType": layerType, "digest": sum(l), "size": len(l)})
	}
	d.body = mustJSON(members{
		"schemaVersion": 2, "mediaType": imageType, "layers": list,
		"config": members{"mediaType": configType, "digest": sum(config), "size": len(config)},
	})
	return d
}

func (u *universe) index(children ...int8) document {
	list := []members{}
	for _, n := range children {
		c := u.documents[n]
		list = append(list, members{"mediaType": c.mediaType, "digest": c.digest, "size": len(c.body)})
	}
	body := mustJSON(members{"schemaVersion": 2, "mediaType": indexType, "manifests": list})
	return document{mediaType: indexType, body: body, children: children}
}

func policy(n int) string {
	return string(mustJSON(members{"Version": "2012-10-17", "Statement": []members{
		{"Sid": fmt.Sprintf("p%d", n), "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"},
	}}))
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of what this package makes up
	}
	return text
}

// bytesOf are bytes made of a seed; a shorter run is the beginning of a longer one.
func bytesOf(seed uint64, n int) []byte {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(s).Read(b)
	return b
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}
