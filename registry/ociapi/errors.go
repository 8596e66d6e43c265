package ociapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// answer is how a refusal is told. The status is ours: some of those in
// errcode's descriptors differ from the specification's.
type answer struct {
	status int
	code   errcode.ErrorCode
}

// answers has one for each of registry.TrafficCodes. Those of calls that this door
// never makes are there too, so that a new call does not need a new thought.
var answers = map[registry.Code]answer{
	registry.RegistryInvalid:      {http.StatusBadRequest, errcode.ErrorCodeNameInvalid},
	registry.NameInvalid:          {http.StatusBadRequest, errcode.ErrorCodeNameInvalid},
	registry.TagInvalid:           {http.StatusBadRequest, errcode.ErrorCodeTagInvalid},
	registry.DigestInvalid:        {http.StatusBadRequest, errcode.ErrorCodeDigestInvalid},
	registry.RepositoryNotFound:   {http.StatusNotFound, errcode.ErrorCodeNameUnknown},
	registry.RepositoryExists:     {http.StatusConflict, errcode.ErrorCodeUnsupported},
	registry.RepositoryNotEmpty:   {http.StatusConflict, errcode.ErrorCodeUnsupported},
	registry.SettingInvalid:       {http.StatusBadRequest, errcode.ErrorCodeUnsupported},
	registry.ResourceTagInvalid:   {http.StatusBadRequest, errcode.ErrorCodeUnsupported},
	registry.TooManyResourceTags:  {http.StatusForbidden, errcode.ErrorCodeDenied},
	registry.ImageNotFound:        {http.StatusNotFound, errcode.ErrorCodeManifestUnknown},
	registry.ImageReferenced:      {http.StatusMethodNotAllowed, errcode.ErrorCodeUnsupported},
	registry.Protected:            {http.StatusForbidden, errcode.ErrorCodeDenied},
	registry.TagMismatch:          {http.StatusNotFound, errcode.ErrorCodeManifestUnknown},
	registry.TagImmutable:         {http.StatusConflict, errcode.ErrorCodeTagInvalid},
	registry.ManifestInvalid:      {http.StatusBadRequest, errcode.ErrorCodeManifestInvalid},
	registry.ManifestNotJSON:      {http.StatusBadRequest, errcode.ErrorCodeManifestInvalid},
	registry.ManifestTooLarge:     {http.StatusRequestEntityTooLarge, errcode.ErrorCodeSizeInvalid},
	registry.MediaTypeUnsupported: {http.StatusUnsupportedMediaType, errcode.ErrorCodeUnsupported}, // RFC 9110, section 15.5.16: the format of the content
	registry.MediaTypeMissing:     {http.StatusBadRequest, errcode.ErrorCodeManifestInvalid},
	registry.ImageDigestMismatch:  {http.StatusBadRequest, errcode.ErrorCodeDigestInvalid},
	registry.LayersMissing:        {http.StatusBadRequest, errcode.ErrorCodeManifestBlobUnknown},
	registry.ChildrenMissing:      {http.StatusBadRequest, errcode.ErrorCodeManifestBlobUnknown},
	registry.TooManyTags:          {http.StatusForbidden, errcode.ErrorCodeDenied}, // not 429: later is no better
	registry.TooManyImages:        {http.StatusForbidden, errcode.ErrorCodeDenied},
	registry.TooManyRepositories:  {http.StatusForbidden, errcode.ErrorCodeDenied},
	registry.TooManyInRegistry:    {http.StatusForbidden, errcode.ErrorCodeDenied},
	registry.QuotaExceeded:        {http.StatusForbidden, errcode.ErrorCodeDenied},
	registry.LayerArchived:        {http.StatusNotFound, errcode.ErrorCodeBlobUnknown},
	registry.TooManyLayers:        {http.StatusBadRequest, errcode.ErrorCodeManifestInvalid},
	registry.UploadPartTooLarge:   {http.StatusRequestEntityTooLarge, errcode.ErrorCodeSizeInvalid},
	registry.LayerNotFound:        {http.StatusNotFound, errcode.ErrorCodeBlobUnknown},
	registry.LayerReferenced:      {http.StatusMethodNotAllowed, errcode.ErrorCodeUnsupported},
	registry.LayerDigestMismatch:  {http.StatusBadRequest, errcode.ErrorCodeDigestInvalid},
	registry.LayerTooLarge:        {http.StatusRequestEntityTooLarge, errcode.ErrorCodeSizeInvalid},
	registry.UploadNotFound:       {http.StatusNotFound, errcode.ErrorCodeBlobUploadUnknown},
	registry.UploadOffset:         {http.StatusRequestedRangeNotSatisfiable, errcode.ErrorCodeBlobUploadInvalid},
	registry.UploadEmpty:          {http.StatusBadRequest, errcode.ErrorCodeBlobUploadInvalid},
	registry.UploadPartTooSmall:   {http.StatusBadRequest, errcode.ErrorCodeBlobUploadInvalid},
	registry.TooManyParts:         {http.StatusBadRequest, errcode.ErrorCodeBlobUploadInvalid},
	registry.TooManyUploads:       {http.StatusTooManyRequests, errcode.ErrorCodeTooManyRequests},
	registry.PageInvalid:          {http.StatusBadRequest, errcode.ErrorCodePaginationNumberInvalid},
	registry.StoreFull:            {http.StatusInsufficientStorage, errcode.ErrorCodeUnavailable},
	registry.StoreReadOnly:        {http.StatusMethodNotAllowed, errcode.ErrorCodeUnsupported}, // as distribution answers; 503 would have docker try for minutes
	registry.StoreFailed:          {http.StatusServiceUnavailable, errcode.ErrorCodeUnavailable},
	registry.LayerDamaged:         {http.StatusInternalServerError, errcode.ErrorCodeUnavailable},
	registry.ImageDamaged:         {http.StatusInternalServerError, errcode.ErrorCodeUnavailable},
	registry.UpstreamUnavailable:  {http.StatusBadGateway, errcode.ErrorCodeUnavailable},
	registry.UpstreamTooMany:      {http.StatusTooManyRequests, errcode.ErrorCodeTooManyRequests},
	registry.UpstreamDenied:       {http.StatusForbidden, errcode.ErrorCodeDenied},
	registry.ImageArchived:        {http.StatusNotFound, errcode.ErrorCodeManifestUnknown}, // ECR reference, policies.md section 11
}

// refusal is one that the door makes by itself.
type refusal struct {
	answer
	msg        string
	param      string // of ECR's API, which the request has wrong; "" for none
	noResource bool   // there is no such path, or no such method of it
}

func (e *refusal) Error() string { return e.msg }

func refuse(status int, code errcode.ErrorCode, format string, args ...any) *refusal {
	return &refusal{answer: answer{status, code}, msg: fmt.Sprintf(format, args...)}
}

// of says that a parameter is wrong, by its name in ECR's API.
func (e *refusal) of(param string) *refusal {
	e.param = param
	return e
}

// explain words an error for the client; ok is false if it is a fault, which
// is not for the client's eyes.
func (s *Server) explain(err error) (status int, body errcode.Errors, ok bool) {
	var (
		own    *refusal
		domain *registry.Error
		denied *auth.Denied
		link   *credentials.Error
	)
	switch {
	case errors.As(err, &own) && own.param != "" && s.does(badParameters):
		return unsupported.status, errcode.Errors{unsupported.code.WithMessage(wording.Constraint(own.param, own.msg))}, true
	case errors.As(err, &own):
		return own.status, errcode.Errors{own.code.WithMessage(own.msg)}, true
	case errors.As(err, &domain):
		a, body, ok := s.answerTo(domain)
		return a.status, body, ok
	case errors.As(err, &denied):
		return http.StatusForbidden, errcode.Errors{errcode.ErrorCodeDenied.WithMessage(denied.Error())}, true
	case errors.As(err, &link):
		return link.Status, errcode.Errors{errcode.ErrorCodeDenied.WithMessage(link.Message)}, true
	case errors.Is(err, registry.ErrBody):
		return http.StatusBadRequest, errcode.Errors{errcode.ErrorCodeSizeInvalid.WithMessage("the body broke off or is not what its headers say")}, true
	}
	return 0, nil, false
}

// words tells a refusal of the domain, in ECR's words where they are known
// (ECR reference, registry-http.md, "Code mapping").
func words(code errcode.ErrorCode, e *registry.Error) errcode.Errors {
	switch e.Code {
	case registry.RepositoryNotFound:
		return errcode.Errors{code.WithMessage(fmt.Sprintf(
			"The repository with name '%s' does not exist in the registry with id '%s'", e.Name, e.Name.ID().Account))}
	case registry.ImageNotFound, registry.ImageArchived:
		return errcode.Errors{code.WithMessage("Requested image not found")}
	case registry.TagImmutable:
		return errcode.Errors{code.WithMessage(fmt.Sprintf(
			"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", e.Ref.Tag, e.Name))}
	case registry.LayersMissing, registry.ChildrenMissing:
		return missing(code, e.Digests)
	case registry.Protected:
		return errcode.Errors{code.WithMessage(e.Msg).WithDetail(protectedDetail(e))}
	}
	return errcode.Errors{code.WithMessage(e.Msg)}
}

// protectedDetail says what is protected: a tag of an image, or all of a repository.
func protectedDetail(e *registry.Error) map[string]string {
	detail := map[string]string{"protected": "repository", "repository": e.Name.String()}
	if !e.Ref.Tag.IsZero() {
		detail["protected"], detail["tag"] = "tag", e.Ref.Tag.String()
	}
	return detail
}

// maxMissing is how many of the digests that a manifest refers to in vain are
// told. There may be tens of thousands.
const maxMissing = 100

// missing is an error for each digest, with the digest as its detail.
func missing(code errcode.ErrorCode, digests []digest.Digest) (list errcode.Errors) {
	for _, d := range digests[:min(len(digests), maxMissing)] {
		list = append(list, code.WithDetail(map[string]string{"digest": d.String()}))
	}
	return list
}

// writeError answers with what went wrong. A fault is logged, once and here,
// and shown as no more than the request's id.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	status, body, ok := s.explain(err)
	if !ok {
		status, body = http.StatusInternalServerError, s.fault(r, err)
	}
	var domain *registry.Error
	if errors.As(err, &domain) && domain.Code == registry.UpstreamTooMany && domain.Limit > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(domain.Limit, 10))
	}
	auth.SetDenial(w.Header(), err)
	noteFailure(audit.Of(r.Context()), body, err)
	var own *refusal
	if errors.As(err, &own) && s.writeBare(w, r, own) {
		return
	}
	if errors.Is(err, registry.ErrBody) {
		w.Header().Set("Connection", "close") // where the next request begins is anyone's guess
	}
	writeJSON(w, r, status, body)
}

func (s *Server) fault(r *http.Request, err error) errcode.Errors {
	id := s.requestID(r.Context())
	if !errors.Is(err, context.Canceled) || r.Context().Err() == nil { // else the client has gone, and nothing is wrong
		s.log.ErrorContext(r.Context(), "request failed", "request", id, "method", r.Method, "path", r.URL.Path, "err", err)
	}
	return errcode.Errors{errcode.ErrorCodeUnknown.
		WithMessage("the server failed; its log says more under the id of the request").
		WithDetail(map[string]string{"requestId": id})}
}

// writeJSON answers with v as JSON. A HEAD gets the headers alone.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("ociapi: an answer that is no JSON: %v", err)) // all are of our own types
	}
	body = append(body, '\n')
	h := w.Header()
	setDefault(h, "Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// setDefault sets a header that has not been set.
func setDefault(h http.Header, key, value string) {
	if h.Get(key) == "" {
		h.Set(key, value)
	}
}
