package registry

import (
	"sync"

	"github.com/seed-78150930/berth/registry/digest"
)

// bodies are manifests that were held against their digests a moment ago, so that one
// that many pull is read and hashed once. What has a digest never changes; whether an
// image may be pulled is looked at each time. The zero value is ready.
type bodies struct {
	mu   sync.RWMutex
	size int // bytes of all
	of   map[bodyOf][]byte
}

// bodyOf names a manifest: what a digest is of depends on the type.
type bodyOf struct {
	digest    digest.Digest
	mediaType string
}

const (
	// mostBody is how large a manifest is at most that is kept, mostBodies what all that
	// are kept have together. Then it begins anew.
	mostBody, mostBodies = 32 << 10, 4 << 20
	// bodyCost is what one takes beside its bytes, about.
	bodyCost = 256
)

func (b *bodies) get(img stored) ([]byte, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	body, ok := b.of[bodyOf{img.digest, img.row.MediaType}]
	return body, ok
}

func (b *bodies) keep(img stored, body []byte) {
	if len(body) > mostBody {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := bodyOf{img.digest, img.row.MediaType}
	if _, there := b.of[k]; there {
		return
	}
	if b.size += len(body) + bodyCost; b.of == nil || b.size > mostBodies {
		b.of, b.size = map[bodyOf][]byte{}, len(body)+bodyCost
	}
	b.of[k] = body
}
