package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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

// receive reads an answer, and says whether the connection may be used again.
func (c *connection) receive(r request) (got response, again bool, err error) {
	var f framing
	for got.status/100 <= 1 { // an interim answer is not the answer
		if got, f, err = c.readHead(); err != nil {
			return got, false, err
		}
	}
	if r.method == http.MethodHead || got.status == http.StatusNoContent || got.status == http.StatusNotModified {
		return got, f.again, nil
	}
	keep := int64(0)
	if r.keep {
		keep = longestBody
	} else if got.status >= http.StatusBadRequest {
		keep = longestRefusal
	}
	body := &sink{left: keep}
	switch {
	case f.chunked:
		err = c.readChunks(body)
	case f.length >= 0:
		err = c.readBytes(f.length, body)
	default: // until the end
		f.again = false
		_, err = io.Copy(body, c.in)
	}
	got.body, got.size = body.kept, body.size
	return got, f.again, err
}

// framing is how the end of a body is found.
type framing struct {
	length  int64 // -1 if it is not told
	chunked bool
	again   bool
}

var errNotHTTP = errors.New("the answer is not HTTP/1.1")

// readHead reads a status line and headers.
func (c *connection) readHead() (got response, f framing, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return got, f, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return got, f, errNotHTTP
	}
	if got.status, err = strconv.Atoi(string(line[9:12])); err != nil || got.status < 100 {
		return got, f, errNotHTTP
	}
	f = framing{length: -1, again: line[7] == '1'}
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return got, f, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return got, f, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if err := got.note(&f, name, bytes.TrimSpace(value)); err != nil {
			return got, f, err
		}
	}
}

// note takes from a header what is of use.
func (r *response) note(f *framing, name, value []byte) (err error) {
	is := func(header string) bool { return len(name) == len(header) && bytes.EqualFold(name, []byte(header)) }
	switch {
	case is("Content-Length"):
		if f.length, err = strconv.ParseInt(string(value), 10, 64); err != nil || f.length < 0 {
			return errNotHTTP
		}
	case is("Transfer-Encoding"):
		f.chunked = bytes.EqualFold(value, []byte("chunked"))
	case is("Connection"):
		f.again = f.again && !bytes.EqualFold(value, []byte("close"))
	case is("Location"):
		r.location = string(value)
	case is("Link"):
		r.link = string(value)
	case is("Www-Authenticate"):
		if r.challenge == "" || bytes.HasPrefix(value, []byte("Bearer")) {
			r.challenge = string(value)
		}
	}
	return nil
}

// readBytes reads so many bytes of a body.
func (c *connection) readBytes(n int64, to *sink) error {
	if to.left > 0 {
		_, err := io.CopyN(to, c.in, n)
		return err
	}
	for n > 0 {
		k, err := c.in.Discard(int(min(n, 1<<30)))
		n -= int64(k)
		to.size += int64(k)
		if err != nil {
			return err
		}
	}
	return nil
}

// readChunks reads a body of chunks and what trails it.
func (c *connection) readChunks(to *sink) error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 62)
		if err != nil || n < 0 {
			return errNotHTTP
		}
		if n == 0 {
			return c.readTrailer()
		}
		if err := c.readBytes(n, to); err != nil {
			return err
		}
		if _, err := c.in.Discard(len(crlf)); err != nil {
			return err
		}
	}
}

func (c *connection) readTrailer() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil || len(bytes.TrimRight(line, "\r\n")) == 0 {
			return err
		}
	}
}

// sink counts what it is given, and keeps as much of it as it has room for.
type sink struct {
	left, size int64
	kept       []byte
}

func (s *sink) Write(p []byte) (int, error) {
	n := min(int64(len(p)), s.left)
	s.kept = append(s.kept, p[:n]...)
	s.left -= n
	s.size += int64(len(p))
	return len(p), nil
}

// connect is the connection to a server, a new one if none is open.
func (w *wire) connect(ctx context.Context, base string) (*connection, error) {
	if c, ok := w.open[base]; ok {
		return c, nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	conn, err := w.dial(ctx, u)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		conf := w.transport.TLSClientConfig.Clone()
		conf.ServerName, conf.NextProtos = u.Hostname(), []string{"http/1.1"}
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = secure
	}
	c := &connection{Conn: conn, in: bufio.NewReaderSize(conn, inBuffer)}
	if u.Scheme == "https" {
		c.out = bufio.NewWriterSize(conn, outBuffer)
	}
	w.open[base] = c
	return c, nil
}

// dial reaches a server itself, or through the proxy that is to be gone by.
func (w *wire) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	proxy, err := w.transport.Proxy(&http.Request{URL: u})
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return w.transport.DialContext(ctx, "tcp", hostPort(u))
	}
	return w.tunnel(ctx, proxy, u)
}

// hostPort is the host of a URL with its port.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// tunnel reaches a server through a proxy (RFC 9110, section 9.3.6).
func (w *wire) tunnel(ctx context.Context, proxy, u *url.URL) (net.Conn, error) {
	conn, err := w.transport.DialContext(ctx, "tcp", hostPort(proxy))
	if err != nil {
		return nil, err
	}
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: hostPort(u)}, Host: hostPort(u), Header: http.Header{}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		ask.SetBasicAuth(user.Username(), password)
		ask.Header["Proxy-Authorization"] = ask.Header["Authorization"]
		ask.Header.Del("Authorization")
	}
	if err := ask.Write(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &connection{Conn: conn, in: bufio.NewReaderSize(conn, 4<<10)}
	got, _, err := c.readHead()
	if err == nil && got.status != http.StatusOK {
		err = fmt.Errorf("the proxy %s answers %d", proxy.Host, got.status)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil // who speaks first after a tunnel is the client, so nothing is lost in the buffer
}
