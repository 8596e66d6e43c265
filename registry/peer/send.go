package peer

import (
	"context"
	"errors"
	"io"
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
	sleep       func(context.Context, time.Duration) error
	part        int64 // bytes that go in one request

	mu     sync.Mutex
	basic  bool             // the registry wants a user and a password
	shown  []string         // what was shown lately, to be hidden in texts
	tokens map[string]*slot // by scopes
	later  time.Time        // not to be asked before
	status int              // by which it said so
}

func newSender(base *url.URL, client *http.Client) *sender {
	return &sender{
		base: base, client: client, log: slog.New(slog.DiscardHandler),
		now: time.Now, sleep: remote.Wait, part: partSize, tokens: map[string]*slot{},
	}
}

// maxTries bounds how often a request is sent that the registry wants later.
const maxTries = 5

// mark is a header of one's own.
type mark struct {
	header, value string
	told          func(string)
}

type markKey struct{}

// Marked is a context whose requests to the registry itself carry a header. told, unless
// it is nil, is called with what each answer has under the same name, "" for nothing.
func Marked(ctx context.Context, header, value string, told func(string)) context.Context {
	return context.WithValue(ctx, markKey{}, mark{header, value, told})
}

func markOf(req *http.Request) (mark, bool) {
	m, ok := req.Context().Value(markKey{}).(mark)
	return m, ok
}

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
		answer, err := s.attempt(req, &left)
		if err == nil || !s.postponed(err) || tries == maxTries || !s.mayWait(left) || !rewind(req) {
			return answer, err
		}
	}
}

// attempt sends a request once, as soon as the registry may be asked.
func (s *sender) attempt(req *http.Request, left *time.Duration) (*http.Response, error) {
	if err := s.wait(req, left); err != nil {
		closeBody(req)
		return nil, err
	}
	answer, err := s.authorised(req)
	if err != nil {
		return nil, failed(req, err)
	}
	if m, ok := markOf(req); ok && s.own(req.URL) && m.told != nil {
		m.told(answer.Header.Get(m.header))
	}
	if answer.StatusCode < 300 || answer.StatusCode == http.StatusNotFound {
		answer.Body = &body{answer.Body, req}
		return answer, nil
	}
	return nil, s.refusal(answer)
}

// body is that of an answer, whose errors are an *Error.
type body struct {
	io.ReadCloser
	req *http.Request
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = failed(b.req, err)
	}
	return n, err
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
	if s.own(req.URL) && strings.HasPrefix(req.URL.Path, "/v2/") && !strings.HasPrefix(req.URL.Path, s.base.Path+"/v2/") {
		req.URL.Path, req.URL.RawPath = s.base.Path+req.URL.Path, ""
	}
	if m, ok := markOf(req); ok && s.own(req.URL) {
		req.Header.Set(m.header, m.value)
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
func (s *sender) wait(req *http.Request, most *time.Duration) error {
	s.mu.Lock()
	left, status := s.later.Sub(s.now()), s.status
	s.mu.Unlock()
	if left <= 0 {
		return nil
	}
	if left > *most {
		return &Error{Host: s.base.Host, Status: status, Message: "it wants to be asked later", RetryAfter: left}
	}
	*most -= left
	s.log.Debug("a registry is asked later", "host", s.base.Host, "wait", left)
	if err := s.sleep(req.Context(), left); err != nil {
		return failed(req, err)
	}
	return nil
}

// postponed remembers when the registry wants to be asked again, if an error says
// that it does.
func (s *sender) postponed(err error) bool {
	e := new(Error)
	if !errors.As(err, &e) || !e.told {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := s.now().Add(e.RetryAfter); until.After(s.later) {
		s.later, s.status = until, e.Status
		if errors.Is(e, ErrTooMany) {
			s.status = http.StatusTooManyRequests // ECR says so with another
		}
	}
	return true
}

// mayWait says whether there is patience for as long as the registry wants.
func (s *sender) mayWait(left time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return left > 0 && s.later.Sub(s.now()) <= left
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // of what was not sent
	}
}
