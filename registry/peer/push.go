package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/seed-78150930/berth/registry/digest"
)

const (
	partSize    = 64 << 20 // of what is sent in one request, and lost at most when that breaks
	maxPart     = 1 << 30  // that a registry may demand
	maxFailures = 5        // one after the other without a byte that came through
	cancelTime  = 10 * time.Second
)

// PushBlob sends a blob of a size that is known. What is larger than a part goes in
// several, and where one breaks the registry is asked how far it came, and that is
// gone on with; "open" opens the bytes from an offset on and may be called several
// times. An error of theirs ends it.
func (r *Registry) PushBlob(ctx context.Context, repo string, d digest.Digest, size int64, open func(from int64) (io.ReadCloser, error)) error {
	p := &pushing{Registry: r, repo: repo, digest: d, size: size, open: open, part: r.part}
	for failures := 0; ; {
		before := p.at
		err := p.proceed(ctx)
		if err == nil {
			return nil
		}
		if failures++; p.at > before {
			failures = 1
		}
		if failures > maxFailures || !p.mayGoOn(ctx, err) {
			p.cancel(ctx)
			return err
		}
		r.log.Debug("a push to a registry goes on", "host", r.base.Host, "blob", d, "at", p.at, "error", err)
		if err := r.pause(ctx, failures); err != nil {
			return fmt.Errorf("%s: %w", r.base.Host, err)
		}
	}
}

// pause is the time between a failure and the next try, a little longer each time.
func (r *Registry) pause(ctx context.Context, failures int) error {
	half := time.Duration(failures) * 250 * time.Millisecond
	return r.sleep(ctx, half+rand.N(half))
}

// pushing is a blob on its way.
type pushing struct {
	*Registry
	repo     string
	digest   digest.Digest
	size     int64
	open     func(from int64) (io.ReadCloser, error)
	part     int64
	location *url.URL // of the upload; nil before there is one
	at       int64    // bytes that the registry has
	lost     bool     // it is not known how many that are
	whole    bool     // the registry takes no parts
	changed  bool     // that has just been learnt
}

// proceed sends what is left.
func (p *pushing) proceed(ctx context.Context) error {
	if p.lost {
		if done, err := p.resume(ctx); done || err != nil {
			return err
		}
	}
	p.lost = true // until all is well
	if p.location == nil {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	for !p.whole && p.size > p.part && p.at < p.size {
		if err := p.send(ctx, min(p.part, p.size-p.at)); err != nil {
			return err
		}
	}
	return p.finish(ctx)
}

// start begins an upload.
func (p *pushing) start(ctx context.Context) error {
	req, err := p.request(ctx, http.MethodPost, p.repo, "blobs/uploads/", auth.ActionPull, auth.ActionPush)
	if err != nil {
		return err
	}
	answer, err := p.expect(req, http.StatusAccepted)
	if err != nil {
		return err
	}
	if least, err := strconv.ParseInt(answer.Header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil {
		p.part = min(max(p.part, least), maxPart)
	}
	p.at = 0
	return p.moved(answer)
}

// moved notes where the upload is now. An answer that does not say leaves it.
func (p *pushing) moved(answer *http.Response) error {
	if err := answer.Body.Close(); err != nil {
		return failed(answer.Request, err)
	}
	next, err := answer.Location()
	if err == nil {
		p.location = next
	}
	if p.location == nil {
		return wrong(p.base.Host, "an upload has no address")
	}
	return nil
}

// send sends a part.
func (p *pushing) send(ctx context.Context, length int64) error {
	req, source, err := p.toUpload(ctx, http.MethodPatch, length)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", p.at, p.at+length-1))
	answer, err := p.expect(req, http.StatusAccepted, http.StatusCreated, http.StatusNoContent)
	if err = source.instead(err); err != nil {
		p.learn(err)
		return err
	}
	if err := p.moved(answer); err != nil {
		return err
	}
	return p.came(answer, p.at+length)
}

// came notes how many bytes the registry has, by its own word or else as many as
// were sent.
func (p *pushing) came(answer *http.Response, sent int64) error {
	before := p.at
	p.at = sent
	if text := answer.Header.Get("Range"); text != "" {
		_, last, _ := strings.Cut(text, "-")
		end, err := strconv.ParseInt(last, 10, 64)
		if err != nil || end < 0 || end >= p.size {
			return wrong(p.base.Host, "an upload has the range %.40q", text)
		}
		p.at = end + 1
		if end == 0 && sent != 1 { // which says "none", too
			p.at = 0
		}
	}
	if p.at <= before && sent > before {
		return &Error{Host: p.base.Host, Message: "an upload does not grow"}
	}
	return nil
}

// learn remembers that a registry takes no parts when it refuses the first.
func (p *pushing) learn(err error) {
	refused := new(Error)
	if p.at != 0 || !errors.As(err, &refused) {
		return
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented:
		p.whole, p.changed = true, true
	}
}

// finish names the blob, and sends what is left of it.
func (p *pushing) finish(ctx context.Context) error {
	req, source, err := p.toUpload(ctx, http.MethodPut, p.size-p.at)
	if err != nil {
		return err
	}
	query := req.URL.Query()
	query.Set("digest", p.digest.String())
	req.URL.RawQuery = query.Encode()
	answer, err := p.expect(req, http.StatusCreated, http.StatusNoContent)
	if err = source.instead(err); err != nil {
		return err
	}
	return answer.Body.Close()
}

// toUpload is a request that sends so many bytes to the upload.
func (p *pushing) toUpload(ctx context.Context, method string, length int64) (*http.Request, *source, error) {
	req, err := p.request(ctx, method, p.repo, "blobs/uploads/", auth.ActionPull, auth.ActionPush)
	if err != nil {
		return nil, nil, err
	}
	u := *p.location
	req.URL, req.Host = &u, u.Host
	req.Header.Set("Content-Type", "application/octet-stream")
	s := &source{}
	if length == 0 {
		return req, s, nil
	}
	body, err := p.open(p.at)
	if err != nil {
		return nil, nil, &brokenSource{err}
	}
	s.ReadCloser, s.left = body, length
	req.Body, req.ContentLength = s, length
	return req, s, nil
}

// mayGoOn says whether going on with the upload, or beginning again, may help.
func (p *pushing) mayGoOn(ctx context.Context, err error) bool {
	if p.changed {
		p.changed = false
		return true
	}
	refused := new(Error)
	if ctx.Err() != nil || errors.As(err, new(*brokenSource)) || !errors.As(err, &refused) {
		return false
	}
	if errors.Is(err, ErrTooMany) {
		return refused.RetryAfter <= patience(ctx) && patience(ctx) > 0
	}
	if errors.Is(err, ErrUnavailable) {
		return true
	}
	// An upload may have ended, stand elsewhere than was thought, or want a token that
	// has not ended. What is wrong with the bytes does not mend.
	switch refused.Status {
	case http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable, http.StatusUnauthorized:
		return p.location != nil
	case http.StatusBadRequest:
		return p.location != nil && refused.Code != "DIGEST_INVALID" && refused.Code != "SIZE_INVALID"
	}
	return false
}

// resume finds out how far an upload came. One that has ended, or whose registry
// does not say, is begun again, unless it has ended well.
func (p *pushing) resume(ctx context.Context) (done bool, err error) {
	if p.location == nil {
		return false, nil
	}
	if p.whole {
		p.cancel(ctx)
		p.location, p.at = nil, 0
		return false, nil
	}
	err = p.locate(ctx)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTooMany) {
		return false, err
	}
	p.location, p.at = nil, 0
	return p.HasBlob(ctx, p.repo, p.digest)
}

// locate asks how far an upload came.
func (p *pushing) locate(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	req, _, err := p.toUpload(ctx, http.MethodGet, 0)
	if err != nil {
		return err
	}
	answer, err := p.expect(req, http.StatusNoContent, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	if err := p.moved(answer); err != nil {
		return err
	}
	if answer.Header.Get("Range") == "" {
		return wrong(p.base.Host, "an upload does not say how far it came")
	}
	p.at = 0
	return p.came(answer, 0)
}

// cancel tells the registry to forget an upload. Whatever comes of it, uploads end
// by themselves.
func (p *pushing) cancel(ctx context.Context) {
	if p.location != nil && ctx.Err() == nil {
		p.cancelAt(ctx, p.repo, p.location)
	}
}

// cancelUpload is cancel for the upload that an answer began.
func (r *Registry) cancelUpload(ctx context.Context, repo string, answer *http.Response) {
	if location, err := answer.Location(); err == nil {
		r.cancelAt(ctx, repo, location)
	}
}

func (r *Registry) cancelAt(ctx context.Context, repo string, location *url.URL) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer cancel()
	req, err := r.request(ctx, http.MethodDelete, repo, "blobs/uploads/", auth.ActionPull, auth.ActionPush)
	if err != nil {
		return
	}
	req.URL, req.Host = location, location.Host
	answer, err := r.Do(req)
	if err == nil {
		err = answer.Body.Close()
	}
	if err != nil {
		r.log.Debug("an upload was not cancelled", "host", r.base.Host, "error", err)
	}
}

// brokenSource is an error of the bytes that are to be sent.
type brokenSource struct{ err error }

func (b *brokenSource) Error() string { return "the bytes to push: " + b.err.Error() }
func (b *brokenSource) Unwrap() error { return b.err }

// source reads so many bytes and tells its own errors from the network's.
type source struct {
	io.ReadCloser
	left int64
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.ReadCloser.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	switch {
	case err == io.EOF && s.left > 0:
		err = io.ErrUnexpectedEOF
	case s.left == 0:
		err = io.EOF
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// instead is the source's own error, if it has one, for that of the request.
func (s *source) instead(err error) error {
	if err != nil && s.err != nil {
		return &brokenSource{s.err}
	}
	return err
}
