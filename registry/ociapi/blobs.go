package ociapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// parseDigest reads a digest that a client sent.
func parseDigest(s string) (digest.Digest, error) {
	d, err := digest.Parse(s)
	if err != nil {
		return d, refuse(http.StatusBadRequest, errcode.ErrorCodeDigestInvalid, "%s", err).of("digest")
	}
	return d, nil
}

func (s *Server) headBlob(w http.ResponseWriter, r *http.Request, to target) error {
	d, err := parseDigest(to.ref)
	if err != nil {
		return err
	}
	l, err := s.registry.Layer(r.Context(), to.name, d)
	if err != nil {
		return err
	}
	return s.sendLayer(w, r, l, nil)
}

func (s *Server) getBlob(w http.ResponseWriter, r *http.Request, to target) error {
	d, err := parseDigest(to.ref)
	if err != nil {
		return err
	}
	l, content, err := s.registry.OpenLayer(r.Context(), to.name, d)
	if err != nil {
		return err
	}
	defer content.Close()
	return s.sendLayer(w, r, l, content)
}

func (s *Server) deleteBlob(w http.ResponseWriter, r *http.Request, to target) error {
	if s.does(keptBlobs) {
		return noRoute()
	}
	d, err := parseDigest(to.ref)
	if err != nil {
		return err
	}
	if err := s.registry.DeleteLayer(r.Context(), to.name, d); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// sendLayer answers a GET or, without content, a HEAD.
func (s *Server) sendLayer(w http.ResponseWriter, r *http.Request, l registry.Layer, content io.ReadSeeker) error {
	if done, err := checkConditions(w, r, l.Digest); done {
		return err
	}
	part, partial, ok := rangeOf(r, l)
	if !ok {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", l.Size))
		return refuse(http.StatusRequestedRangeNotSatisfiable, errcode.ErrorCodeRangeInvalid, "the blob has no such range of bytes")
	}
	if content != nil {
		if _, err := content.Seek(part.start, io.SeekStart); err != nil {
			return fmt.Errorf("read layer %s: %w", l.Digest, err)
		}
	}
	setLayerHeaders(w.Header(), l, part)
	status := http.StatusOK
	if partial {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.start, part.start+part.n-1, l.Size))
		status = http.StatusPartialContent
	}
	w.WriteHeader(status)
	if content == nil {
		return nil
	}
	// CopyN hands w a LimitedReader over the content: of an *os.File that goes
	// by sendfile.
	if _, err := io.CopyN(w, content, part.n); err != nil {
		s.breakOff(r, fmt.Errorf("send layer %s: %w", l.Digest, err))
	}
	return nil
}

func setLayerHeaders(h http.Header, l registry.Layer, part span) {
	setIdentity(h, l.Digest)
	h.Set("Cache-Control", cacheForever)
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(part.n, 10))
}

// What lies under a digest never changes, but is for the caller's eyes alone.
const cacheForever = "private, max-age=31536000, immutable"

// rangeOf is what a request wants of a layer, as readRange has it. A Range is
// for GET alone (RFC 9110, section 14.2), and off if its If-Range is not met.
func rangeOf(r *http.Request, l registry.Layer) (part span, partial, ok bool) {
	headers := r.Header.Values("Range")
	if v := r.Header.Get("If-Range"); r.Method != http.MethodGet || v != "" && v != etag(l.Digest) {
		headers = nil
	}
	return readRange(headers, l.Size)
}

// breakOff ends an answer whose beginning has been sent, so that the client
// sees it is not whole.
func (s *Server) breakOff(r *http.Request, err error) {
	if !hasGone(r, err) {
		s.log.ErrorContext(r.Context(), "answer broke off",
			"request", s.requestID(r.Context()), "method", r.Method, "path", r.URL.Path, "err", err)
	}
	panic(http.ErrAbortHandler)
}

// hasGone says whether err only tells that the client went away, or does not
// take what it asked for.
func hasGone(r *http.Request, err error) bool {
	return r.Context().Err() != nil || errors.Is(err, context.Canceled) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded)
}
