package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/opencontainers/go-digest"
)

// OCI speaks the distribution protocol as plainly as can be: it never tries
// again, so that a test knows what was acknowledged and what was not.
type OCI struct {
	base, password string
	client         *http.Client
}

// OCI is a client of s that is logged in.
func (s *Server) OCI(t testing.TB) *OCI {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &OCI{base: s.URL() + "/v2/", password: s.Password(t), client: &http.Client{Transport: transport}}
}

// OCIAt is a client of s that is logged in with a password of its own account,
// at a URL without a path, with another HTTP client such as that of HTTPClient.
func (s *Server) OCIAt(t testing.TB, url string, client *http.Client) *OCI {
	t.Helper()
	return &OCI{base: url + "/v2/", password: s.PasswordOf(t, s.CreateKey(t, Account)), client: client}
}

// A StatusError is an answer that a caller did not hope for.
type StatusError struct {
	Request string
	Status  int
	Body    string
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("%s: %d %s", e.Request, e.Status, e.Body) }

// IsStatus says whether err is an answer of that status.
func IsStatus(err error, status int) bool {
	var e *StatusError
	return errors.As(err, &e) && e.Status == status
}

// PushImage pushes what m names, then m itself under tag.
func (c *OCI) PushImage(ctx context.Context, repo, tag string, m Image) error {
	for _, b := range m.Blobs() {
		if err := c.PushBlob(ctx, repo, b); err != nil {
			return err
		}
	}
	return c.PushManifest(ctx, repo, tag, m.MediaType, m.Manifest)
}

// PushBlob pushes content in one PUT.
func (c *OCI) PushBlob(ctx context.Context, repo string, content []byte) error {
	at, err := c.StartUpload(ctx, repo)
	if err != nil {
		return err
	}
	return c.FinishUpload(ctx, at, digest.FromBytes(content), bytes.NewReader(content))
}

// StartUpload begins an upload and returns its location.
func (c *OCI) StartUpload(ctx context.Context, repo string) (location string, err error) {
	resp, err := c.do(ctx, http.MethodPost, repo+"/blobs/uploads/", nil, nil, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return resp.Header.Get("Location"), nil
}

// AppendUpload sends a chunk of unknown length, as docker does, and returns
// where the upload goes on.
func (c *OCI) AppendUpload(ctx context.Context, location string, chunk io.Reader) (next string, err error) {
	resp, err := c.do(ctx, http.MethodPatch, location, chunk, octets, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return resp.Header.Get("Location"), nil
}

// UploadSize asks how many bytes the server has of an upload.
func (c *OCI) UploadSize(ctx context.Context, location string) (int64, error) {
	resp, err := c.do(ctx, http.MethodGet, location, nil, nil, http.StatusNoContent)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var last int64
	if _, err := fmt.Sscanf(resp.Header.Get("Range"), "0-%d", &last); err != nil {
		return 0, fmt.Errorf("range of an upload: %w", err)
	}
	return last + 1, nil
}

// FinishUpload ends an upload with its last bytes, which may be nil.
func (c *OCI) FinishUpload(ctx context.Context, location string, d digest.Digest, last io.Reader) error {
	u, err := url.Parse(location)
	if err != nil {
		return err
	}
	q := u.Query()
	q.Set("digest", d.String())
	u.RawQuery = q.Encode()
	resp, err := c.do(ctx, http.MethodPut, u.String(), last, octets, http.StatusCreated)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Blob opens a blob; the caller closes it.
func (c *OCI) Blob(ctx context.Context, repo string, d digest.Digest) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodGet, repo+"/blobs/"+d.String(), nil, nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// PushManifest puts a manifest under a tag or digest.
func (c *OCI) PushManifest(ctx context.Context, repo, ref, mediaType string, content []byte) error {
	head := http.Header{"Content-Type": {mediaType}}
	resp, err := c.do(ctx, http.MethodPut, repo+"/manifests/"+ref, bytes.NewReader(content), head, http.StatusCreated)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Manifest reads a manifest by tag or digest.
func (c *OCI) Manifest(ctx context.Context, repo, ref string) ([]byte, error) {
	head := http.Header{"Accept": {"*/*"}}
	resp, err := c.do(ctx, http.MethodGet, repo+"/manifests/"+ref, nil, head, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// Tags lists the tags of a repository, on one page.
func (c *OCI) Tags(ctx context.Context, repo string) ([]string, error) {
	resp, err := c.do(ctx, http.MethodGet, repo+"/tags/list", nil, nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var list struct{ Tags []string }
	err = json.NewDecoder(resp.Body).Decode(&list)
	return list.Tags, err
}

var octets = http.Header{"Content-Type": {"application/octet-stream"}}

// do sends a request to a path below /v2/ or to a location that the server
// gave, and returns the answer if it has the status that is wanted.
func (c *OCI) do(ctx context.Context, method, to string, body io.Reader, head http.Header, want int) (*http.Response, error) {
	base, err := url.Parse(c.base)
	if err != nil {
		return nil, err
	}
	target, err := base.Parse(to)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range head {
		req.Header[name] = values
	}
	req.SetBasicAuth("AWS", c.password)
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == want {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return nil, &StatusError{method + " " + to, resp.StatusCode, string(text)}
}
