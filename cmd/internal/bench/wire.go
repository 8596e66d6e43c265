package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A wire speaks HTTP/1.1 with one server at a time for one worker, by as little
// as that takes: it sends what others have put together and reads of an answer
// what scenarios need. A client of net/http takes more of a processor than many a
// server does, and what is measured would be the client.
type wire struct {
	transport *http.Transport // dials, and knows whom to trust and which proxy to go by
	open      map[string]*connection
	head      []byte // of the request, used again for the next
}

type connection struct {
	net.Conn
	in *bufio.Reader
	// out puts pieces together where each would be a record of TLS; nil where the
	// kernel takes many at once.
	out *bufio.Writer
}

// request is what is sent. Path is that of a URL with its query, as it is sent.
type request struct {
	method, base, path string
	auth               string // value of the Authorization header; "" for none
	accept, kind       string // values of Accept and of Content-Type; "" for none
	header             string // further lines, each with its end
	size               int64  // of the body; -1 if it is chunked
	body               net.Buffers
	keep               bool // the answer's body is wanted
}

// response is what was answered.
type response struct {
	status                    int
	location, link, challenge string
	size                      int64  // of the body
	body                      []byte // if it was asked for, or is of a refusal
	base                      string // of the server that answered
}

const (
	// patience is how long one request may take. A layer of a gigabyte may go over
	// a slow line.
	patience = 5 * time.Minute
	// inBuffer is large so that few reads take a large layer.
	inBuffer  = 128 << 10
	outBuffer = 64 << 10
	// longestBody bounds answers that are kept, longestRefusal how much of one that
	// is no success.
	longestBody, longestRefusal = 16 << 20, 2 << 10
	mostRedirects               = 5
)

func newWire(t *http.Transport) *wire { return &wire{transport: t, open: map[string]*connection{}} }

// close closes all connections.
func (w *wire) close() {
	for base := range w.open {
		w.drop(base)
	}
}

func (w *wire) drop(base string) {
	if c, ok := w.open[base]; ok {
		_ = c.Close()
		delete(w.open, base)
	}
}

// do sends a request and reads the answer. A GET or HEAD is followed where it is
// sent on to, without the credentials if that is another server.
func (w *wire) do(ctx context.Context, r request) (response, error) {
	for range mostRedirects {
		got, err := w.exchange(ctx, r)
		if err != nil {
			return got, err
		}
		if got.status/100 != 3 || got.location == "" || r.method != http.MethodGet && r.method != http.MethodHead {
			return got, nil
		}
		base, path, err := resolve(r.base, r.path, got.location)
		if err != nil {
			return got, err
		}
		if base != r.base {
			r.auth = ""
		}
		r.base, r.path = base, path
	}
	return response{}, fmt.Errorf("%s %s is sent on more than %d times", r.method, r.path, mostRedirects)
}

// resolve is where a Location leads: the server and the path with its query.
func resolve(base, path, location string) (string, string, error) {
	if strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") {
		return base, location, nil
	}
	if rest, ok := strings.CutPrefix(location, base); ok && strings.HasPrefix(rest, "/") {
		return base, rest, nil
	}
	from, err := url.Parse(base + path)
	if err != nil {
		return "", "", err
	}
	to, err := from.Parse(location)
	if err != nil || to.Host == "" {
		return "", "", fmt.Errorf("the answer leads to %.200q, which is no URL", location)
	}
	return to.Scheme + "://" + to.Host, to.RequestURI(), nil
}

// exchange sends one request and reads its answer.
func (w *wire) exchange(ctx context.Context, r request) (got response, err error) {
	c, err := w.connect(ctx, r.base)
	if err != nil {
		return got, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	again := false
	defer func() {
		stop()
		if err != nil || !again {
			w.drop(r.base)
		}
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return got, err
	}
	if ctx.Err() != nil { // it may have been before the deadline was set
		return got, ctx.Err()
	}
	sent := w.send(c, r)
	got, again, err = c.receive(r)
	got.base = r.base
	if sent != nil { // a server may refuse before it has all
		again = false
		if err != nil {
			return got, sent
		}
	}
	return got, err
}

// send writes the request.
func (w *wire) send(c *connection, r request) error {
	_, host, _ := strings.Cut(r.base, "://")
	b := append(w.head[:0], r.method...)
	b = append(append(append(b, ' '), r.path...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, host...), "\r\nUser-Agent: berth-bench\r\n"...)
	for _, h := range [...][2]string{{"Authorization: ", r.auth}, {"Accept: ", r.accept}, {"Content-Type: ", r.kind}} {
		if h[1] != "" {
			b = append(append(append(b, h[0]...), h[1]...), crlf...)
		}
	}
	b = append(b, r.header...)
	switch {
	case r.size < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.size > 0 || r.method != http.MethodGet && r.method != http.MethodHead:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.size, 10), crlf...)
	}
	b = append(b, crlf...)
	w.head = b
	if len(r.body) == 0 {
		_, err := c.Write(b)
		return err
	}
	all := append(net.Buffers{b}, r.body...) // a copy: writing uses it up
	if c.out == nil {
		_, err := all.WriteTo(c.Conn)
		return err
	}
	if _, err := all.WriteTo(c.out); err != nil {
		return err
	}
	return c.out.Flush()
}
