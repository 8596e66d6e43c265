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
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
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
	body := paceBody(w, r, timeouts.Body)
	a := newAnswer(w, timeouts.Answer)
	broken := s.serve(a, r, d)
	a.end(body.end())
	s.logRequest(r, a, body, began)
	s.countRequest(d.door(r), statusOf(r.Context(), a), body.bytes(), a.bytes, time.Since(began))
	if broken {
		panic(http.ErrAbortHandler) // the client must see that the answer is not whole
	}
	body.takeRest(a, r)
}

// serve has the doors answer. A panic of theirs is answered with 500; broken
// says that it came too late for that.
func (s *Server) serve(a *answer, r *http.Request, d *doors) (broken bool) {
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
	d.ServeHTTP(a, r)
	return false
}

// longestLogged is how much of a text that a client chose goes into the log.
const longestLogged = 512

// logRequest writes a line of the access log. Queries and headers hold
// signatures and tokens, so that of those only the name of an operation and of
// the client are logged. The address is that of the socket, or what a trusted
// proxy says of it: headers of others anybody may write.
func (s *Server) logRequest(r *http.Request, a *answer, body *pacedBody, began time.Time) {
	level := slog.LevelInfo
	if path := r.URL.Path; path == "/healthz" || path == "/readyz" {
		level = slog.LevelDebug // asked every few seconds by those who watch
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("id", requestID(r.Context())), slog.String("remote", r.RemoteAddr),
		slog.String("method", clip(r.Method)), slog.String("path", clip(r.URL.EscapedPath())),
		slog.Int("status", statusOf(r.Context(), a)), slog.Int64("received", body.bytes()), slog.Int64("sent", a.bytes),
		slog.Duration("took", time.Since(began)),
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		attrs = append(attrs, slog.String("target", clip(target)))
	}
	if agent := r.UserAgent(); agent != "" {
		attrs = append(attrs, slog.String("agent", clip(agent)))
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
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
