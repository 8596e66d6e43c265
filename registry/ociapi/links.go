package ociapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// LayerLinks is the handler of the signed links to layers that the JSON API
// hands out, "/layers/<account>/<region>/<digest>/<repository>?…". A link opens
// its layer to GET and HEAD, without further credentials, for as long as whoever
// asked for it may read the layer.
func (s *Server) LayerLinks() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call, w, r := s.audit.Begin(w, r, audit.Links)
		defer call.End()
		call.Event = getLayerEvent
		if err := s.serveLink(call, w, r); err != nil {
			s.writeError(w, r, err)
		}
		call.Answered()
	})
}

func (s *Server) serveLink(call *audit.Call, w http.ResponseWriter, r *http.Request) error {
	if err := unrecorded(r, call.Refused()); err != nil {
		return err
	}
	if _, err := s.site(r); err != nil {
		return err
	}
	name, d, ok := parseLink(r.URL.EscapedPath())
	query, err := url.ParseQuery(r.URL.RawQuery)
	if !ok || err != nil {
		return refuse(http.StatusForbidden, errcode.ErrorCodeDenied, "The link is not valid.")
	}
	call.Parameters = audit.Fields{{Name: "repositoryName", Value: name.String()}, {Name: "layerDigest", Value: d.String()}}
	by, err := s.credentials.VerifyLink(r.Context(), credentials.Link{
		Account: name.ID().Account, Region: name.ID().Region, Repository: name.String(), Digest: d.String(), Method: r.Method,
	}, query)
	if err != nil {
		return err
	}
	to := target{by: by, id: name.ID(), name: name, ref: d.String()}
	aim(call, to)
	r = identified(r, by)
	if err := s.authorize(r.Context(), to, getLayer); err != nil {
		return s.noteDenied(r.Context(), to, err)
	}
	if r.Method == http.MethodHead {
		return s.headBlob(w, r, to)
	}
	return s.getBlob(w, r, to)
}

// parseLink takes the path of a link apart. Like that of a route it is never
// decoded, but for the colon of the digest.
func parseLink(escaped string) (name registry.Name, d digest.Digest, ok bool) {
	rest, ok := strings.CutPrefix(escaped, "/layers/")
	parts := strings.SplitN(rest, "/", 4)
	if !ok || len(parts) != 4 {
		return name, d, false
	}
	id, err := registry.ParseID(parts[0], parts[1])
	if err != nil {
		return name, d, false
	}
	if d, err = digest.Parse(decodeColon(parts[2])); err != nil {
		return name, d, false
	}
	name, err = registry.ParseName(id, parts[3])
	return name, d, err == nil
}
