package ociapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
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
	l, err := s.registry.PresentLayer(r.Context(), to.name, d)
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

// sendLayer answers a GET or, without a source, a HEAD.
func (s *Server) sendLayer(w http.ResponseWriter, r *http.Request, l registry.Layer, src io.ReadSeeker) error {
	c := content{digest: l.Digest, size: l.Size, mediaType: "application/octet-stream", cache: cacheForever}
	part, done, err := c.begin(w, r)
	if done || src == nil {
		return err
	}
	_, err = src.Seek(part.start, io.SeekStart)
	if err == nil {
		// CopyN hands w a LimitedReader over the source: of an *os.File that
		// goes by sendfile.
		_, err = io.CopyN(w, src, part.n)
	}
	if err != nil {
		s.breakOff(r, fmt.Errorf("send layer %s: %w", l.Digest, err))
	}
	return nil
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
