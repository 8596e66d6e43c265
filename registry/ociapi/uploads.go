package ociapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// only returns the value of a query member that may stand once.
func only(q url.Values, member string) (value string, given bool, err error) {
	switch list := q[member]; len(list) {
	case 0:
		return "", false, nil
	case 1:
		return list[0], true, nil
	}
	return "", true, refuse(http.StatusBadRequest, errcode.ErrorCodeUnsupported, "the query has %q more than once", member).of(member)
}

// onlyDigest is only for a member that is a digest, zero if it is not given.
func onlyDigest(q url.Values, member string) (d digest.Digest, err error) {
	value, given, err := only(q, member)
	if err != nil || !given {
		return d, err
	}
	return parseDigest(value)
}

// startUpload mounts a blob, takes a whole one, or begins an upload.
func (s *Server) startUpload(w http.ResponseWriter, r *http.Request, to target) error {
	mount, err := onlyDigest(to.query, "mount")
	if err != nil {
		return err
	}
	whole, err := s.wholeUpload(to)
	if err != nil {
		return err
	}
	start, err := newUpload(to.query, whole)
	if err != nil {
		return err
	}
	if start.MayCreate, err = s.may(r.Context(), to, createRepository); err != nil {
		return err
	}
	if _, err := s.admitReplica(w, r, to, start.MayCreate); err != nil {
		return err
	}
	if !mount.IsZero() {
		if done, err := s.mount(w, r, to, mount, start.MayCreate); done || err != nil {
			return err
		}
	}
	u, err := s.registry.StartUpload(r.Context(), to.name, start)
	if err != nil {
		return err
	}
	if !whole.IsZero() {
		return s.takeWhole(w, r, to, u, whole)
	}
	s.setProgress(w, to, u)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// wholeUpload is the digest of a blob that comes with its POST, zero if none
// does.
func (s *Server) wholeUpload(to target) (digest.Digest, error) {
	if s.does(noWholeUpload) {
		return digest.Digest{}, nil
	}
	return onlyDigest(to.query, "digest")
}

// newUpload chooses the algorithm that an upload is hashed with on its way.
func newUpload(q url.Values, whole digest.Digest) (registry.NewUpload, error) {
	if !whole.IsZero() {
		return registry.NewUpload{Algorithm: whole.Algorithm()}, nil
	}
	const member = "digest-algorithm"
	name, given, err := only(q, member)
	if err != nil || !given {
		return registry.NewUpload{}, err
	}
	a, err := digest.ParseAlgorithm(name)
	if err != nil {
		return registry.NewUpload{}, refuse(http.StatusBadRequest, errcode.ErrorCodeDigestInvalid, "%s", err).of(member)
	}
	return registry.NewUpload{Algorithm: a}, nil
}

// takeWhole finishes an upload with the body of the request that began it.
// Nothing of it stays if that fails.
func (s *Server) takeWhole(w http.ResponseWriter, r *http.Request, to target, u registry.Upload, d digest.Digest) error {
	_, err := s.registry.AppendUpload(r.Context(), to.name, u.ID, registry.Part{Offset: 0, Length: r.ContentLength, Body: r.Body})
	if err == nil {
		_, err = s.registry.FinishUpload(r.Context(), to.name, u.ID, registry.Finish{Digests: []digest.Digest{d}})
	}
	if err == nil {
		return created(w, to, d)
	}
	cancel := s.registry.CancelUpload(context.WithoutCancel(r.Context()), to.name, u.ID)
	if cancel != nil && registry.CodeOf(cancel) == "" {
		return fmt.Errorf("drop upload %s after %q: %w", u.ID, err, cancel)
	}
	return err
}

// created answers that the repository has a blob now.
func created(w http.ResponseWriter, to target, d digest.Digest) error {
	w.Header().Set("Location", to.url("/blobs/"+d.String()))
	w.Header().Set("Docker-Content-Digest", d.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// setProgress says how far an upload is. A client that has sent nothing reads
// "0-0", as from every registry since the first: a range cannot say "none".
func (s *Server) setProgress(w http.ResponseWriter, to target, u registry.Upload) {
	h := w.Header()
	h.Set("Location", to.url("/blobs/uploads/"+u.ID))
	h.Set("Range", fmt.Sprintf("0-%d", max(u.Offset-1, 0)))
	if !s.does(noUploadUUID) {
		h.Set("Docker-Upload-Uuid", u.ID)
	}
}

func (s *Server) uploadStatus(w http.ResponseWriter, r *http.Request, to target) error {
	if s.does(noUploadStatus) {
		return noRoute()
	}
	u, err := s.registry.Upload(r.Context(), to.name, to.ref)
	if err != nil {
		return err
	}
	s.setProgress(w, to, u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) patchUpload(w http.ResponseWriter, r *http.Request, to target) error {
	u, err := s.appendBody(w, r, to)
	if err != nil {
		return err
	}
	s.setProgress(w, to, u)
	if s.does(patchCreates) {
		w.WriteHeader(http.StatusCreated)
		return nil
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// appendBody adds the body of a request to an upload. Where that fails but the
// upload stays, the answer says how far it is.
func (s *Server) appendBody(w http.ResponseWriter, r *http.Request, to target) (registry.Upload, error) {
	place, ok := chunkPlace(r)
	if !ok {
		return s.refuseChunk(w, r, to)
	}
	part := registry.Part{Offset: place.start, Length: place.n, Body: r.Body}
	if place.start >= 0 {
		part.Body = &exactly{r.Body, place.n}
	}
	u, err := s.registry.AppendUpload(r.Context(), to.name, to.ref, part)
	if err != nil {
		s.showProgress(w, to, u, err)
	}
	return u, err
}

// refuseChunk answers a chunk whose headers are malformed or disagree.
func (s *Server) refuseChunk(w http.ResponseWriter, r *http.Request, to target) (registry.Upload, error) {
	u, err := s.registry.Upload(r.Context(), to.name, to.ref)
	if err != nil {
		return u, err
	}
	s.setProgress(w, to, u)
	a := answers[registry.UploadOffset]
	return u, refuse(a.status, a.code, `Content-Range is "start-end", both inclusive, and as long as the body`)
}

// showProgress adds to a refusal how far the upload is, if that is known.
func (s *Server) showProgress(w http.ResponseWriter, to target, u registry.Upload, err error) {
	var e *registry.Error
	if errors.As(err, &e) && e.Code == registry.UploadOffset {
		u = registry.Upload{ID: e.Upload, Offset: e.Offset}
	}
	if u.ID != "" {
		s.setProgress(w, to, u)
	}
}

// finishUpload takes the last part, if there is one, and closes the upload.
func (s *Server) finishUpload(w http.ResponseWriter, r *http.Request, to target) error {
	d, err := onlyDigest(to.query, "digest")
	if err != nil {
		return err
	}
	if d.IsZero() {
		return refuse(http.StatusBadRequest, errcode.ErrorCodeDigestInvalid, "the query must have the digest of the whole blob").of("digest")
	}
	if r.ContentLength != 0 || r.Header.Get("Content-Range") != "" {
		if _, err := s.appendBody(w, r, to); err != nil {
			return err
		}
	}
	_, err = s.registry.FinishUpload(r.Context(), to.name, to.ref, registry.Finish{Digests: []digest.Digest{d}, Parts: s.does(partRules)})
	if err != nil {
		s.showProgress(w, to, registry.Upload{}, err)
		return err
	}
	return created(w, to, d)
}

func (s *Server) cancelUpload(w http.ResponseWriter, r *http.Request, to target) error {
	if err := s.registry.CancelUpload(r.Context(), to.name, to.ref); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
