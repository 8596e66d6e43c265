package registry

import (
	"fmt"
	"testing"

	"github.com/seed-78150930/berth/registry/digest"
)

// TestBodiesAreBounded: manifests that are kept by their digests take no more than there
// is room for, each is its own, and a large one is not kept.
func TestBodiesAreBounded(t *testing.T) {
	var kept bodies
	most := 0
	put := func(body []byte) bool {
		img := stored{digest: digest.FromBytes("sha256", body)}
		kept.keep(img, body)
		kept.keep(img, body)
		most = max(most, kept.size)
		got, ok := kept.get(img)
		return ok && string(got) == string(body)
	}
	for i := range 400 {
		if !put(fmt.Appendf(nil, "%*d", 20<<10, i)) {
			t.Fatalf("manifest %d is not kept as it is", i)
		}
	}
	if most > mostBodies || most < mostBodies/2 {
		t.Errorf("%d bytes are kept, of at most %d", most, mostBodies)
	}
	if put(make([]byte, mostBody+1)) {
		t.Error("a large one is kept")
	}
}
