package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/peer/peertest"
	"github.com/seed-78150930/berth/registry/remote"
)

// upstreamOf is distribution with an image "team/app:v1" of one layer, and counts what it
// is asked for. A test may have it answer otherwise.
type upstreamOf struct {
	server *httptest.Server
	url    string
	layer  string
	digest string

	mu     sync.Mutex
	asked  map[string]int
	shown  []string                                               // what requests proved who asks with
	answer func(w http.ResponseWriter, r *http.Request) (ok bool) // before distribution does, if it is ok
}

func (u *upstreamOf) count(what string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked[what]
}

// proofs are what it was shown.
func (u *upstreamOf) proofs() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.shown)
}

// script has it answer so; nil has it answer as distribution does.
func (u *upstreamOf) script(answer func(http.ResponseWriter, *http.Request) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

// status answers everything with a status.
func status(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		return true
	}
}

func newUpstreamOf(t testing.TB) *upstreamOf {
	t.Helper()
	u := &upstreamOf{layer: strings.Repeat("bytes of a layer ", 20_000), asked: map[string]int{}}
	next := peertest.Handler(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.asked[r.Method+" "+r.URL.Path]++
		if proof := r.Header.Get("Authorization"); proof != "" {
			u.shown = append(u.shown, proof)
		}
		answer := u.answer
		u.mu.Unlock()
		if answer == nil || !answer(w, r) {
			next.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	u.server, u.url = s, s.URL
	u.push(t)
	return u
}

func (u *upstreamOf) push(t testing.TB) {
	t.Helper()
	u.digest = pushTo(t, peer.Options{URL: u.url, Client: loopback(t)}, u.layer)
}

// loopback is a client that goes to this machine too.
func loopback(t testing.TB) *http.Client {
	t.Helper()
	client, err := remote.New(remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// pushTo pushes an image "team/app:v1" of one layer to a registry, and returns its digest.
func pushTo(t testing.TB, o peer.Options, layer string) string {
	t.Helper()
	to, err := peer.New(o)
	if err != nil {
		t.Fatal(err)
	}
	describe := func(mediaType, content string) string {
		d := digest.FromBytes(digest.SHA256, []byte(content))
		err := to.PushBlob(t.Context(), "team/app", d, int64(len(content)), func(from int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader([]byte(content)[from:])), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, d, len(content))
	}
	const imageType = "application/vnd.oci.image.manifest.v1+json"
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, imageType,
		describe("application/vnd.oci.image.config.v1+json", "{}"), describe("application/vnd.oci.image.layer.v1.tar", layer))
	if err := to.PushManifest(t.Context(), "team/app", "v1", imageType, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return digest.FromBytes(digest.SHA256, []byte(body)).String()
}

// read asks the OCI door with a password.
func (h *house) read(method, path, password string) response {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	return h.do(req)
}

// settingsIn is a file with a configuration.
func settingsIn(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "berth.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mirrorOf is a configuration by which quay.io is at an address of this machine, and is
// asked for tags with each pull.
const mirrorOf = "mirror: {revalidate: 1ms, upstreams: [{host: quay.io, url: %q}]}\negress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}\n"

// rule makes a pull-through rule; more is JSON of what else it has.
func (h *house) rule(prefix, host, more string) {
	h.t.Helper()
	body := fmt.Sprintf(`{"ecrRepositoryPrefix":%q,"upstreamRegistryUrl":%q%s}`, prefix, host, more)
	if status, answer := h.call("CreatePullThroughCacheRule", body); status != http.StatusOK {
		h.t.Fatalf("a rule for %s: %d %s", host, status, answer)
	}
}

// A rule made by the JSON API has both doors answer with what another registry has, and
// the images are there afterwards.
func TestPullThrough(t *testing.T) {
	up := newUpstreamOf(t)
	h := inFolder(t, t.TempDir(), "config", settingsIn(t, fmt.Sprintf(mirrorOf, up.url)))
	h.rule("quay", "quay.io", "")
	if status, answer := h.call("ValidatePullThroughCacheRule", `{"ecrRepositoryPrefix":"quay"}`); status != 200 || !strings.Contains(answer, `"isValid":true`) {
		t.Errorf("validation: %d %s", status, answer)
	}
	password := h.password()
	layer := digest.FromBytes(digest.SHA256, []byte(up.layer)).String()
	for _, path := range []string{"/v2/quay/team/app/manifests/v1", "/v2/team/app/manifests/v1?ns=quay.io"} {
		got := h.read(http.MethodGet, path, password)
		if got.status != 200 || got.header.Get("Docker-Content-Digest") != up.digest || got.header.Get("Warning") != "" {
			t.Errorf("%s: %d %v %s", path, got.status, got.header, got.body)
		}
	}
	if got := h.read(http.MethodGet, "/v2/quay/team/app/blobs/"+layer, password); got.status != 200 || got.body != up.layer {
		t.Errorf("the layer: %d, %d bytes", got.status, len(got.body))
	}
	await(t, "the image is not there", func() bool {
		status, answer := h.call("DescribeImages", `{"repositoryName":"quay/team/app"}`)
		return status == 200 && strings.Contains(answer, up.digest) && strings.Contains(answer, `"v1"`)
	})
	cached, err := admin.ListCache.Ask(t.Context(), h.Server, admin.CachePlace{})
	if err != nil || len(cached.Images) != 1 || cached.Images[0].Digest != up.digest || cached.Images[0].AskedAt.IsZero() || cached.Images[0].Prefix != "quay" {
		t.Errorf("the cache has %+v (%v)", cached, err)
	}
	purged, err := admin.PurgeCache.Ask(t.Context(), h.Server, admin.CacheWhat{What: "quay/team/app"})
	if err != nil || purged.Images != 1 {
		t.Errorf("purged %+v (%v)", purged, err)
	}
	warmed, err := admin.WarmCache.Ask(t.Context(), h.Server, admin.CacheWhat{What: "quay/team/app:v1"})
	if err != nil || warmed.Digest != up.digest || warmed.Stale {
		t.Errorf("warmed %+v (%v)", warmed, err)
	}
	if n := up.count("GET /v2/team/app/blobs/" + layer); n > 2 {
		t.Errorf("the layer was fetched %d times", n)
	}
	for _, path := range []string{"/v2/team/app/manifests/v1?ns=evil.example", "/v2/quay/team/none/manifests/v1", "/v2/team/app/manifests/v1"} {
		if got := h.read(http.MethodGet, path, password); got.status != 404 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	up.script(status(http.StatusServiceUnavailable))
	if got := h.read(http.MethodHead, "/v2/quay/team/app/manifests/v1", password); got.status != 200 || !strings.HasPrefix(got.header.Get("Warning"), "110 ") {
		t.Errorf("while upstream is down: %d %v", got.status, got.header)
	}
	status, answer := h.call("BatchGetImage", `{"repositoryName":"quay/team/app","imageIds":[{"imageTag":"v1"},{"imageTag":"v2"}]}`)
	var batch struct {
		Images   []struct{ ImageID struct{ ImageDigest string } }
		Failures []struct{ FailureCode string }
	}
	if err := json.Unmarshal([]byte(answer), &batch); err != nil || status != 200 || len(batch.Images) != 1 || len(batch.Failures) != 1 || batch.Failures[0].FailureCode != "UpstreamUnavailable" {
		t.Errorf("BatchGetImage: %d %s (%v)", status, answer, err)
	}
	if status, answer := h.call("ValidatePullThroughCacheRule", `{"ecrRepositoryPrefix":"quay"}`); status != 200 || !strings.Contains(answer, `"isValid":false`) {
		t.Errorf("validation: %d %s", status, answer)
	}
}
