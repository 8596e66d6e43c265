package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry/digest"
)

// mostMirroring is what a server may take while all clients pull a cold image, in bytes.
const mostMirroring = 160 << 20

// mirroring is a server whose clients all pull an image at once that only its upstream has.
func mirroring(ctx context.Context, o options, z size) ([]figure, error) {
	up := newUpstream(content{name: "a layer of upstream's", mib: z.mirrored})
	defer up.Close()
	data := filepath.Join(o.dir, "mirror-"+z.file)
	settings := data + ".yml"
	text := fmt.Sprintf("mirror: {upstreams: [{host: quay.io, url: %q}]}\negress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}\n", up.URL)
	if err := errors.Join(os.MkdirAll(o.dir, 0o700), os.WriteFile(settings, []byte(text), 0o600)); err != nil {
		return nil, err
	}
	m, err := peakWith(ctx, o, data, func(s *server) error {
		rule := map[string]any{"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"}
		if err := s.call("CreatePullThroughCacheRule", rule, nil); err != nil {
			return err
		}
		return many(z.clients, z.clients, func(int) error { return s.pullMirrored(up) })
	}, "--config", settings)
	if err != nil {
		return nil, err
	}
	row := kept(fmt.Sprintf("peak of resident memory, %d clients at once that pull a cold image of %d MiB from upstream", z.clients, z.mirrored), m.Peak, mostMirroring, mib)
	row.Value += ", " + mib(m.Anonymous) + " anonymous"
	return []figure{row, kept("the most that upstream was asked for one thing meanwhile", up.most(), 1, strconv.Itoa)}, nil
}

// upstream is a registry of one image, which counts what it is asked for.
type upstream struct {
	*httptest.Server
	layer    content
	manifest []byte
	digest   string // of the layer

	mu    sync.Mutex
	asked map[string]int
}

func newUpstream(layer content) *upstream {
	u := &upstream{layer: layer, digest: layer.digest(), asked: map[string]int{}}
	config := []byte("{}")
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(digest.SHA256, config).OCI(), Size: int64(len(config))},
	}
	d, err := digest.Parse(u.digest)
	if err == nil {
		m.Layers = []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: d.OCI(), Size: layer.size()}}
		u.manifest, err = json.Marshal(m)
	}
	if err != nil {
		panic(err) // of values of our own
	}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.asked[r.Method+" "+r.URL.Path]++
		u.mu.Unlock()
		switch {
		case strings.Contains(r.URL.Path, "/manifests/"):
			w.Header().Set("Content-Type", v1.MediaTypeImageManifest)
			_, _ = w.Write(u.manifest) // whoever has gone sees nothing
		case strings.HasSuffix(r.URL.Path, "/blobs/"+u.digest):
			w.Header().Set("Content-Length", strconv.FormatInt(layer.size(), 10))
			_, _ = io.Copy(w, layer.reader())
		default:
			_, _ = w.Write(config)
		}
	}))
	return u
}

// most is how often the manifest or a layer was asked for, whichever was more often.
func (u *upstream) most() (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for what, asked := range u.asked {
		if strings.Contains(what, "/team/") {
			n = max(n, asked)
		}
	}
	return n
}

// pullMirrored pulls the image that an upstream has, each byte of which must be right.
func (s *server) pullMirrored(up *upstream) error {
	_, got, err := s.ask(http.MethodGet, "/v2/quay/team/app/manifests/latest", http.StatusOK, nil, 0)
	if err == nil && !bytes.Equal(got, up.manifest) {
		err = errors.New("the manifest is another one")
	}
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodGet, s.url+"/v2/quay/team/app/blobs/"+up.digest, nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth("test", "test")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the layer is answered with %s", resp.Status)
	}
	return up.layer.compare(resp.Body)
}

// compare reads r, which must give the content.
func (c content) compare(r io.Reader) error {
	want, got := c.reader(), make([]byte, 32<<10)
	is := make([]byte, len(got))
	for at := int64(0); ; {
		n, err := r.Read(got)
		if _, err := io.ReadFull(want, is[:n]); err != nil || !bytes.Equal(got[:n], is[:n]) {
			return fmt.Errorf("other bytes than upstream's after %d", at)
		}
		at += int64(n)
		if err == io.EOF && at == c.size() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d bytes of %d: %w", at, c.size(), err)
		}
	}
}
