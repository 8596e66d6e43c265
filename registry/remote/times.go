package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Times bound the phases of a request. The zero value of each means the usual one.
// The whole of a request is for its caller to bound.
type Times struct {
	Connect time.Duration // 10 s
	TLS     time.Duration // 10 s
	Answer  time.Duration // from the end of what is sent to the answer's headers: 30 s
	Rest    time.Duration // that a body, either way, may stand still for the network: 60 s
}

func (t Times) orUsual() Times {
	return Times{
		Connect: cmp.Or(t.Connect, 10*time.Second), TLS: cmp.Or(t.TLS, 10*time.Second),
		Answer: cmp.Or(t.Answer, 30*time.Second), Rest: cmp.Or(t.Rest, time.Minute),
	}
}

// ErrStalled says that a body stood still for longer than Times.Rest.
var ErrStalled = errors.New("remote: the connection stands still")

// watched sends a request and gives it up when its body, or that of its answer,
// stands still. Time that passes while nobody reads the answer, or while the sender
// has no bytes yet, does not count.
func watched(r *http.Request, rest time.Duration, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	w := &watch{ctx: ctx, rest: rest, cancel: cancel, host: r.URL.Host}
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &sent{r.Body, w}
	}
	answer, err := send(r)
	w.stop()
	if err != nil {
		err = w.cause(err)
		cancel(nil)
		return nil, err
	}
	answer.Body = &received{answer.Body, &watch{ctx: ctx, rest: rest, cancel: cancel, host: r.URL.Host}}
	return answer, nil
}

// watch is a clock that gives a request up.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	rest   time.Duration
	host   string

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over:
	case w.timer == nil:
		w.timer = time.AfterFunc(w.rest, func() { w.cancel(ErrStalled) })
	default:
		w.timer.Reset(w.rest)
	}
}

func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// stop is a pause without end.
func (w *watch) stop() {
	w.pause()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// cause is the error, or that the watch has led to it.
func (w *watch) cause(err error) error {
	if errors.Is(context.Cause(w.ctx), ErrStalled) {
		return fmt.Errorf("%w: %s, for %s", ErrStalled, w.host, w.rest)
	}
	return err
}

// sent is a body on its way out: between two reads of it the network takes bytes.
type sent struct {
	io.ReadCloser
	watch *watch
}

func (b *sent) Read(p []byte) (int, error) {
	b.watch.pause()
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		b.watch.start()
	}
	return n, err
}

func (b *sent) Close() error {
	b.watch.stop()
	return b.ReadCloser.Close()
}

// received is a body on its way in: during a read the network brings bytes.
type received struct {
	io.ReadCloser
	watch *watch
}

func (b *received) Read(p []byte) (int, error) {
	b.watch.start()
	n, err := b.ReadCloser.Read(p)
	b.watch.pause()
	if err != nil && err != io.EOF {
		err = b.watch.cause(err)
	}
	return n, err
}

func (b *received) Close() error {
	b.watch.stop()
	err := b.ReadCloser.Close()
	b.watch.cancel(nil)
	return err
}
