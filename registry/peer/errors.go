package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/seed-78150930/berth/registry/remote"
)

// What errors.Is finds in an error of this package. An error is none of them when
// the request itself was wrong, or when its context ended.
var (
	// ErrNotFound says that the registry does not have it, or not for us.
	ErrNotFound = errors.New("peer: not found")
	// ErrDenied says that the registry does not take our credentials, or that we may
	// not do it with them, or that there are none that it may see.
	ErrDenied = errors.New("peer: denied")
	// ErrTooMany says that the registry is asked too often.
	ErrTooMany = errors.New("peer: too many requests")
	// ErrUnavailable says that the registry cannot be reached or is broken, so that
	// asking again later may help.
	ErrUnavailable = errors.New("peer: unavailable")
	// ErrWrong says that what came is not what was asked for.
	ErrWrong = errors.New("peer: the wrong answer")
)

// Error is what came of a request that failed.
type Error struct {
	Host    string
	Status  int    // of the answer; 0 if none came
	Code    string // the registry's own, such as "MANIFEST_UNKNOWN"; "" if it said none
	Message string // bounded, of one line, and without secrets of ours
	// RetryAfter is how long the registry wants not to be asked; 0 if it did not say.
	RetryAfter time.Duration

	told  bool // whether it did
	cause error
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Status == 0:
		return fmt.Sprintf("%s: %s", e.Host, e.Message)
	case e.Code == "":
		return fmt.Sprintf("%s answers %d: %s", e.Host, e.Status, e.Message)
	}
	return fmt.Sprintf("%s answers %d: %s: %s", e.Host, e.Status, e.Code, e.Message)
}

// Unwrap returns the fault beneath, if it was not the registry's answer.
func (e *Error) Unwrap() error { return e.cause }

// Is implements the search of errors.Is.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrDenied:
		return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	case ErrTooMany:
		return e.Status == http.StatusTooManyRequests
	case ErrUnavailable:
		return e.Status >= 500 || e.Status == http.StatusRequestTimeout || e.Status == 0 && !e.decided()
	}
	return false
}

// decided says whether an error without an answer is one that asking again does not
// mend.
func (e *Error) decided() bool {
	return errors.Is(e.cause, ErrWrong) || errors.Is(e.cause, ErrDenied) || errors.Is(e.cause, remote.ErrRefused)
}

func wrong(host, format string, args ...any) error {
	return &Error{Host: host, Message: fmt.Sprintf(format, args...), cause: ErrWrong}
}

// failed is the error of a request without an answer. The address that net/http
// names may hold a signature, so it is left out.
func failed(req *http.Request, err error) error {
	if errors.As(err, new(*Error)) {
		return err
	}
	ctx := req.Context()
	ours := errors.Is(context.Cause(ctx), errTime)
	if ctx.Err() != nil && !ours {
		return fmt.Errorf("%s: %w", req.URL.Host, ctx.Err())
	}
	if u := new(url.Error); errors.As(err, &u) {
		err = u.Err
	}
	if ours {
		err = errTime
	}
	return &Error{Host: req.URL.Host, Message: line(err.Error()), cause: err}
}

// errTime is what ends a request that takes too long as a whole.
var errTime = fmt.Errorf("no whole answer within %s", metaTime)

// bounded is a context for a request whose answer is small.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, metaTime+patience(ctx), errTime)
}

const maxWords, maxErrorBody = 300, 64 << 10

// refusal reads the error of an answer, and closes it.
func (s *sender) refusal(answer *http.Response) *Error {
	defer answer.Body.Close()
	e := &Error{Host: answer.Request.URL.Host, Status: answer.StatusCode, Message: http.StatusText(answer.StatusCode)}
	e.RetryAfter, e.told = remote.RetryAfter(answer, s.now())
	body, err := remote.ReadAll(answer.Body, maxErrorBody)
	var said struct{ Errors errcode.Errors }
	if err == nil && json.Unmarshal(body, &said) == nil && len(said.Errors) > 0 {
		e.Code, e.Message = line(s.hide(said.Errors[0].Code)), line(s.hide(said.Errors[0].Message))
	}
	return e
}

// line is text of somebody else's as it may be logged.
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "..."
	}
	return text
}

// fault is an error of oras-go as one of ours.
func (r *Registry) fault(err error) error {
	if err == nil || errors.As(err, new(*Error)) || errors.Is(err, ErrWrong) {
		return err
	}
	if answer := new(errcode.ErrorResponse); errors.As(err, &answer) {
		e := &Error{Host: answer.URL.Host, Status: answer.StatusCode, Message: http.StatusText(answer.StatusCode)}
		if len(answer.Errors) > 0 {
			e.Code, e.Message = line(r.hide(answer.Errors[0].Code)), line(r.hide(answer.Errors[0].Message))
		}
		return e
	}
	if errors.Is(err, errdef.ErrNotFound) {
		return &Error{Host: r.base.Host, Status: http.StatusNotFound, Message: http.StatusText(http.StatusNotFound)}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &Error{Host: r.base.Host, Message: line(r.hide(err.Error())), cause: fmt.Errorf("%w: %w", ErrWrong, err)}
}
