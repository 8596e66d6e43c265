package ociapi

import (
	"net/http"
	"net/url"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
)

// maxReferrers is the largest page of referrers. The domain makes it smaller
// where their annotations are large.
const maxReferrers = 1_000

// listReferrers answers with an image index of the manifests whose subject is
// the digest. There need not be any, nor the subject itself.
func (s *Server) listReferrers(w http.ResponseWriter, r *http.Request, to target) error {
	subject, err := parseDigest(to.ref)
	if err != nil {
		return err
	}
	last, _, err := only(to.query, "last")
	if err != nil {
		return err
	}
	types := artifactTypes(to.query)
	page, next, err := s.registry.Referrers(r.Context(), to.name, subject, registry.ReferrerFilter{ArtifactTypes: types}, last, maxReferrers)
	if err != nil {
		return err
	}
	if next != "" {
		q := url.Values{"last": {next}}
		if len(types) > 0 {
			q["artifactType"] = types
		}
		setNext(w, to.url("/referrers/"+subject.String()), q)
	}
	if len(types) > 0 {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
	writeJSON(w, r, http.StatusOK, indexOf(page))
	return nil
}

// artifactTypes are those that the query filters by. An empty one is none.
func artifactTypes(q url.Values) (types []string) {
	for _, t := range q["artifactType"] {
		if t != "" {
			types = append(types, t)
		}
	}
	return types
}

func indexOf(page []registry.Referrer) v1.Index {
	x := v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{}, // [] rather than null where there are none
	}
	for _, f := range page {
		x.Manifests = append(x.Manifests, v1.Descriptor{
			MediaType: f.MediaType, Digest: f.Digest.OCI(), Size: f.Size,
			ArtifactType: f.ArtifactType, Annotations: f.Annotations,
		})
	}
	return x
}
