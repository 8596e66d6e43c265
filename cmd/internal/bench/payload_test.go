package bench_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http/httputil"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/bench"
)

func TestBlobsAreUniqueAndWhatTheirDigestSays(t *testing.T) {
	seen := map[string]bool{}
	for _, size := range []int64{32, 33, 1000, 64 << 10, 1 << 20} {
		contents, chunks, digests := bench.Blobs(3, size)
		for i, content := range contents {
			sum := sha256.Sum256(content)
			if int64(len(content)) != size || digests[i] != "sha256:"+hex.EncodeToString(sum[:]) {
				t.Errorf("a blob of %d bytes has %d and not the digest %s", size, len(content), digests[i])
			}
			if seen[digests[i]] {
				t.Errorf("two blobs of %d bytes are the same", size)
			}
			seen[digests[i]] = true
			read, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(chunks[i])))
			if err != nil || !bytes.Equal(read, content) {
				t.Errorf("in chunks a blob of %d bytes is another: %v", size, err)
			}
		}
	}
}

func TestReadCPU(t *testing.T) {
	tests := []struct {
		stat string
		want time.Duration
		fail bool
	}{
		{"7 (berth) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1", 3 * time.Second, false},
		{"7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 1 0 0 0 20 0 9 0 1", 10 * time.Millisecond, false},
		{"7 (berth) S 1", 0, true},
		{"7 (berth) S 1 7 7 0 -1 4194560 100 0 0 0 x 50 0 0 20", 0, true},
		{"", 0, true},
	}
	for _, tt := range tests {
		if got, err := bench.ReadCPU([]byte(tt.stat)); (err != nil) != tt.fail || !tt.fail && got != tt.want {
			t.Errorf("%q: %v, %v; want %v", tt.stat, got, err, tt.want)
		}
	}
}

func TestResolve(t *testing.T) {
	tests := []struct{ location, base, path string }{
		{"/v2/a/blobs/uploads/1?_state=x%2F", "http://r:5000", "/v2/a/blobs/uploads/1?_state=x%2F"},
		{"http://r:5000/v2/x", "http://r:5000", "/v2/x"},
		{"http://r:50000/v2/x", "http://r:50000", "/v2/x"},
		{"https://bucket.example/layer?X-Amz-Signature=1", "https://bucket.example", "/layer?X-Amz-Signature=1"},
		{"//other/x", "http://other", "/x"},
		{"next", "http://r:5000", "/v2/a/next"},
		{"http://", "", ""},
	}
	for _, tt := range tests {
		base, path, err := bench.Resolve("http://r:5000", "/v2/a/list", tt.location)
		if diff := cmp.Diff([]string{tt.base, tt.path}, []string{base, path}); diff != "" || (err != nil) != (tt.base == "") {
			t.Errorf("%q: %v (-want +got):\n%s", tt.location, err, diff)
		}
	}
}
