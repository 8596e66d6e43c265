package ociapi

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/registry"
)

// reference reads a tag, a digest or "tag@digest", where the digest
// counts and the tag does not.
func (t target) reference() (registry.Ref, error) {
	_, after, both := strings.Cut(t.ref, "@")
	if !both {
		after = t.ref
	}
	if both || strings.Contains(t.ref, ":") {
		d, err := parseDigest(after)
		return registry.Ref{Digest: d}, err
	}
	tag, err := registry.ParseTag(t.ref)
	return registry.Ref{Tag: tag}, err
}

// existing is reference for what should be there. A tag that no image can have
// names none: 404, as the specification demands for what is not found.
func (t target) existing() (registry.Ref, error) {
	ref, err := t.reference()
	if registry.CodeOf(err) == registry.TagInvalid {
		err = refuse(http.StatusNotFound, errcode.ErrorCodeManifestUnknown, "%s", err)
	}
	return ref, err
}

func (s *Server) headManifest(w http.ResponseWriter, r *http.Request, to target) error {
	ref, err := to.existing()
	if err != nil {
		return err
	}
	if _, err := s.origin(w, r, to); err != nil {
		return err
	}
	img, err := s.registry.Image(r.Context(), to.name, ref)
	if err != nil {
		return err
	}
	return sendManifest(w, r, ref, img, nil)
}

func (s *Server) getManifest(w http.ResponseWriter, r *http.Request, to target) error {
	ref, err := to.existing()
	if err != nil {
		return err
	}
	img, body, err := s.registry.Manifest(r.Context(), to.name, ref)
	if err != nil {
		return err
	}
	return sendManifest(w, r, ref, img, body)
}

// sendManifest answers a GET or, without body, a HEAD.
func sendManifest(w http.ResponseWriter, r *http.Request, ref registry.Ref, img registry.Image, body []byte) error {
	c := content{digest: img.Digest, size: img.ManifestSize, mediaType: img.MediaType, cache: cacheForever}
	if !ref.Tag.IsZero() {
		c.cache = "private, no-cache" // tags move
	}
	if img.Stale {
		w.Header().Set("Warning", `110 - "Response is Stale"`) // RFC 7234, section 5.5.1
	}
	part, done, err := c.begin(w, r)
	if done || body == nil {
		return err
	}
	_, _ = w.Write(body[part.start : part.start+part.n]) // a client that is gone reads nothing
	return nil
}

func (s *Server) putManifest(w http.ResponseWriter, r *http.Request, to target) error {
	ref, err := to.reference()
	if err != nil {
		return err
	}
	tags, err := to.pushTags(ref)
	if err != nil {
		return err
	}
	body, err := s.readManifest(r)
	if err != nil {
		return err
	}
	create, err := s.may(r.Context(), to, createRepository)
	if err != nil {
		return err
	}
	origin, err := s.admitReplica(w, r, to, create)
	if err != nil {
		return err
	}
	got, err := s.registry.PutImage(r.Context(), to.name, registry.Push{
		Tags: tags, Want: ref.Digest, MediaType: r.Header.Get("Content-Type"), Body: body, MayCreate: create, May: to.may, MaySign: registry.MaySignAs(s.authorizer, to.by),
		AnyTags: !s.does(boundedTags), Origin: origin,
	})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Location", to.url("/manifests/"+got.Image.Digest.String()))
	h.Set("Docker-Content-Digest", got.Image.Digest.String())
	if !got.Image.Subject.IsZero() {
		h.Set("OCI-Subject", got.Image.Subject.String())
	}
	if ref.Tag.IsZero() {
		for _, tag := range tags {
			h.Add("OCI-Tag", tag.String())
		}
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// maxPushTags is how many tags a push may set. The specification's draft asks
// for ten at least.
const maxPushTags = 100

// pushTags are the tags that a push sets: the one that it goes to or, where it
// goes to a digest, those of the query (distribution-spec, development version,
// "Pushing Manifests").
func (t target) pushTags(ref registry.Ref) (tags []registry.Tag, err error) {
	if !ref.Tag.IsZero() {
		return []registry.Tag{ref.Tag}, nil
	}
	list := t.query["tag"]
	if len(list) > maxPushTags {
		return nil, refuse(http.StatusRequestURITooLong, errcode.ErrorCodeTagInvalid, "a push sets at most %d tags", maxPushTags).of("tag")
	}
	for _, s := range list {
		tag, err := registry.ParseTag(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// namedTags are the tags that a request to a manifest names, as they stand there, "" for
// none; nil where it takes an image with whatever tags it has.
func (t target) namedTags(method string) []string {
	byTag := !strings.ContainsAny(t.ref, ":@")
	switch {
	case byTag:
		return []string{t.ref}
	case method == http.MethodDelete:
		return nil
	case len(t.query["tag"]) > 0:
		return t.query["tag"][:min(len(t.query["tag"]), maxPushTags)]
	}
	return []string{""}
}

// readManifest reads a body of as many bytes as a manifest may have.
func (s *Server) readManifest(r *http.Request) ([]byte, error) {
	limit := s.registry.Limits().Manifest
	tooLarge := refuse(http.StatusRequestEntityTooLarge, errcode.ErrorCodeSizeInvalid, "a manifest has at most %d bytes", limit).of("imageManifest")
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", registry.ErrBody, err)
	}
	if int64(len(body)) > limit {
		return nil, tooLarge
	}
	return body, nil
}

// lastTag says what becomes of an image with its last tag.
func (s *Server) lastTag() registry.LastTag {
	if s.does(lastTagTakesImage) {
		return registry.RemoveLast
	}
	return registry.KeepImage
}

func (s *Server) deleteManifest(w http.ResponseWriter, r *http.Request, to target) error {
	ref, err := to.existing()
	if err != nil {
		return err
	}
	origin, err := s.origin(w, r, to)
	if err != nil {
		return err
	}
	if origin != nil {
		err = s.registry.DeleteReplica(r.Context(), to.name, ref, *origin, to.may)
	} else if ref.Tag.IsZero() {
		_, err = s.registry.DeleteImage(r.Context(), to.name, ref, to.may)
	} else {
		_, err = s.registry.Untag(r.Context(), to.name, ref.Tag, s.lastTag(), to.may)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
