package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// v2 sends a request to the OCI door with the key test.
func (h *house) v2(method, path, contentType, body string) response {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("test:test")))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return h.do(req)
}

const indexType = "application/vnd.oci.image.index.v1+json"

// image is a manifest that refers to nothing.
func image(n int) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"n":"%d"}}`, indexType, n)
}

// push pushes a layer and an image, which are told apart by n, and returns the worst status.
func (h *house) push(repo string, n int) (status int) {
	h.t.Helper()
	layer := fmt.Sprintf("layer %d", n)
	for _, r := range []response{
		h.v2("POST", fmt.Sprintf("/v2/%s/blobs/uploads/?digest=%s", repo, digestOf(layer)), "application/octet-stream", layer),
		h.v2("PUT", fmt.Sprintf("/v2/%s/manifests/v%d", repo, n), indexType, image(n)),
	} {
		status = max(status, r.status)
	}
	return status
}

func digestOf(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

// wantReads expects that what push did for n can be had, and that people get in.
func (h *house) wantReads(repo string, n int) {
	h.t.Helper()
	for _, path := range []string{
		"/v2/", fmt.Sprintf("/v2/%s/manifests/v%d", repo, n), fmt.Sprintf("/v2/%s/blobs/%s", repo, digestOf(fmt.Sprintf("layer %d", n))), "/v2/" + repo + "/tags/list",
	} {
		if r := h.v2("GET", path, "", ""); r.status != http.StatusOK {
			h.t.Errorf("GET %s: %d %s", path, r.status, r.body)
		}
	}
	if h.password() == "" {
		h.t.Error("no password is given out")
	}
	if status, answer := h.call("DescribeImages", `{"repositoryName":"`+repo+`"}`); status != http.StatusOK {
		h.t.Errorf("DescribeImages: %d %s", status, answer)
	}
}

// wantRefused expects of every kind of write at both doors that it is refused.
func (h *house) wantRefused(repo string, status int, exception string) {
	h.t.Helper()
	for _, w := range []struct{ method, path, contentType, body string }{
		{"PUT", "/v2/" + repo + "/manifests/new", indexType, image(99)},
		{"POST", "/v2/" + repo + "/blobs/uploads/?digest=" + digestOf("new"), "application/octet-stream", "new"},
		{"POST", "/v2/" + repo + "/blobs/uploads/?from=other&mount=" + digestOf("layer 1"), "", ""},
		{"PUT", "/v2/made/by/push/manifests/new", indexType, image(99)},
	} {
		if r := h.v2(w.method, w.path, w.contentType, w.body); r.status != status && r.status != http.StatusAccepted {
			h.t.Errorf("%s %s: %d %s, want %d", w.method, w.path, r.status, r.body, status)
		}
	}
	for op, body := range map[string]string{
		"CreateRepository":                 `{"repositoryName":"new"}`,
		"PutImage":                         `{"repositoryName":"` + repo + `","imageTag":"new","imageManifest":"{\"schemaVersion\":2,\"mediaType\":\"` + indexType + `\",\"manifests\":[]}"}`,
		"InitiateLayerUpload":              `{"repositoryName":"` + repo + `"}`,
		"PutImageTagMutability":            `{"repositoryName":"` + repo + `","imageTagMutability":"IMMUTABLE"}`,
		"PutRegistryScanningConfiguration": `{"scanType":"BASIC","rules":[]}`,
	} {
		if got, answer := h.call(op, body); got != http.StatusInternalServerError || !strings.Contains(answer, "ServerException") || !strings.Contains(answer, exception) {
			h.t.Errorf("%s: %d %s, want ServerException with %q", op, got, answer, exception)
		}
	}
}

func (h *house) readOnly(on bool) admin.WriteState {
	h.t.Helper()
	st, err := h.ReadOnly(h.t.Context(), on)
	if err != nil {
		h.t.Fatal(err)
	}
	return st
}

// A server that is ordered to take no writes goes on with reads, and tells.
func TestReadOnly(t *testing.T) {
	for _, where := range []string{"memory", "folder"} {
		t.Run(where, func(t *testing.T) {
			var h *house
			if where == "memory" {
				h = dev(t)
			} else {
				h = inFolder(t, t.TempDir())
			}
			if status := h.push("app", 1); status != http.StatusCreated {
				t.Fatal(status)
			}
			if st := h.readOnly(true); len(st.Refused) != 1 || st.Refused[0].Reason != "order" {
				t.Errorf("state %+v", st)
			}
			h.wantRefused("app", http.StatusMethodNotAllowed, "it is read-only")
			for path, want := range map[string]int{"/v2/app/manifests/v1": http.StatusMethodNotAllowed, "/v2/app/blobs/" + digestOf("layer 1"): http.StatusMethodNotAllowed} {
				if r := h.v2("DELETE", path, "", ""); r.status != want {
					t.Errorf("DELETE %s: %d %s", path, r.status, r.body)
				}
			}
			h.wantReads("app", 1)
			if st, err := h.Status(t.Context()); err != nil || !st.Ready || len(st.Refused) != 1 {
				t.Errorf("status %+v, %v", st, err)
			}
			if r := h.get("/readyz"); r.status != http.StatusOK {
				t.Errorf("readyz: %d, and reads go on", r.status)
			}
			h.ToggleReadOnly()
			if status := h.push("app", 2); status != http.StatusCreated {
				t.Errorf("a push after the order ended: %d", status)
			}
			if log := h.log.String(); strings.Contains(log, "level=ERROR") {
				t.Errorf("read-only is no error:\n%s", log)
			}
		})
	}
}

// The setting holds from the start on and can be changed while the server runs; orders
// do not end it.
func TestReadOnlySetting(t *testing.T) {
	dir := t.TempDir()
	h := inFolder(t, dir)
	if status := h.push("app", 1); status != http.StatusCreated {
		t.Fatal(status)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = inFolder(t, dir, "read-only", "true")
	h.readOnly(false)
	h.wantRefused("app", http.StatusMethodNotAllowed, "it is read-only")
	h.wantReads("app", 1)
	if err := h.stop(); err != nil {
		t.Errorf("a stop while no writes are taken: %v", err)
	}
	h = inFolder(t, dir, "read-only", "true")
	h.flags["read-only"] = "false"
	if _, err := h.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := h.push("app", 2); status != http.StatusCreated {
		t.Errorf("a push after the reload: %d", status)
	}
	if log := h.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("read-only is no error:\n%s", log)
	}
}
