package ociapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// target is what a request is about.
type target struct {
	site   endpoint.Site
	by     auth.Principal
	id     registry.ID
	prefix string        // "<account>/<region>/" where the path names the registry, else ""
	name   registry.Name // zero for root and catalog
	ref    string        // as in route
	query  url.Values
	// absolute: addresses are, even where the Host header is not known.
	absolute bool
	// may decides on the tags that the request moves, where it moves any.
	may registry.May
	// grants are what the bearer token that was shown is for, nil for none.
	grants *grants
}

// url is the address of something below the repository, in the form in which
// the client named it.
func (t target) url(below string) string {
	return t.address("/v2/" + t.prefix + t.name.String() + below)
}

// address is that of a path.
func (t target) address(path string) string {
	if t.absolute {
		return t.site.AbsoluteURL(path)
	}
	return t.site.URL(path)
}

// site reads the Host header.
func (s *Server) site(r *http.Request) (endpoint.Site, error) {
	site, err := s.names.Site(r)
	if errors.Is(err, endpoint.ErrMisdirected) {
		return site, refuse(http.StatusMisdirectedRequest, errcode.ErrorCodeDenied, "this server does not go by that host name")
	}
	return site, err
}

// errUnauthorized asks for credentials, or for others than were shown.
var errUnauthorized = refuse(http.StatusUnauthorized, errcode.ErrorCodeUnauthorized,
	"log in with the user AWS and a password from GetAuthorizationToken")

// authenticate verifies the one Authorization header of a request. Without any it is
// nobody's, if that is answered: never where clients ask how to log in, and never
// where something changes.
func (s *Server) authenticate(r *http.Request, site endpoint.Site) (auth.Principal, *grants, error) {
	shown := r.Header.Values("Authorization")
	if s.anonymous && showsNothing(r) && isRead(r) && r.URL.Path != "/v2/" && r.URL.Path != "/v2" {
		return auth.Nobody(""), nil, s.anonymousReads.Take(auth.RequestOf(r.Context()).SourceIP)
	}
	if len(shown) != 1 {
		return auth.Principal{}, nil, errUnauthorized
	}
	if text, ok := bearerOf(shown[0]); ok && s.bearer {
		return s.bear(r, site, text)
	}
	p, ok, err := s.credentials.BasicHeader(r.Context(), shown[0])
	if !ok {
		return auth.Principal{}, nil, errUnauthorized
	}
	if errors.Is(err, credentials.ErrBadPassword) {
		err = s.refusePassword(err)
	}
	return p, nil, err
}

// showsNothing says that a request has no credentials: no header, or one of a Basic with
// neither name nor password, which podman and skopeo send where they have none.
func showsNothing(r *http.Request) bool {
	switch shown := r.Header.Values("Authorization"); len(shown) {
	case 0:
		return true
	case 1:
		name, password, ok := r.BasicAuth()
		return ok && name == "" && password == ""
	}
	return false
}

func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// challenge says how to log in, if that is what err is about.
func (s *Server) challenge(w http.ResponseWriter, r *http.Request, site endpoint.Site, err error) error {
	if err == nil || !isUnauthorized(err) {
		return err
	}
	how := basicChallenge(site)
	if s.bearer {
		how = bearerChallenge(r, site, err)
	}
	w.Header().Set("Www-Authenticate", how)
	return err
}

func isUnauthorized(err error) bool {
	var e *refusal
	return errors.As(err, &e) && e.status == http.StatusUnauthorized
}

func basicChallenge(site endpoint.Site) string {
	return fmt.Sprintf(`Basic realm="%s",service="ecr.amazonaws.com"`, site.AbsoluteURL("/"))
}

// target works out which registry and repository a request means.
func (s *Server) target(r *http.Request, site endpoint.Site, by auth.Principal, at route) (target, error) {
	query, err := queryOf(r)
	if err != nil {
		return target{}, refuse(http.StatusBadRequest, errcode.ErrorCodeUnsupported, "the query cannot be read").of("query")
	}
	site, foreign, err := s.namespace(site, at, query)
	if err != nil {
		return target{}, err
	}
	id, prefix, path, err := s.locate(site, by, at.path)
	if err != nil {
		return target{}, err
	}
	by.Region = id.Region // of what is good in all regions
	to := target{site: site, by: by, id: id, prefix: prefix, ref: at.ref, query: query, absolute: s.does(absoluteURLs)}
	switch {
	case at.kind == root || at.kind == catalog && path == catalogPath:
		return to, nil
	case at.kind == catalog:
		return target{}, noRoute()
	}
	if foreign != "" {
		to.name, err = s.mirrored(r, id, foreign, path)
		return to, err
	}
	to.name, err = registry.ParseName(id, path)
	return to, err
}

// queryOf reads the query of a request; nil if it has none, as most.
func queryOf(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	return url.ParseQuery(r.URL.RawQuery)
}

// mirrored is the repository here that mirrors one of another registry, which a client
// asks for by that one's host and name. Only what is read is had from a mirror.
func (s *Server) mirrored(r *http.Request, id registry.ID, host, path string) (registry.Name, error) {
	name, ok, err := s.registry.MirroredName(r.Context(), id, host, path)
	if err == nil && (!ok || !isRead(r)) {
		err = unknownNamespace(host)
	}
	return name, err
}

func unknownNamespace(ns string) error {
	return refuse(http.StatusNotFound, errcode.ErrorCodeNameUnknown, "no registry of this server is known as %.100q", ns)
}

// namespace is the site of the registry that the clients of a mirror ask for, or the
// host of one that is not ours: that may be the upstream of a pull-through rule. One that
// is not either is not found, so that they go on to the next mirror or to the registry
// itself.
func (s *Server) namespace(site endpoint.Site, at route, query url.Values) (_ endpoint.Site, foreign string, err error) {
	ns, given, err := only(query, "ns")
	if err != nil || !given || at.kind == root {
		return site, "", err
	}
	account, region, ours := s.names.Namespace(ns)
	if !ours && (ns == "" || at.kind == catalog) {
		return site, "", unknownNamespace(ns)
	}
	if !ours {
		return site, ns, nil
	}
	if account != "" {
		site.Account, site.Region = account, region
	}
	return site, "", nil
}

// locate says which registry a path is in, and what is left of the path. The
// registry is that of the host name, else that at the beginning of the path,
// else the caller's own, else the server's own. A registry password opens one region
// alone.
func (s *Server) locate(site endpoint.Site, by auth.Principal, path string) (id registry.ID, prefix, rest string, err error) {
	account, region, rest := site.Account, site.Region, path
	if account == "" {
		a, r, name, ok := s.names.SplitPath(path)
		if ok {
			account, region, rest = a, r, name
			prefix = a + "/" + r + "/"
		}
	}
	home, at := s.names.Home()
	account, region = cmp.Or(account, by.Account, home), cmp.Or(region, by.Region, at)
	if by.Region == "" && s.names.HasRegion(region) {
		id, err = registry.ParseID(account, region)
		return id, prefix, rest, err
	}
	if (region != by.Region || !s.names.HasRegion(region)) && s.does(passwordRefusals) {
		return registry.ID{}, "", "", errForeignPassword
	}
	if region != by.Region || !s.names.HasRegion(region) {
		return registry.ID{}, "", "", refuse(http.StatusUnauthorized, errcode.ErrorCodeUnauthorized,
			"a registry password opens the region that issued it: log in to the region %s", region)
	}
	id, err = registry.ParseID(account, region)
	return id, prefix, rest, err
}

// resource is the ARN of the target.
func (t target) resource() string {
	if t.name.IsZero() {
		return t.id.ARN("*")
	}
	return t.name.ARN()
}

// check is the question whether the caller may do an action to the target.
func (t target) check(action string) auth.Check {
	return auth.Check{Principal: t.by, Action: action, Resource: t.resource(), Account: t.id.Account}
}

// permit asks for what an operation needs before it is begun, and returns the target
// with what is left to be asked later.
func (s *Server) permit(r *http.Request, to target, op operation, actions []string) (_ target, err error) {
	ctx := r.Context()
	if err := to.granted(actions...); err != nil {
		return to, err
	}
	switch op.asks {
	case bySight:
		return to, nil
	case whenMoved:
		to.may, err = registry.MayMove(ctx, s.authorizer, to.check(actions[0]), to.namedTags(r.Method)...)
		return to, err
	}
	return to, s.authorize(ctx, to, actions...)
}

// authorize asks for each action whether the caller may do it to the target.
func (s *Server) authorize(ctx context.Context, to target, actions ...string) error {
	if err := to.granted(actions...); err != nil {
		return err
	}
	for _, action := range actions {
		if err := s.authorizer.Authorize(ctx, to.check(action)); err != nil {
			return err
		}
	}
	return nil
}

// look is authorize for what nobody has asked for.
func (s *Server) look(ctx context.Context, to target, actions ...string) error {
	if err := to.granted(actions...); err != nil {
		return err
	}
	of, err := s.registry.Resource(ctx, to.resource())
	if err != nil {
		return err
	}
	for _, action := range actions {
		c := to.check(action)
		look, err := auth.LookFor(ctx, s.authorizer, c)
		if err != nil {
			return err
		}
		if err := look(ctx, c.Resource, of); err != nil {
			return err
		}
	}
	return nil
}

// noteDenied has a denial told, and returns it.
func (s *Server) noteDenied(ctx context.Context, to target, err error) error {
	if err == nil {
		return nil
	}
	var denied *auth.Denied
	if !errors.As(err, &denied) {
		return err
	}
	if to.by.Kind == auth.Anonymous {
		return errUnauthorized // who logs in may be somebody who may
	}
	s.registry.NoteDenied(ctx, to.id, denied)
	return err
}

// may says whether the caller may do all actions to the target, which he has not
// asked for: no denial is noted. The error is the fault that kept it from being
// decided.
func (s *Server) may(ctx context.Context, to target, actions ...string) (bool, error) {
	err := s.look(ctx, to, actions...)
	var denied *auth.Denied
	if errors.As(err, &denied) || errors.Is(err, errNarrow) {
		return false, nil
	}
	return err == nil, err
}
