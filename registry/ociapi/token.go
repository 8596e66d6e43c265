package ociapi

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/token"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// tokenPath is where bearer tokens are got, if they are given out: by GET with a Basic
// header, or by POST with a form ("Token Authentication Specification" and "OAuth2
// Token Authentication" of the distribution project). No repository's path is like it.
const tokenPath = "/v2/token"

const (
	// tokenEvent is what the audit trail calls a request for a bearer token.
	tokenEvent = "GetBearerToken"
	// maxTokenForm is far more than any client sends.
	maxTokenForm = 64 << 10
	// maxGrants is how many resources one token may be for.
	maxGrants = 100
)

// tokenAnswer is both forms of answer: clients of the older one look for token.
type tokenAnswer struct {
	Token       string    `json:"token"`
	AccessToken string    `json:"access_token"`
	TokenType   string    `json:"token_type"`
	Scope       string    `json:"scope,omitempty"`
	ExpiresIn   int       `json:"expires_in"`
	IssuedAt    time.Time `json:"issued_at"`
}

// serveToken gives out a bearer token, for what a client is about to do. What it asks
// for is not looked at: whether it may is seen when it does it. There is no refresh
// token; who asks for one gets none.
func (s *Server) serveToken(call *audit.Call, w http.ResponseWriter, r *http.Request, site endpoint.Site) error {
	ask, err := s.readTokenRequest(w, r)
	if err != nil {
		return err
	}
	if ask.Service != "" && ask.Service != site.Host() {
		return refuse(http.StatusBadRequest, errcode.ErrorCodeUnsupported, "tokens are given here for the service %q", site.Host())
	}
	ask.Service, call.Claimed = site.Host(), ask.Name
	if ask.Nobody {
		if err := s.anonymousReads.Take(auth.RequestOf(r.Context()).SourceIP); err != nil {
			return err
		}
	}
	b, err := s.credentials.IssueBearer(r.Context(), ask)
	if errors.Is(err, credentials.ErrBadPassword) {
		return s.refusePassword(err)
	}
	if err != nil {
		return err
	}
	call.Principal = b.By
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, r, http.StatusOK, tokenAnswer{
		Token: b.Token, AccessToken: b.Token, TokenType: "Bearer", Scope: scopeText(ask.Grants),
		ExpiresIn: int(b.Expires.Sub(b.Issued) / time.Second), IssuedAt: b.Issued,
	})
	return nil
}

// readTokenRequest reads who asks for a token and for what, but for the service, which
// is not checked.
func (s *Server) readTokenRequest(w http.ResponseWriter, r *http.Request) (credentials.BearerRequest, error) {
	switch r.Method {
	case http.MethodGet:
		return s.readTokenQuery(r)
	case http.MethodPost:
		return readTokenForm(w, r)
	}
	w.Header().Set("Allow", "GET, POST")
	e := refuse(http.StatusMethodNotAllowed, errcode.ErrorCodeUnsupported, "this resource has no such method")
	e.noResource = true
	return credentials.BearerRequest{}, e
}

// readTokenQuery reads a GET. Without credentials it is nobody's, if reads of nobody are
// answered.
func (s *Server) readTokenQuery(r *http.Request) (ask credentials.BearerRequest, err error) {
	name, password, ok := r.BasicAuth()
	if ask.Nobody = s.anonymous && showsNothing(r); !ask.Nobody && (!ok || len(r.Header.Values("Authorization")) != 1) {
		return ask, errUnauthorized
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ask, refuse(http.StatusBadRequest, errcode.ErrorCodeUnsupported, "the query cannot be read").of("query")
	}
	ask.Name, ask.Password = name, password
	return ask, readTarget(&ask, query)
}

// readTokenForm reads a POST: of OAuth 2's grants that of a password alone.
func readTokenForm(w http.ResponseWriter, r *http.Request) (ask credentials.BearerRequest, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTokenForm)
	if err := r.ParseForm(); err != nil {
		return ask, refuse(http.StatusBadRequest, errcode.ErrorCodeUnsupported, "the form cannot be read")
	}
	for _, m := range []struct {
		name string
		to   *string
	}{{"grant_type", new(string)}, {"username", &ask.Name}, {"password", &ask.Password}} {
		if *m.to, _, err = only(r.PostForm, m.name); err != nil {
			return ask, err
		}
	}
	if r.PostForm.Get("grant_type") != "password" {
		return ask, refuse(http.StatusBadRequest, errcode.ErrorCodeUnsupported, "tokens are given for grant_type=password alone")
	}
	return ask, readTarget(&ask, r.PostForm)
}

// readTarget reads what a token is to be for.
func readTarget(ask *credentials.BearerRequest, members url.Values) (err error) {
	if ask.Service, _, err = only(members, "service"); err != nil {
		return err
	}
	for _, scopes := range members["scope"] {
		for scope := range strings.FieldsSeq(scopes) {
			ask.Grants = addGrant(ask.Grants, scope)
		}
	}
	if len(ask.Grants) > maxGrants {
		return refuse(http.StatusBadRequest, errcode.ErrorCodeUnsupported, "a token is for %d repositories at most", maxGrants)
	}
	return nil
}

// addGrant adds what a scope such as "repository:team/app:pull,push" names. A type may
// have a class in brackets, which says what the repository is to hold and nothing
// here. Types that are not known give nothing, as the specification has it.
func addGrant(list []token.Grant, scope string) []token.Grant {
	kind, rest, ok := strings.Cut(scope, ":")
	i := strings.LastIndexByte(rest, ':')
	kind, _, _ = strings.Cut(kind, "(")
	if !ok || i <= 0 || kind != repositoryType && kind != registryType {
		return list
	}
	return append(list, token.Grant{Type: kind, Name: rest[:i], Actions: strings.Split(rest[i+1:], ",")})
}

// scopeText names what grants are for as a request does.
func scopeText(list []token.Grant) string {
	var all []string
	for _, g := range list {
		all = append(all, g.Type+":"+g.Name+":"+strings.Join(g.Actions, ","))
	}
	return strings.Join(all, " ")
}

// serveTokenOrChallenge answers a request for a token, and says how to ask for one to
// who has not shown what is right.
func (s *Server) serveTokenOrChallenge(call *audit.Call, w http.ResponseWriter, r *http.Request, site endpoint.Site) error {
	err := s.serveToken(call, w, r, site)
	if isUnauthorized(err) {
		w.Header().Set("Www-Authenticate", basicChallenge(site))
	}
	return tooOften(w, err)
}
