package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// requestID is the id of the request whose context it is given. The doors put
// it into their errors.
func requestID(ctx context.Context) string { return auth.RequestOf(ctx).ID }

// withCircumstances is r with what its circumstances tell policies.
func withCircumstances(r *http.Request, id string) *http.Request {
	ip, secure := endpoint.Client(r)
	return r.WithContext(auth.WithRequest(r.Context(), auth.Request{ID: id, SourceIP: ip, Secure: secure, UserAgent: r.UserAgent()}))
}

// newRequestID is a random UUID (RFC 9562, version 4), the form of AWS's.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // does not fail: crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := make([]byte, 0, 36)
	text = append(hex.AppendEncode(text, b[:4]), '-')
	text = append(hex.AppendEncode(text, b[4:6]), '-')
	text = append(hex.AppendEncode(text, b[6:8]), '-')
	text = append(hex.AppendEncode(text, b[8:10]), '-')
	return string(hex.AppendEncode(text, b[10:]))
}

// ServeHTTP answers as the first port does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler(s.ports[0]).ServeHTTP(w, r)
}

// answer gives a request its id and its deadlines, has the doors answer it, and
// logs it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, d *doors) {
	if !s.gate.TryRLock() {
		panic(http.ErrAbortHandler) // the store is about to be closed
	}
	defer s.gate.RUnlock()
	noteBusy(r.Context())
	began, id, timeouts := time.Now(), newRequestID(), s.config.Load().Timeouts
	w.Header()["X-Amzn-Requestid"] = []string{id} // canonical, which Set would have to find out
	r = withCircumstances(d.names.Forwarded(r), id)
	body, a := paceBody(w, r, timeouts.Body), newAnswer(w, timeouts.Answer)
	if body != nil {
		a.renew() // a client that waits to be asked for it is asked
	}
	path := r.URL.EscapedPath()
	door := doorOf(r, path)
	broken := s.serve(a, r, d, door)
	a.end(body.end())
	status, took := statusOf(r.Context(), a), time.Since(began)
	s.logRequest(r, path, accessLine{id: id, status: status, received: body.bytes(), sent: a.bytes, took: took})
	s.countRequest(door, status, body.bytes(), a.bytes, took)
	if broken {
		panic(http.ErrAbortHandler) // the client must see that the answer is not whole
	}
	body.takeRest(a, r)
}

// serve has the doors answer. A panic of theirs is answered with 500; broken
// says that it came too late for that.
func (s *Server) serve(a *answer, r *http.Request, d *doors, door door) (broken bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		broken = p == http.ErrAbortHandler || a.status != 0
		if p != http.ErrAbortHandler { // a door's way to say that an answer broke off
			s.log.ErrorContext(r.Context(), "panic", "id", requestID(r.Context()), "panic", p, "stack", string(debug.Stack()))
		}
		if !broken {
			writePlain(a, http.StatusInternalServerError, "internal error, request "+requestID(r.Context()))
		}
	}()
	d.serve(a, r, door)
	return false
}

// longestLogged is how much of a text that a client chose goes into the log.
const longestLogged = 512

// logRequest writes a line of the access log. Queries and headers hold
// signatures and tokens, so that of those only the name of an operation and of
// the client are logged. The address is that of the socket, or what a trusted
// proxy says of it: headers of others anybody may write.
func (s *Server) logRequest(r *http.Request, path string, a accessLine) {
	level := slog.LevelInfo
	if path == "/healthz" || path == "/readyz" {
		level = slog.LevelDebug // asked every few seconds by those who watch
	}
	a.remote, a.method, a.path = r.RemoteAddr, clip(r.Method), clip(path)
	a.target, a.agent = clip(r.Header.Get("X-Amz-Target")), clip(r.UserAgent())
	s.accesses.write(r.Context(), level, a)
}

// clientGone is the status in the access log where nginx has it too: of a request
// that came to nothing because its client did not wait for the answer.
const clientGone = 499

// statusOf is the status to log. A fault in a request that ended because its
// client went away was seen by nobody, and is none of the server's. One that the
// server itself ended is.
func statusOf(ctx context.Context, a *answer) int {
	if a.status >= http.StatusInternalServerError && errors.Is(context.Cause(ctx), context.Canceled) {
		return clientGone
	}
	return a.status
}

func clip(text string) string {
	if len(text) <= longestLogged {
		return text
	}
	return text[:longestLogged] + "…"
}
