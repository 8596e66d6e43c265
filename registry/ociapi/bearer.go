package ociapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/token"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// A bearer token is what the distribution project's clients get at tokenPath for what
// they are about to do ("Token Authentication Specification"). It stands for whoever
// got it and narrows what it is shown for; rights are looked up as for everybody.

// grants are what a bearer token is for. A nil grants is for everything: what was shown
// is no bearer token.
type grants struct{ list []token.Grant }

// The refusals of a request that shows a bearer token. Both have a client get another.
var (
	errBadBearer = refuse(http.StatusUnauthorized, errcode.ErrorCodeUnauthorized, "the bearer token is not valid")
	errNarrow    = refuse(http.StatusUnauthorized, errcode.ErrorCodeUnauthorized, "the bearer token is for something else")
)

// bearerErrors are what a challenge says of them (RFC 6750, section 3.1).
var bearerErrors = map[error]string{errBadBearer: "invalid_token", errNarrow: "insufficient_scope"}

// bearerOf is the bearer token that a header shows.
func bearerOf(header string) (text string, ok bool) {
	scheme, text, ok := strings.Cut(header, " ")
	return text, ok && strings.EqualFold(scheme, "Bearer")
}

// bear verifies a bearer token.
func (s *Server) bear(r *http.Request, site endpoint.Site, text string) (auth.Principal, *grants, error) {
	by, list, err := s.credentials.Bearer(r.Context(), text, site.Host())
	nobody := err == nil && by.Kind == auth.Anonymous
	if errors.Is(err, credentials.ErrBadBearer) || nobody && !(s.anonymous && isRead(r)) {
		return auth.Principal{}, nil, errBadBearer
	}
	if nobody {
		err = s.anonymousReads.Take(auth.RequestOf(r.Context()).SourceIP)
	}
	return by, &grants{list}, err
}

// The types of what grants are for.
const (
	repositoryType = "repository"
	registryType   = "registry"
)

// The words of grants.
const (
	pullWord   = "pull"
	pushWord   = "push"
	deleteWord = "delete"
	allWords   = "*"
)

// actionWords say which words of a grant stand for an action, one of them.
var actionWords = map[string][]string{
	listImages:       {pullWord},
	batchGetImage:    {pullWord},
	getLayer:         {pullWord},
	checkLayer:       {pullWord, pushWord},
	putImage:         {pushWord},
	createRepository: {pushWord},
	initiateUpload:   {pushWord},
	uploadPart:       {pushWord},
	completeUpload:   {pushWord},
	batchDeleteImage: {deleteWord},
	replicateImage:   {pullWord, pushWord, deleteWord}, // beside what it is that is done
}

// granted returns errNarrow for an action that the token which was shown is not for.
func (t target) granted(actions ...string) error {
	if t.grants == nil {
		return nil
	}
	for _, action := range actions {
		if !slices.ContainsFunc(t.grants.list, func(g token.Grant) bool { return t.means(g, action) }) {
			return errNarrow
		}
	}
	return nil
}

func (t target) means(g token.Grant, action string) bool {
	if t.name.IsZero() {
		return action == describeRepositories && g.Type == registryType && g.Name == catalogName && slices.Contains(g.Actions, allWords)
	}
	return g.Type == repositoryType && g.Name == t.prefix+t.name.String() && slices.ContainsFunc(g.Actions, func(word string) bool {
		return word == allWords || slices.Contains(actionWords[action], word)
	})
}

// catalogName is what the list of repositories is called in a grant.
const catalogName = "catalog"

// bearerChallenge has a client get a bearer token.
func bearerChallenge(r *http.Request, site endpoint.Site, err error) string {
	c := fmt.Sprintf(`Bearer realm="%s",service="%s"`, site.AbsoluteURL(tokenPath), site.Host())
	if scope := scopeOf(r); scope != "" {
		c += fmt.Sprintf(`,scope="%s"`, scope)
	}
	for refused, word := range bearerErrors {
		if errors.Is(err, refused) {
			c += fmt.Sprintf(`,error="%s"`, word)
		}
	}
	return c
}

// nameCharacters are those of names of repositories. What has others is not printed
// back.
const nameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789/._-"

// scopeOf is what a client has to ask a token for, to do what a request does; "" for
// nothing that could be said. It is read from the request alone, whatever there is.
func scopeOf(r *http.Request) string {
	at, err := parseRoute(r.URL.EscapedPath())
	switch {
	case err != nil || at.kind == root:
		return ""
	case at.kind == catalog:
		return registryType + ":" + catalogName + ":" + allWords
	case at.path == "" || len(at.path) > 512 || strings.Trim(at.path, nameCharacters) != "":
		return ""
	}
	words := pullWord + "," + pushWord
	switch {
	case isRead(r) && at.kind != upload:
		words = pullWord
	case r.Method == http.MethodDelete && at.kind != upload:
		words = deleteWord
	}
	return repositoryType + ":" + at.path + ":" + words
}
