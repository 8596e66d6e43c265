package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// statusError is an answer other than the one that was to come.
type statusError struct {
	method, path string
	status       int
	text         string // beginning of what the server says
}

// longestShown is how much is shown of what a server says.
const longestShown = 200

// Error implements error.
func (e *statusError) Error() string {
	text := strings.Join(strings.Fields(e.text), " ")
	if len(text) > longestShown {
		text = text[:longestShown] + "..."
	}
	path, _, _ := strings.Cut(e.path, "?")
	return strings.TrimSuffix(fmt.Sprintf("%s %s: %d %s", e.method, path, e.status, text), " ")
}

// oci sends a request to the registry about some repositories. The answer must
// have one of the statuses.
func (w *worker) oci(ctx context.Context, r request, repos []string, want ...int) (response, error) {
	auth, err := w.login.header(ctx, repos...)
	if err != nil {
		return response{}, err
	}
	if r.base == "" || r.base == w.target.Registry {
		r.base, r.auth = w.target.Registry, auth
	}
	return w.expect(ctx, r, want...)
}

// expect sends a request that is answered with one of some statuses.
func (w *worker) expect(ctx context.Context, r request, want ...int) (response, error) {
	got, err := w.wire.do(ctx, r)
	if err != nil {
		return got, fmt.Errorf("%s %.100s: %w", r.method, r.path, err)
	}
	for _, status := range want {
		if got.status == status {
			return got, nil
		}
	}
	return got, &statusError{r.method, r.path, got.status, string(got.body)}
}

func blobPath(repo, digest string) string { return "/v2/" + repo + "/blobs/" + digest }

func manifestPath(repo, ref string) string { return "/v2/" + repo + "/manifests/" + ref }

// hasBlob says whether a repository has a blob.
func (w *worker) hasBlob(ctx context.Context, repo, digest string) (bool, error) {
	got, err := w.oci(ctx, request{method: http.MethodHead, path: blobPath(repo, digest)}, []string{repo}, http.StatusOK, http.StatusNotFound)
	return got.status == http.StatusOK, err
}

// upload sends a blob, as docker does, which begins, streams and finishes, or as
// containerd does, which begins and sends all.
func (w *worker) upload(ctx context.Context, repo string, b blob) error {
	repos := []string{repo}
	begun, err := w.oci(ctx, request{method: http.MethodPost, path: "/v2/" + repo + "/blobs/uploads/"}, repos, http.StatusAccepted)
	if err != nil {
		return err
	}
	put := request{method: http.MethodPut}
	if w.options.Monolithic {
		put.size, put.body, put.kind = b.size, b.parts, octets
	} else {
		patch := request{method: http.MethodPatch, size: -1, body: b.chunked(), kind: octets}
		if patch.base, patch.path, err = resolve(begun.base, "/v2/", begun.location); err != nil {
			return err
		}
		if begun, err = w.oci(ctx, patch, repos, http.StatusAccepted); err != nil {
			return err
		}
	}
	if put.base, put.path, err = resolve(begun.base, "/v2/", begun.location); err != nil {
		return err
	}
	put.path = withDigest(put.path, b.digest)
	if _, err := w.oci(ctx, put, repos, http.StatusCreated); err != nil {
		return err
	}
	w.ledger.blob(repo, b.digest)
	return nil
}

const octets = "application/octet-stream"

// withDigest adds to the path of an upload what it holds.
func withDigest(path, digest string) string {
	sign := "?"
	if strings.Contains(path, "?") {
		sign = "&"
	}
	return path + sign + "digest=" + digest
}

// putManifest pushes a manifest.
func (w *worker) putManifest(ctx context.Context, repo, ref string, m blob) error {
	_, err := w.oci(ctx, request{
		method: http.MethodPut, path: manifestPath(repo, ref), kind: typeManifest, size: m.size, body: m.parts,
	}, []string{repo}, http.StatusCreated)
	if err == nil {
		w.ledger.manifest(repo, m.digest)
	}
	return err
}

// pushImage pushes an image with the requests that docker makes, and returns
// how much was sent.
func (w *worker) pushImage(ctx context.Context, im image) (sent int64, err error) {
	for _, b := range im.blobs {
		has, err := w.hasBlob(ctx, im.repo, b.digest)
		if err != nil {
			return sent, err
		}
		if has {
			continue
		}
		if err := w.upload(ctx, im.repo, b); err != nil {
			return sent, err
		}
		sent += b.size
	}
	return sent + im.manifest.size, w.putManifest(ctx, im.repo, im.tag, im.manifest)
}

// read gets something and throws it away.
func (w *worker) read(ctx context.Context, repo, path string) (int64, error) {
	got, err := w.oci(ctx, request{method: http.MethodGet, path: path, accept: typeManifest}, []string{repo}, http.StatusOK)
	return got.size, err
}

// pullImage reads an image: its manifest by its tag, then each blob.
func (w *worker) pullImage(ctx context.Context, im image) (int64, error) {
	size, err := w.read(ctx, im.repo, manifestPath(im.repo, im.tag))
	for _, b := range im.blobs {
		if err != nil {
			return size, err
		}
		var n int64
		n, err = w.read(ctx, im.repo, blobPath(im.repo, b.digest))
		if size += n; err == nil && n != b.size {
			err = fmt.Errorf("GET of a blob gave %d of %d bytes", n, b.size)
		}
	}
	return size, err
}
