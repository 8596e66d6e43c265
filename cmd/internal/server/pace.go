package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

const (
	// bodyStep is how much of a body must arrive in the time that is set for
	// it. It is little, so that a slow line is no offence; a sender who lets
	// drops fall to hold the connection is cut off.
	bodyStep = 16 << 10
	// answerStep is the same for what the client takes.
	answerStep = 256 << 10
)

// pacedBody is a request's body whose sender has a time for each step. Time
// that the server takes between two reads is not counted.
type pacedBody struct {
	io.ReadCloser
	conn     *http.ResponseController
	time     time.Duration
	deadline time.Time
	step     int // what is left of it
	paused   time.Time
	over     bool
	n        atomic.Int64
}

// paceBody puts the body of r, if it has one, under deadlines. Nil stands for
// no body.
func paceBody(w http.ResponseWriter, r *http.Request, limit time.Duration) *pacedBody {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := &pacedBody{ReadCloser: r.Body, conn: http.NewResponseController(w), time: limit}
	b.begin(time.Now())
	// Also for a body that no door reads: the server drops the rest of it when
	// the request is answered.
	b.set(b.deadline)
	r.Body = b
	return b
}

func (b *pacedBody) begin(now time.Time) {
	b.step, b.deadline, b.paused = bodyStep, now.Add(b.time), now
}

// set does what it can: a connection without deadlines, as in a test, has none.
func (b *pacedBody) set(t time.Time) { _ = b.conn.SetReadDeadline(t) }

func (b *pacedBody) Read(p []byte) (int, error) {
	now := time.Now()
	b.deadline = b.deadline.Add(now.Sub(b.paused))
	b.set(b.deadline)
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	b.paused = time.Now()
	if b.step -= n; b.step <= 0 {
		b.begin(b.paused)
	}
	if b.over = errors.Is(err, io.EOF); b.over {
		// From here on the server listens for whether the client hangs up,
		// which is none of the body's.
		b.set(time.Time{})
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errTooSlow
	}
	return n, err
}

var errTooSlow = errors.New("the body of the request came too slowly")

// How much of a refused body is read on, and for how long.
const (
	restMost = 32 << 20
	restTime = 5 * time.Second
)

// takeRest reads on when a request was answered before its body had come. Many
// clients look for no answer before they have sent everything: to those, a
// connection that is closed under them tells nothing of why. Those that look
// get the answer first. Who waits to be asked for the body is not asked.
func (b *pacedBody) takeRest(a *answer, r *http.Request) {
	if b == nil || b.over || r.Header.Get("Expect") != "" {
		return
	}
	b.set(time.Now().Add(restTime))
	a.Flush()
	_, _ = io.CopyN(io.Discard, b.ReadCloser, restMost) // the answer is given, whatever comes
}

// end gives the server a step's time for dropping what was not read, and says
// how long that may take. The server does it before it sends the answer's head.
func (b *pacedBody) end() time.Duration {
	if b == nil || b.over {
		return 0
	}
	b.set(time.Now().Add(b.time))
	return b.time
}

// bytes is how much of the body was read.
func (b *pacedBody) bytes() int64 {
	if b == nil {
		return 0
	}
	return b.n.Load()
}

// answer is a response that notes what was sent, and whose client has a time
// to take each step of it. It passes on what the server's own can do: copies
// of files go by sendfile.
type answer struct {
	http.ResponseWriter
	time     time.Duration
	deadline time.Time // that is set; zero if none is
	status   int       // 0 until it is written
	bytes    int64
}

// newAnswer is an answer without a deadline: the server takes that of the last request
// away, and nothing is sent before the first step begins.
func newAnswer(w http.ResponseWriter, limit time.Duration) *answer {
	return &answer{ResponseWriter: w, time: limit}
}

// renew begins a step.
func (a *answer) renew() { a.allow(a.time) }

// fresh is within which part of a step it is not begun anew: most answers are sent as
// soon as they are written.
const fresh = 1024

// allow does what it can: a connection without deadlines, as in a test, has none.
func (a *answer) allow(d time.Duration) {
	deadline := time.Now().Add(d)
	if late := deadline.Sub(a.deadline); late >= 0 && late < d/fresh {
		return
	}
	a.deadline = deadline
	_ = a.control().SetWriteDeadline(deadline)
}

// control finds the server's own.
func (a *answer) control() *http.ResponseController {
	return http.NewResponseController(a.ResponseWriter)
}

// end gives the client a step's time for what the server has not sent yet, and
// will not send before it has waited.
func (a *answer) end(wait time.Duration) {
	if a.status == 0 {
		a.status = http.StatusOK // as the server does for who writes nothing
	}
	a.allow(wait + a.time)
}

// Unwrap lets an http.ResponseController find the server's own.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter. Those of 1xx are not the answer.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	} else {
		a.renew() // what is not the answer goes out at once
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (n int, err error) {
	a.wrote()
	for first := true; err == nil && (first || len(p) > 0); first = false {
		a.renew()
		step := p[:min(len(p), answerStep)]
		var m int
		m, err = a.ResponseWriter.Write(step)
		n, p = n+m, p[m:]
	}
	a.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom.
func (a *answer) ReadFrom(src io.Reader) (n int64, err error) {
	a.wrote()
	// The kernel copies from a file, bare or under one limit, so a limit that
	// is there already is made the step's.
	whole, limited := src.(*io.LimitedReader)
	for {
		step := &io.LimitedReader{R: src, N: answerStep}
		if limited {
			step.R, step.N = whole.R, min(whole.N, answerStep)
		}
		asked := step.N
		a.renew()
		m, err := io.Copy(a.ResponseWriter, step)
		n += m
		a.bytes += m
		if limited {
			whole.N -= asked - step.N
		}
		if err != nil || step.N > 0 || asked == 0 {
			return n, err
		}
	}
}

func (a *answer) wrote() {
	if a.status == 0 {
		a.status = http.StatusOK
	}
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	a.renew()
	_ = a.control().Flush()
}
