package ociapi

import (
	"context"
	"net/http"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// mount gives the repository a blob of another one. done is false if there is
// none that the caller may read: why is not told, and an ordinary upload
// begins.
func (s *Server) mount(w http.ResponseWriter, r *http.Request, to target, d digest.Digest, mayCreate bool) (done bool, err error) {
	from, ok, err := s.mountSource(to)
	if err != nil || !ok {
		return false, err
	}
	_, err = s.registry.Mount(r.Context(), to.name, d, registry.Mount{
		From: from, MayRead: s.mayRead(to), MayCreate: mayCreate, AsECR: s.does(mountBySetting),
	})
	if registry.CodeOf(err) == registry.LayerNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, created(w, to, d)
}

// mountSource is the repository that the query names, zero if it names none.
// ok is false if no repository of the target's registry can have that name.
func (s *Server) mountSource(to target) (from registry.Name, ok bool, err error) {
	value, given, err := only(to.query, "from")
	if err != nil || !given {
		return from, err == nil, err
	}
	id, _, path, err := s.locate(to.site, to.by, value)
	if err != nil || id != to.id {
		return from, false, nil
	}
	from, err = registry.ParseName(id, path)
	return from, err == nil, nil
}

// mayRead says whether the caller may read the layers of a repository: pull
// them, and ask whether they are there. Both are always asked, so that a refusal
// takes as long as an answer.
func (s *Server) mayRead(to target) func(context.Context, registry.Name) bool {
	return func(ctx context.Context, n registry.Name) bool {
		source := to
		source.id, source.name = n.ID(), n
		may := true
		for _, action := range []string{getLayer, checkLayer} {
			ok, err := s.may(ctx, source, action)
			if err != nil {
				s.log.ErrorContext(ctx, "mount without asking further", "request", s.requestID(ctx), "repository", n.ARN(), "err", err)
			}
			may = may && ok
		}
		return may
	}
}
