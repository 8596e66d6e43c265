package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// A script answers in place of an upstream where it says true.
type script = func(http.ResponseWriter, *http.Request) bool

// onLayer is a script for layers alone.
func (u *upstreamOf) onLayer(next func(http.ResponseWriter, *http.Request)) script {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/blobs/"+u.layerDigest()) {
			return false
		}
		next(w, r)
		return true
	}
}

// onManifest is a script for manifests alone, which gives them a type and a body.
func onManifest(mediaType, body string) script {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		io.WriteString(w, body)
		return true
	}
}

func (u *upstreamOf) layerDigest() string {
	return digest.FromBytes(digest.SHA256, []byte(u.layer)).String()
}

// tryLayer reads as much of the layer as there is.
func (h *house) tryLayer(prefix string, up *upstreamOf, password string) (got string, err error) {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.url+"/v2/"+prefix+"/team/app/blobs/"+up.layerDigest(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	resp, err := h.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// failures counts the events that tell of a rule's failures.
func (h *house) failures(prefix string) (n int) {
	h.t.Helper()
	page, err := h.Registry().Events(context.Background(), 0, 10_000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range page {
		var d registry.SyncDetail
		if e.Kind == registry.UpstreamAsked && json.Unmarshal(e.Detail, &d) == nil && d.Prefix == prefix && d.Status == "FAILED" {
			n++
		}
	}
	return n
}

// Of wrong layers nothing is kept; who pulls one sees that it breaks off or gets an error, and
// an event tells. When the upstream is right again the same pull is good.
func TestUpstreamGivesWrongLayers(t *testing.T) {
	up := newUpstreamOf(t)
	h := dev(t, "config", settingsIn(t, fmt.Sprintf(mirrorOf, up.url)))
	password := h.password()
	half := len(up.layer) / 2
	for i, tt := range []struct {
		name  string
		give  func(http.ResponseWriter, *http.Request)
		event bool
	}{
		{"another last byte", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, up.layer[:len(up.layer)-1]+"X") }, true},
		{"a byte less", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, up.layer[1:]) }, true},
		{"a byte more", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, up.layer+"X") }, true},
		{"a page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>welcome to the hotel</html>")
		}, true},
		{"breaking off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(up.layer)))
			io.WriteString(w, up.layer[:half])
			panic(http.ErrAbortHandler)
		}, false},
		{"gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, false},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			prefix := fmt.Sprintf("up%d", i)
			h.rule(prefix, "quay.io", "")
			up.script(up.onLayer(tt.give))
			defer up.script(nil)
			if got := h.read(http.MethodGet, "/v2/"+prefix+"/team/app/manifests/v1", password); got.status != http.StatusOK {
				t.Fatalf("the manifest: %d %s", got.status, got.body)
			}
			if got, err := h.tryLayer(prefix, up, password); err == nil || len(got) >= len(up.layer) {
				t.Errorf("%d bytes and the error %v", len(got), err)
			}
			if tt.event {
				await(t, "no event tells of it", func() bool { return h.failures(prefix) > 0 })
			}
			if status, answer := h.call("DescribeImages", fmt.Sprintf(`{"repositoryName":"%s/team/app"}`, prefix)); status != http.StatusOK || strings.Contains(answer, up.digest) {
				t.Errorf("the images are %d %s", status, answer)
			}
			up.script(nil)
			// A fetch of the worker's that began before may be joined once more.
			await(t, "it is right again, and the layer is not", func() bool {
				got, err := h.tryLayer(prefix, up, password)
				return err == nil && got == up.layer
			})
		})
	}
}

// Wrong manifests are not kept either, and make no repository.
func TestUpstreamGivesWrongManifests(t *testing.T) {
	up := newUpstreamOf(t)
	h := dev(t, "config", settingsIn(t, fmt.Sprintf(mirrorOf, up.url)))
	password := h.password()
	const image = "application/vnd.oci.image.manifest.v1+json"
	for i, tt := range []struct{ name, ref, mediaType, body string }{
		{"of another digest", up.digest, image, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","digest":%q,"size":2},"layers":[]}`, image, up.layerDigest())},
		{"a page", "v1", "text/html", "<html>welcome to the hotel</html>"},
		{"another type than its own", "v1", "application/vnd.oci.image.index.v1+json", fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","digest":%q,"size":2},"layers":[]}`, image, up.layerDigest())},
		{"no JSON", "v1", image, "{"},
		{"a size below zero", "v1", image, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","digest":%q,"size":-2},"layers":[]}`, image, up.layerDigest())},
		{"too large", "v1", image, `{"a":"` + strings.Repeat("a", 5<<20) + `"}`},
		{"of before 2016", "v1", "application/vnd.docker.distribution.manifest.v1+json", `{"schemaVersion":1,"name":"team/app","tag":"v1","architecture":"amd64","fsLayers":[{"blobSum":"` + up.layerDigest() + `"}],"history":[{"v1Compatibility":"{}"}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			prefix := fmt.Sprintf("up%d", i)
			h.rule(prefix, "quay.io", "")
			up.script(onManifest(tt.mediaType, tt.body))
			defer up.script(nil)
			if got := h.read(http.MethodGet, "/v2/"+prefix+"/team/app/manifests/"+tt.ref, password); got.status != http.StatusBadGateway {
				t.Errorf("%d %.300s", got.status, got.body)
			}
			if h.failures(prefix) == 0 {
				t.Error("no event tells of it")
			}
			if status, answer := h.call("DescribeRepositories", fmt.Sprintf(`{"repositoryNames":["%s/team/app"]}`, prefix)); status != http.StatusBadRequest {
				t.Errorf("a repository was made: %d %s", status, answer)
			}
		})
	}
}

// A layer goes to the client while it comes: the upstream gives its second half when
// the client has the first.
func TestUpstreamIsSlow(t *testing.T) {
	up := newUpstreamOf(t)
	h := dev(t, "config", settingsIn(t, fmt.Sprintf(mirrorOf, up.url)))
	h.rule("quay", "quay.io", "")
	password := h.password()
	half, seen := len(up.layer)/2, make(chan struct{})
	up.script(up.onLayer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(up.layer)))
		io.WriteString(w, up.layer[:half])
		w.(http.Flusher).Flush()
		select {
		case <-seen:
			io.WriteString(w, up.layer[half:])
		case <-r.Context().Done():
		}
	}))
	if got := h.read(http.MethodGet, "/v2/quay/team/app/manifests/v1", password); got.status != http.StatusOK {
		t.Fatalf("the manifest: %d %s", got.status, got.body)
	}
	req, err := http.NewRequest(http.MethodGet, h.url+"/v2/quay/team/app/blobs/"+up.layerDigest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	resp, err := h.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	head := make([]byte, half/2)
	_, err = io.ReadFull(resp.Body, head)
	close(seen)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(append(head, rest...), []byte(up.layer)) {
		t.Errorf("%d bytes more, error %v", len(rest), err)
	}
	if n := up.count("GET /v2/team/app/blobs/" + up.layerDigest()); n != 1 {
		t.Errorf("it was fetched %d times", n)
	}
}

// Whatever an upstream answers that is no image, what is here is served, and said to be
// stale in the answer and in the metrics; what is not here is refused with a reason.
func TestUpstreamRefuses(t *testing.T) {
	up := newUpstreamOf(t)
	h := dev(t, "metrics.listen", "127.0.0.1:0", "config", settingsIn(t, fmt.Sprintf(mirrorOf, up.url)))
	password := h.password()
	challenged := func(challenge string) script {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				io.WriteString(w, `{"token":"never-good"}`)
				return true
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
	}
	for i, tt := range []struct {
		name    string
		answer  script
		status  int
		failure string // of BatchGetImage
	}{
		{"429", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "300")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}, http.StatusTooManyRequests, "UpstreamTooManyRequests"},
		{"500", status(http.StatusInternalServerError), http.StatusBadGateway, "UpstreamUnavailable"},
		{"503", status(http.StatusServiceUnavailable), http.StatusBadGateway, "UpstreamUnavailable"},
		{"no answer", func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, http.StatusBadGateway, "UpstreamUnavailable"},
		{"403", status(http.StatusForbidden), http.StatusForbidden, "UpstreamAccessDenied"},
		{"401 again and again", challenged(`Basic realm="up"`), http.StatusForbidden, "UpstreamAccessDenied"},
		{"401 whatever the token", challenged(`Bearer realm="` + up.url + `/token",service="up"`), http.StatusForbidden, "UpstreamAccessDenied"},
		{"deleted", status(http.StatusNotFound), http.StatusNotFound, "ImageNotFound"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			prefix := fmt.Sprintf("up%d", i)
			h.rule(prefix, "quay.io", "")
			defer up.script(nil)
			image := "/v2/" + prefix + "/team/app/manifests/"
			if got := h.read(http.MethodGet, image+"v1", password); got.status != http.StatusOK {
				t.Fatalf("the manifest: %d %s", got.status, got.body)
			}
			if got, err := h.tryLayer(prefix, up, password); err != nil || got != up.layer {
				t.Fatalf("the layer: %d bytes and the error %v", len(got), err)
			}
			up.script(tt.answer)
			before := len(up.proofs())
			for range 2 {
				got := h.read(http.MethodGet, image+"v1", password)
				if got.status != http.StatusOK || got.header.Get("Warning") != `110 - "Response is Stale"` {
					t.Errorf("what is here: %d, Warning %q", got.status, got.header.Get("Warning"))
				}
			}
			if got := h.read(http.MethodGet, image+up.digest, password); got.status != http.StatusOK || got.header.Get("Warning") != "" {
				t.Errorf("what is here, by its digest: %d, Warning %q", got.status, got.header.Get("Warning"))
			}
			got := h.read(http.MethodGet, image+"v2", password)
			if got.status != tt.status {
				t.Errorf("what is not here: %d %s, want %d", got.status, got.body, tt.status)
			}
			if wait, _ := strconv.Atoi(got.header.Get("Retry-After")); (wait > 0 && wait <= 300) != (tt.name == "429") {
				t.Errorf("Retry-After: %q", got.header.Get("Retry-After"))
			}
			_, answer := h.call("BatchGetImage", fmt.Sprintf(`{"repositoryName":"%s/team/app","imageIds":[{"imageTag":"v2"}]}`, prefix))
			if !strings.Contains(answer, `"failureCode":"`+tt.failure+`"`) {
				t.Errorf("BatchGetImage: %s", answer)
			}
			if n := len(up.proofs()) - before; n > 8 { // two for each of what was asked
				t.Errorf("it was shown %d proofs", n)
			}
			scrape, rule := metricsOf(t, h), fmt.Sprintf(`{rule="000000000000/us-east-1/%s"}`, prefix)
			if got := metric(t, scrape, "berth_mirror_stale_total"+rule) + metric(t, scrape, "berth_mirror_misses_total"+rule); got != "21" {
				t.Errorf("stale answers and misses are %q", got)
			}
			if n, err := strconv.ParseFloat(metric(t, scrape, "berth_mirror_bytes_total"+rule), 64); err != nil || int(n) < len(up.layer) {
				t.Errorf("%v bytes came (%v)", n, err)
			}
		})
	}
}

// A tag that moves is asked for again when its time is over, and brings what it names
// then; a digest and an immutable tag never are.
func TestUpstreamTagMoves(t *testing.T) {
	up := newUpstreamOf(t)
	h := dev(t, "config", settingsIn(t, fmt.Sprintf(mirrorOf, up.url)))
	h.rule("quay", "quay.io", "")
	h.rule("fixed", "quay.io", "")
	if status, answer := h.call("CreateRepositoryCreationTemplate", `{"prefix":"fixed","appliedFor":["PULL_THROUGH_CACHE"],"imageTagMutability":"IMMUTABLE"}`); status != http.StatusOK {
		t.Fatalf("a template: %d %s", status, answer)
	}
	password := h.password()
	first := up.digest
	for _, prefix := range []string{"quay", "fixed"} {
		if got := h.read(http.MethodGet, "/v2/"+prefix+"/team/app/manifests/v1", password); got.header.Get("Docker-Content-Digest") != first {
			t.Fatalf("%s: %d %s", prefix, got.status, got.body)
		}
		await(t, "the image is not there", func() bool {
			_, answer := h.call("DescribeImages", fmt.Sprintf(`{"repositoryName":"%s/team/app"}`, prefix))
			return strings.Contains(answer, `"v1"`)
		})
	}
	up.layer = "other bytes"
	up.push(t)
	asked := up.count("HEAD /v2/team/app/manifests/v1")
	for path, want := range map[string]string{
		"/v2/fixed/team/app/manifests/v1":       first,
		"/v2/quay/team/app/manifests/" + first:  first,
		"/v2/fixed/team/app/manifests/" + first: first,
	} {
		if got := h.read(http.MethodGet, path, password); got.header.Get("Docker-Content-Digest") != want || got.header.Get("Warning") != "" {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
	}
	if n := up.count("HEAD /v2/team/app/manifests/v1") - asked; n != 0 {
		t.Errorf("upstream was asked %d times for what cannot change", n)
	}
	if got := h.read(http.MethodGet, "/v2/quay/team/app/manifests/v1", password); got.header.Get("Docker-Content-Digest") != up.digest {
		t.Errorf("the tag names %s, want %s", got.header.Get("Docker-Content-Digest"), up.digest)
	}
}
