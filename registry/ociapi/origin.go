package ociapi

import (
	"net/http"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/registry"
)

// originHeader is where another Berth says on which server, and when, what it sends came
// to be there. The answer has the id of this server in it if that is heeded.
const originHeader = "Berth-Origin"

// origin is that of a replica, nil where the request has none or the caller may not
// replicate images to the target: then it is a request like any other.
func (s *Server) origin(w http.ResponseWriter, r *http.Request, to target) (*registry.Origin, error) {
	text := r.Header.Get(originHeader)
	if text == "" {
		return nil, nil
	}
	may, err := s.may(r.Context(), to, replicateImage)
	if err != nil || !may {
		return nil, err
	}
	o, err := registry.ParseOrigin(text)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, errcode.ErrorCodeUnsupported, "%s", err)
	}
	if err := s.registry.CheckOrigin(o); err != nil {
		return nil, err
	}
	id, err := s.registry.ServerID(r.Context())
	w.Header().Set(originHeader, id)
	return &o, err
}

// admitReplica is origin for what is pushed: a repository that is missing is made as
// replication makes it, if the caller may make it.
func (s *Server) admitReplica(w http.ResponseWriter, r *http.Request, to target, mayCreate bool) (*registry.Origin, error) {
	o, err := s.origin(w, r, to)
	if err != nil || o == nil || !mayCreate {
		return o, err
	}
	return o, s.registry.AdmitReplica(r.Context(), to.name)
}
