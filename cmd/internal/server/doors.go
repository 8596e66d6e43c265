package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/seed-78150930/berth/auth/stsapi"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// doors are what requests to a port come in by. They hold no state, and are
// made anew when names change.
type doors struct {
	names *endpoint.Names
	oci   http.Handler // /v2 and below
	links http.Handler // /layers/
	ecr   http.Handler // /
	sts   http.Handler // / too: see stsapi.Wants
	tools http.Handler // stsapi.ContainerPath
	ready func(context.Context) error
}

// serve routes by the path as it was sent: what is escaped stays so, and
// two slashes are two. A mux would tidy the path by a redirect, and a
// repository's name may hold anything that looks like a route.
func (d *doors) serve(w http.ResponseWriter, r *http.Request, to door) {
	switch to {
	case ociDoor:
		d.oci.ServeHTTP(w, r)
	case linkDoor:
		d.links.ServeHTTP(w, r)
	case ecrDoor:
		d.ecr.ServeHTTP(w, r)
	case healthDoor: // watchers ask by whatever address they have
		d.serveHealth(w, r)
	default:
		d.serveUnnamed(w, r)
	}
}

// door is where a request comes in.
type door int

const (
	otherDoor door = iota // STS among them
	ociDoor
	linkDoor
	ecrDoor
	healthDoor
)

// doorNames are what metrics call them.
var doorNames = [...]string{otherDoor: "other", ociDoor: "oci", linkDoor: "layers", ecrDoor: "ecr", healthDoor: "health"}

// doorOf finds the door by the escaped path.
func doorOf(r *http.Request, path string) door {
	switch {
	case path == "/v2", strings.HasPrefix(path, "/v2/"):
		return ociDoor
	case strings.HasPrefix(path, "/layers/"):
		return linkDoor
	case path == "/" && !stsapi.Wants(r):
		return ecrDoor
	case path == "/healthz", path == "/readyz":
		return healthDoor
	}
	return otherDoor
}

// serveUnnamed answers what knows nothing of names: those that are not ours are
// refused here.
func (d *doors) serveUnnamed(w http.ResponseWriter, r *http.Request) {
	if _, err := d.names.Site(r); err != nil {
		writePlain(w, http.StatusMisdirectedRequest, "this is not a host of this server")
		return
	}
	switch r.URL.EscapedPath() {
	case "/":
		d.sts.ServeHTTP(w, r)
	case stsapi.ContainerPath:
		d.tools.ServeHTTP(w, r)
	default:
		writePlain(w, http.StatusNotFound, "not found")
	}
}

func (d *doors) serveHealth(w http.ResponseWriter, r *http.Request) {
	if r.URL.EscapedPath() == "/healthz" {
		writePlain(w, http.StatusOK, "ok")
		return
	}
	if err := d.ready(r.Context()); err != nil {
		writePlain(w, http.StatusServiceUnavailable, "not ready")
		return
	}
	writePlain(w, http.StatusOK, "ready")
}

func writePlain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // a client that is gone reads nothing
}
