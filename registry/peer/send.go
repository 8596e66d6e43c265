package peer

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry/remote"
)

// sender sends requests to one registry: with what proves who asks, and not while
// the registry wants to be left alone. It is the client of oras-go, too.
type sender struct {
	base        *url.URL
	client      *http.Client
	credentials Credentials
	realms      []string
	log         *slog.Logger
	now         func() time.Time
	partSize    int64                            // in tests; 0 for the usual one
	wait0       func(context.Context, int) error // in tests, instead of a pause

	mu     sync.Mutex
	basic  bool             // the registry wants a user and a password
	shown  []string         // what was shown lately, to be hidden in texts
	tokens map[string]*slot // by scopes
	later  time.Time        // not to be asked before
	status int              // by which it said so
}

// maxTries bounds how often a request is sent that the registry wants later.
const maxTries = 5

type patienceKey struct{}

// Patient is a context whose requests wait, each as long as that in all, when a
// registry wants to be asked later. Without it they fail at once with ErrTooMany or
// ErrUnavailable, which tell how long; and so do all others before that time is
// over, without being sent.
func Patient(ctx context.Context, most time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, most)
}

func patience(ctx context.Context) time.Duration {
	most, _ := ctx.Value(patienceKey{}).(time.Duration)
	return most
}

// Do sends a request. The answers are those below 300 and 404; every other is an
// *Error. It implements oras-go's Client.
func (s *sender) Do(req *http.Request) (*http.Response, error) {
	req = s.prepared(req)
	left := patience(req.Context())
	for tries := 1; ; tries++ {
		waited, err := s.wait(req, left)
		if err != nil {
			return nil, err
		}
		left -= waited
		answer, err := s.authorised(req)
		if err != nil {
			return nil, failed(req, err)
		}
		if answer.StatusCode < 300 || answer.StatusCode == http.StatusNotFound {
			return answer, nil
		}
		e := s.refusal(answer)
		if !s.note(answer, e) || tries == maxTries || left <= 0 || e.RetryAfter > left || !rewind(req) {
			return nil, e
		}
	}
}

// expect sends a request, and takes answers of these statuses alone.
func (s *sender) expect(req *http.Request, statuses ...int) (*http.Response, error) {
	answer, err := s.Do(req)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(statuses, answer.StatusCode) {
		return nil, s.refusal(answer)
	}
	return answer, nil
}

// prepared is the request below the path of the registry.
func (s *sender) prepared(req *http.Request) *http.Request {
	req = req.Clone(req.Context())
	if s.own(req.URL) && !strings.HasPrefix(req.URL.Path, s.base.Path+"/v2/") {
		req.URL.Path, req.URL.RawPath = s.base.Path+req.URL.Path, ""
	}
	req.Header.Set("User-Agent", "berth")
	req.Header.Set("Accept-Encoding", "identity") // bytes are what their digest says
	return req
}

// own says whether an address is the registry's.
func (s *sender) own(u *url.URL) bool { return remote.SameOrigin(u, s.base) }

// rewind has a request sent again, if it can be.
func rewind(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	req.Body = body
	return err == nil
}

// wait waits until the registry may be asked, if that is soon enough.
func (s *sender) wait(req *http.Request, most time.Duration) (time.Duration, error) {
	s.mu.Lock()
	left, status := s.later.Sub(s.now()), s.status
	s.mu.Unlock()
	if left <= 0 || !s.own(req.URL) {
		return 0, nil
	}
	if left > most {
		closeBody(req)
		return 0, &Error{Host: s.base.Host, Status: status, Message: "it wants to be asked later", RetryAfter: left}
	}
	s.log.Debug("a registry is asked later", "host", s.base.Host, "wait", left)
	if err := remote.Wait(req.Context(), left); err != nil {
		closeBody(req)
		return 0, failed(req, err)
	}
	return left, nil
}

// note remembers when the registry wants to be asked again, and says whether it
// told.
func (s *sender) note(answer *http.Response, e *Error) bool {
	after, told := remote.RetryAfter(answer, s.now())
	if !told || !s.own(answer.Request.URL) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := s.now().Add(after); until.After(s.later) {
		s.later, s.status = until, e.Status
	}
	return true
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // of what was not sent
	}
}
