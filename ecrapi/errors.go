package ecrapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/throttle"
	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
)

// failure is an answer that says what went wrong, and an error.
type failure struct {
	Type    string `json:"__type"`
	Message string `json:"message"`
	// Members of InvalidLayerPartException.
	RegistryID            string `json:"registryId,omitzero"`
	RepositoryName        string `json:"repositoryName,omitzero"`
	UploadID              string `json:"uploadId,omitzero"`
	LastValidByteReceived *int64 `json:"lastValidByteReceived,omitzero"`
	// Member of KmsException.
	KMSError string `json:"kmsError,omitzero"`

	status int
}

func (f *failure) Error() string { return f.Message }

// Types that are in no model (ECR reference, errors-and-limits.md section 1).
const (
	unknownOperationType = "UnknownOperationException"
	serializationType    = "SerializationException"
	accessDeniedType     = "AccessDeniedException"
	misdirectedType      = "MisdirectedRequest"
	throttlingType       = "ThrottlingException"
)

// refuse is a client's fault that the model does not list.
func refuse(as, format string, args ...any) *failure {
	return &failure{Type: as, Message: fmt.Sprintf(format, args...), status: http.StatusBadRequest}
}

func serialization(format string, args ...any) *failure {
	return refuse(serializationType, format, args...)
}

// except is one of the model's exceptions.
func except(as shape.Exception, format string, args ...any) *failure {
	return &failure{Type: string(as), Message: fmt.Sprintf(format, args...), status: shape.Statuses[as]}
}

// invalid is the InvalidParameterException for a member of a request.
func invalid(at, reason string) *failure {
	return except(shape.InvalidParameterException, "%s", wording.Constraint(at, reason))
}

// failure is the answer to an error. A fault is logged here, and the client is
// told no more than where to look.
func (a *API) failure(ctx context.Context, requestID, op string, err error) *failure {
	var (
		known   *failure
		refused *registry.Error
		denied  *auth.Denied
		shown   *credentials.Error
		often   *throttle.Exceeded
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		return answerTo(op, refused)
	case errors.As(err, &denied):
		return refuse(accessDeniedType, "%s", denied)
	case errors.As(err, &often):
		return refuse(throttlingType, "Rate exceeded")
	case errors.As(err, &shown):
		return &failure{Type: shown.Code, Message: shown.Message, status: shown.Status}
	case errors.Is(err, endpoint.ErrMisdirected):
		return &failure{Type: misdirectedType, Message: "The Host header names no host of this server.",
			status: http.StatusMisdirectedRequest}
	case errors.Is(err, storage.ErrFull): // no room for the body of the request
		return except(shape.ServerException, "%s", wording.NoRoom)
	case ctx.Err() != nil:
		a.log.InfoContext(ctx, "client went away", "request", requestID, "operation", op)
	default:
		a.log.ErrorContext(ctx, "request failed", "request", requestID, "operation", op, "err", err)
	}
	return except(shape.ServerException, "The server failed to carry out the request, and its log says why. Request id: %s", requestID)
}
