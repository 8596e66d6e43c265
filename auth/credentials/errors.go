package credentials

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/seed-78150930/berth/auth/sigv4"
)

// Error is a refusal of credentials in AWS's terms.
type Error struct {
	Code    string // one of the codes below, AWS's names in its JSON protocol
	Status  int    // HTTP status
	Message string

	cause error
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause, such as ErrOtherService.
func (e *Error) Unwrap() error { return e.cause }

// The codes of an Error (ECR reference, errors-and-limits.md section 1).
const (
	MissingAuthenticationToken = "MissingAuthenticationTokenException"
	IncompleteSignature        = "IncompleteSignature"
	InvalidSignature           = "InvalidSignatureException"
	UnrecognizedClient         = "UnrecognizedClientException"
	ExpiredToken               = "ExpiredTokenException"
	AccessDenied               = "AccessDeniedException"
	MalformedHTTPRequest       = "MalformedHttpRequest"
	RequestAborted             = "RequestAborted"
	RequestEntityTooLarge      = "RequestEntityTooLarge"
	ServiceUnavailable         = "ServiceUnavailable"
	ValidationError            = "ValidationError"
)

// Codes are all codes of an Error, for tests of the doors' tables.
func Codes() []string {
	return []string{
		MissingAuthenticationToken, IncompleteSignature, InvalidSignature, UnrecognizedClient, ExpiredToken, AccessDenied,
		MalformedHTTPRequest, RequestAborted, RequestEntityTooLarge, ServiceUnavailable, ValidationError,
	}
}

// The codes that an Error has beside them where somebody wants to act as a role
// (STS API reference, AssumeRole and AssumeRoleWithWebIdentity).
const (
	MalformedPolicyDocument = "MalformedPolicyDocument"
	PackedPolicyTooLarge    = "PackedPolicyTooLarge"
	InvalidIdentityToken    = "InvalidIdentityToken"
	ExpiredIdentityToken    = "ExpiredIdentityToken"
	IDPRejectedClaim        = "IDPRejectedClaim"
	IDPCommunicationError   = "IDPCommunicationError"
	InvalidParameter        = "InvalidParameterValue"
)

// SessionCodes are those codes, for tests.
func SessionCodes() []string {
	return []string{
		MalformedPolicyDocument, PackedPolicyTooLarge, InvalidIdentityToken, ExpiredIdentityToken, IDPRejectedClaim, IDPCommunicationError,
		InvalidParameter,
	}
}

// ErrOtherService is the cause of an Error that says that a signature is for
// another service than the one asked for.
var ErrOtherService = errors.New("credentials: signed for another service")

// ErrBadPassword says that a user name and password open nothing. It does not
// say why: whoever guesses learns nothing.
var ErrBadPassword = errors.New("credentials: bad user name or password")

// ErrExpiredPassword is an ErrBadPassword of a password that this server made
// and that has ended. Whoever shows it had it, and learns nothing new.
var ErrExpiredPassword = fmt.Errorf("%w: the password has expired", ErrBadPassword)

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func unrecognized() *Error {
	return refuse(UnrecognizedClient, "The security token included in the request is invalid.")
}

// refuseSignature words a refusal of package sigv4.
func refuseSignature(err error) error {
	var e *sigv4.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case sigv4.Missing:
		return refuse(MissingAuthenticationToken, "%s", e.Msg)
	case sigv4.Incomplete:
		return refuse(IncompleteSignature, "%s", e.Msg)
	case sigv4.OtherService:
		other := refuse(InvalidSignature, "%s", e.Msg)
		other.cause = ErrOtherService
		return other
	}
	return refuse(InvalidSignature, "%s", e.Msg)
}

// refuseDead words errDead as a refusal of the key that a request is signed
// with, and leaves a fault as it is.
func refuseDead(err error) error {
	if errors.Is(err, errDead) {
		return unrecognized()
	}
	return err
}
