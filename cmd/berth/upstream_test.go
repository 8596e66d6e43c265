package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/rogpeppe/go-internal/testscript"
)

type upstreamKey struct{}

// upstream starts a registry that has the image "team/app:v1", whose URL is in the variable
// UPSTREAM; "upstream down" ends it.
func upstream(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) > 0 {
		ts.Value(upstreamKey{}).(*upstreamServer).Close()
		return
	}
	s := ts.Value(upstreamKey{}).(*upstreamServer)
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	ts.Defer(s.Close)
	ts.Setenv("UPSTREAM", s.URL)
}

type upstreamServer struct{ *httptest.Server }

const (
	upstreamType  = "application/vnd.oci.image.manifest.v1+json"
	upstreamLayer = "a layer of upstream's"
)

func (*upstreamServer) answer(w http.ResponseWriter, r *http.Request) {
	id := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, upstreamType, id("{}"), id(upstreamLayer), len(upstreamLayer))
	const at = "/v2/team/app/"
	body, ok := map[string]string{
		"/v2/": "{}", at + "manifests/v1": manifest, at + "manifests/" + id(manifest): manifest,
		at + "blobs/" + id("{}"): "{}", at + "blobs/" + id(upstreamLayer): upstreamLayer,
	}[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if body == manifest {
		w.Header().Set("Content-Type", upstreamType)
		w.Header().Set("Docker-Content-Digest", id(manifest))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = io.WriteString(w, body) // who has gone sees nothing
}
