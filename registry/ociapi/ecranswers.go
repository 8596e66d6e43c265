package ociapi

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
)

// unsupported is how ECR's endpoint tells an InvalidParameterException, and a
// LimitExceededException.
var unsupported = answer{http.StatusMethodNotAllowed, errcode.ErrorCodeUnsupported}

// ecrAnswers are those of the quirk codeMapping that differ from answers (ECR
// reference, registry-http.md, "Code mapping"). A store without room, and too
// many uploads, are told as elsewhere: clients try again by the status.
var ecrAnswers = map[registry.Code]answer{
	registry.RegistryInvalid:      unsupported,
	registry.NameInvalid:          unsupported,
	registry.TagInvalid:           unsupported,
	registry.DigestInvalid:        unsupported,
	registry.PageInvalid:          unsupported,
	registry.SettingInvalid:       unsupported,
	registry.ImageReferenced:      unsupported,
	registry.LayerReferenced:      unsupported,
	registry.ManifestInvalid:      unsupported,
	registry.ManifestNotJSON:      unsupported,
	registry.ManifestTooLarge:     unsupported,
	registry.MediaTypeUnsupported: unsupported,
	registry.MediaTypeMissing:     unsupported,
	registry.TooManyTags:          unsupported,
	registry.TooManyImages:        unsupported,
	registry.TooManyRepositories:  unsupported,
	registry.TooManyLayers:        unsupported,
	registry.UploadPartTooLarge:   unsupported,
	registry.LayerTooLarge:        unsupported,
	registry.TooManyParts:         unsupported,
	registry.TagImmutable:         {http.StatusBadRequest, errcode.ErrorCodeTagInvalid},
	registry.ImageDigestMismatch:  {http.StatusBadRequest, errcode.ErrorCodeManifestInvalid},
	registry.LayersMissing:        {http.StatusNotFound, errcode.ErrorCodeBlobUploadUnknown},
	registry.ChildrenMissing:      {http.StatusNotFound, errcode.ErrorCodeManifestBlobUnknown},
}

// answerTo is the answer to a refusal of the domain.
func (s *Server) answerTo(e *registry.Error) (a answer, body errcode.Errors, ok bool) {
	a, ok = answers[e.Code]
	if !s.does(codeMapping) {
		return a, words(a.code, e), ok
	}
	if theirs, differs := ecrAnswers[e.Code]; differs {
		a = theirs
	}
	return a, errcode.Errors{a.code.WithMessage(ecrWords(e))}, ok
}

// ecrWords are those of ECR's API, but for an image that is not there.
func ecrWords(e *registry.Error) string {
	switch e.Code {
	case registry.ImageNotFound, registry.TagMismatch, registry.ImageArchived:
		return "Requested image not found"
	}
	return wording.Of(e)
}

// refusePassword words what is wrong with the credentials of a request that
// showed some (ECR reference, registry-http.md section 1).
func (s *Server) refusePassword(err error) error {
	switch {
	case !s.does(passwordRefusals):
		return errUnauthorized
	case errors.Is(err, credentials.ErrExpiredPassword):
		return refuse(http.StatusForbidden, errcode.ErrorCodeDenied, "Your authorization token has expired. Reauthenticate and try again.")
	}
	return errForeignPassword
}

var errForeignPassword = refuse(http.StatusBadRequest, errcode.ErrorCodeDenied, "Your Authorization Token is invalid.")

// writeBare answers with a text where ECR's endpoint does, and says whether
// that was all.
func (s *Server) writeBare(w http.ResponseWriter, r *http.Request, e *refusal) bool {
	status, text := e.status, ""
	switch {
	case s.does(bareChallenge) && e.status == http.StatusUnauthorized:
		w.Header()["Sizes"] = []string{""}
		text = "Not Authorized\n"
	case s.does(bareNotFound) && e.noResource:
		w.Header().Del("Allow")
		status, text = http.StatusNotFound, "404 page not found\n"
	default:
		return false
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, text) // a client that is gone reads nothing
	}
	return true
}
