package ociapi

import (
	"net/http"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

// kind is what a path leads to.
type kind string

const (
	root      kind = "root"      // /v2/
	catalog   kind = "catalog"   // /v2/_catalog
	tags      kind = "tags"      // /v2/<name>/tags/list
	manifests kind = "manifests" // /v2/<name>/manifests/<reference>
	blobs     kind = "blobs"     // /v2/<name>/blobs/<digest>
	uploads   kind = "uploads"   // /v2/<name>/blobs/uploads/
	upload    kind = "upload"    // /v2/<name>/blobs/uploads/<id>
	referrers kind = "referrers" // /v2/<name>/referrers/<digest>
)

// route is a path taken apart. Nothing of it has been checked.
type route struct {
	kind kind
	path string // the repository, or "_catalog", perhaps behind "<account>/<region>/"; "" for root
	ref  string // tag, digest or upload id; "" where the kind has none
}

const catalogPath = "_catalog"

// parseRoute takes an escaped path apart. A repository may be called "a/tags"
// or "manifests/b", so paths are read from their end: the last marker counts,
// and all before it is the repository.
//
// The path is never decoded or cleaned: a "%2f", a ".." or an empty segment
// stays in the repository's name, which is refused for it. Only a colon of the
// last segment may be encoded, as some clients encode that of a digest.
func parseRoute(escaped string) (route, error) {
	path, ok := strings.CutPrefix(escaped, "/v2/")
	switch {
	case escaped == "/v2" || ok && path == "":
		return route{kind: root}, nil
	case !ok:
		return route{}, noRoute()
	case strings.HasSuffix(escaped, "/"+catalogPath):
		return route{kind: catalog, path: path}, nil
	}
	for _, suffix := range []struct {
		end  string
		kind kind
	}{{"/tags/list", tags}, {"/blobs/uploads/", uploads}, {"/blobs/uploads", uploads}} {
		if name, ok := strings.CutSuffix(escaped[len("/v2"):], suffix.end); ok {
			return route{kind: suffix.kind, path: strings.TrimPrefix(name, "/")}, nil
		}
	}
	return parseReference(path)
}

// parseReference reads a path that ends in a reference.
func parseReference(path string) (route, error) {
	before, ref, _ := cutLast(path)
	name, marker, _ := cutLast(before)
	if marker == "uploads" && (name == "blobs" || strings.HasSuffix(name, "/blobs")) {
		name, _, _ = cutLast(name)
		return route{upload, name, ref}, nil
	}
	switch k := kind(marker); k {
	case manifests, blobs, referrers:
		if ref != "" {
			return route{k, name, decodeColon(ref)}, nil
		}
	}
	return route{}, noRoute()
}

// cutLast cuts at the last slash; without one, all of path is behind it.
func cutLast(path string) (before, after string, found bool) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:], i >= 0
}

var encodedColon = strings.NewReplacer("%3A", ":", "%3a", ":")

func decodeColon(ref string) string {
	if !strings.Contains(ref, "%") {
		return ref
	}
	return encodedColon.Replace(ref)
}

func noRoute() error {
	e := refuse(http.StatusNotFound, errcode.ErrorCodeUnsupported, "no resource of the registry has this path")
	e.noResource = true
	return e
}
