package peer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/seed-78150930/berth/registry/digest"
)

// OpenBlob opens a blob from an offset on. The size is that of the whole blob, -1 if
// the registry does not tell. The bytes are as they came: whoever reads them hashes
// them. Where reading fails it is with an *Error, and may be gone on with from there.
func (r *Registry) OpenBlob(ctx context.Context, repo string, d digest.Digest, from int64) (io.ReadCloser, int64, error) {
	req, err := r.request(ctx, http.MethodGet, repo, "blobs/"+d.String(), auth.ActionPull)
	if err != nil {
		return nil, 0, err
	}
	if from == 0 {
		answer, err := r.expect(req, http.StatusOK)
		if err != nil {
			return nil, 0, err
		}
		return answer.Body, answer.ContentLength, nil
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	answer, err := r.expect(req, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return nil, 0, err
	}
	size, err := r.advance(answer, from)
	if err != nil {
		_ = answer.Body.Close() // what there is in it is of no use
		return nil, 0, err
	}
	return answer.Body, size, nil
}

// advance sees to it that an answer begins at an offset: registries may send the
// whole. It returns the size of the whole.
func (r *Registry) advance(answer *http.Response, from int64) (int64, error) {
	if answer.StatusCode == http.StatusOK {
		_, err := io.CopyN(io.Discard, answer.Body, from)
		if err == io.EOF {
			return 0, wrong(r.base.Host, "a blob ends before byte %d", from)
		}
		if err != nil {
			return 0, failed(answer.Request, err)
		}
		return answer.ContentLength, nil
	}
	start, size, ok := contentRange(answer.Header.Get("Content-Range"))
	if !ok || start != from {
		return 0, wrong(r.base.Host, "asked for bytes from %d on it sends others", from)
	}
	return size, nil
}

// contentRange reads where a part begins, and the size of the whole, -1 for "*".
func contentRange(text string) (start, size int64, ok bool) {
	var end int64
	var whole string
	if n, err := fmt.Sscanf(text, "bytes %d-%d/%s", &start, &end, &whole); n != 3 || err != nil || end < start {
		return 0, 0, false
	}
	if whole == "*" {
		return start, -1, true
	}
	size, err := strconv.ParseInt(whole, 10, 64)
	return start, size, err == nil && size > end
}

// HasBlob says whether a repository has a blob.
func (r *Registry) HasBlob(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	req, err := r.request(ctx, http.MethodHead, repo, "blobs/"+d.String(), auth.ActionPull)
	if err != nil {
		return false, err
	}
	answer, err := r.expect(req, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	return answer.StatusCode == http.StatusOK, answer.Body.Close()
}

// MountBlob gives a repository a blob that another one of the registry has, and says
// whether that came about.
func (r *Registry) MountBlob(ctx context.Context, repo, from string, d digest.Digest) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	source := registry.Reference{Registry: r.base.Host, Repository: from}
	if err := source.ValidateRepository(); err != nil {
		return false, fmt.Errorf("%w: %.100q is no name of a repository", ErrWrong, from)
	}
	ctx = auth.AppendRepositoryScope(ctx, source, auth.ActionPull)
	query := url.Values{"mount": {d.String()}, "from": {from}}.Encode()
	req, err := r.request(ctx, http.MethodPost, repo, "blobs/uploads/?"+query, auth.ActionPull, auth.ActionPush)
	if err != nil {
		return false, err
	}
	answer, err := r.expect(req, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return false, err
	}
	if err := answer.Body.Close(); err != nil {
		return false, failed(req, err)
	}
	if answer.StatusCode == http.StatusCreated {
		return true, nil
	}
	r.cancelUpload(ctx, repo, answer)
	return false, nil
}
