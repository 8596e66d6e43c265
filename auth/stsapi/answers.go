package stsapi

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/throttle"
)

// refusal is an answer that says no. Its codes and statuses are STS's ("Common
// errors" of the STS API reference).
type refusal struct {
	code    string
	status  int
	message string
}

func (e *refusal) Error() string { return e.message }

// kind is a code with its status.
type kind struct {
	code   string
	status int
}

var (
	accessDenied     = kind{"AccessDenied", http.StatusForbidden}
	internalFailure  = kind{"InternalFailure", http.StatusInternalServerError}
	invalidAction    = kind{"InvalidAction", http.StatusBadRequest}
	invalidParameter = kind{"InvalidParameterValue", http.StatusBadRequest}
	malformedQuery   = kind{"MalformedQueryString", http.StatusNotFound}
	throttled        = kind{"Throttling", http.StatusBadRequest}
	missingAction    = kind{"MissingAction", http.StatusBadRequest}
	validationError  = kind{"ValidationError", http.StatusBadRequest}
)

func refuse(k kind, format string, args ...any) *refusal {
	return &refusal{k.code, k.status, fmt.Sprintf(format, args...)}
}

// kinds are STS's words for refusals of credentials, which differ from those
// of the JSON protocol.
var kinds = map[string]kind{
	credentials.MissingAuthenticationToken: {"MissingAuthenticationToken", http.StatusForbidden},
	credentials.IncompleteSignature:        {"IncompleteSignature", http.StatusBadRequest},
	credentials.InvalidSignature:           {"SignatureDoesNotMatch", http.StatusForbidden},
	credentials.UnrecognizedClient:         {"InvalidClientTokenId", http.StatusForbidden},
	credentials.ExpiredToken:               {"ExpiredToken", http.StatusForbidden},
	credentials.AccessDenied:               accessDenied,
	credentials.MalformedHTTPRequest:       {"MalformedHttpRequest", http.StatusBadRequest},
	credentials.RequestAborted:             {"RequestAborted", http.StatusBadRequest},
	credentials.RequestEntityTooLarge:      {"RequestEntityTooLarge", http.StatusRequestEntityTooLarge},
	credentials.ServiceUnavailable:         {"ServiceUnavailable", http.StatusServiceUnavailable},
	credentials.ValidationError:            validationError,

	credentials.MalformedPolicyDocument: {"MalformedPolicyDocument", http.StatusBadRequest},
	credentials.PackedPolicyTooLarge:    {"PackedPolicyTooLarge", http.StatusBadRequest},
	credentials.InvalidIdentityToken:    {"InvalidIdentityToken", http.StatusBadRequest},
	credentials.ExpiredIdentityToken:    {"ExpiredTokenException", http.StatusBadRequest},
	credentials.IDPRejectedClaim:        {"IDPRejectedClaim", http.StatusForbidden},
	credentials.IDPCommunicationError:   {"IDPCommunicationError", http.StatusBadRequest},
	credentials.InvalidParameter:        invalidParameter,
}

// refusalOf words an error for the caller. A fault is an internal failure, of
// which he learns no more.
func refusalOf(err error) (r *refusal, fault bool) {
	var denied *auth.Denied
	var bad *credentials.Error
	var often *throttle.Exceeded
	switch {
	case errors.As(err, &often):
		return refuse(throttled, "Rate exceeded"), false
	case errors.As(err, &r):
		return r, false
	case errors.As(err, &denied):
		return refuse(accessDenied, "%s", deniedText(denied)), false
	case errors.As(err, &bad):
		if k, ok := kinds[bad.Code]; ok {
			return refuse(k, "%s", bad.Message), false
		}
	}
	return refuse(internalFailure, "The request processing has failed because of an internal error."), true
}

// deniedText is AWS's sentence: of a web identity it does not say who.
func deniedText(d *auth.Denied) string {
	if d.Check.Action == "sts:AssumeRoleWithWebIdentity" {
		return "Not authorized to perform " + d.Check.Action
	}
	return strings.TrimSpace(d.Error())
}

// answer is an answer that says yes. It embeds metadata.
type answer interface {
	setRequestID(id string)
	elements() audit.Fields
}

type metadata struct {
	RequestID string `xml:"ResponseMetadata>RequestId"`
}

func (m *metadata) setRequestID(id string) { m.RequestID = id }

type errorResponse struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

func (a *API) writeError(w http.ResponseWriter, r *http.Request, id string, err error) {
	refused, fault := refusalOf(err)
	if fault {
		a.log.ErrorContext(r.Context(), "sts request failed", "error", err, "request", id)
	}
	audit.Of(r.Context()).Fail(refused.code, refused.message, err)
	auth.SetDenial(w.Header(), err)
	response := errorResponse{Type: "Sender", Code: refused.code, Message: refused.message, RequestID: id}
	if refused.status >= http.StatusInternalServerError {
		response.Type = "Receiver"
	}
	write(w, refused.status, &response)
}

func write(w http.ResponseWriter, status int, v any) {
	text, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	w.Write(append(text, '\n')) // a client that went away needs no answer
}
