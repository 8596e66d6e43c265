package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
)

// errFraming says that a request may mean two things to two readers: where it
// ends, or what its headers are. Programs before this one that read it in the
// other way would let strangers smuggle requests past them (RFC 9112, sections
// 5.2, 6.1 and 11.2), so the server answers 400 and closes the connection.
//
// The net/http server takes such requests, and a handler cannot tell any more;
// so their bytes are looked at as they come from the connection.
var errFraming = errors.New("ambiguous request")

// framedListener hands out connections that are watched.
type framedListener struct {
	net.Listener
	buffers *sync.Pool // of *[]byte, for what is copied to connections
}

func newFramedListener(l net.Listener) framedListener { return framedListener{l, new(sync.Pool)} }

func (l framedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &framedConn{Conn: c, buffers: l.buffers}, nil
}

// framedConn is a connection whose requests are watched as they are read.
type framedConn struct {
	net.Conn
	buffers *sync.Pool
	framing framing
	broken  error
}

func (c *framedConn) Read(p []byte) (int, error) {
	if c.broken != nil {
		return 0, c.broken
	}
	n, err := c.Conn.Read(p)
	if c.broken = c.framing.scan(p[:n]); c.broken != nil {
		return 0, c.broken
	}
	return n, err
}

// ReadFrom lets the kernel copy a file to the connection. What is no file goes through a
// buffer that is used again: with one made for each piece of each answer a thousand clients
// that wait for the same layer took three times the memory.
func (c *framedConn) ReadFrom(r io.Reader) (int64, error) {
	if isFile(r) {
		return io.Copy(c.Conn, r)
	}
	buf, ok := c.buffers.Get().(*[]byte)
	if !ok {
		buf = new(make([]byte, copyBuffer))
	}
	defer c.buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{c.Conn}, r, *buf)
}

// copyBuffer is as large as those of package io.
const copyBuffer = 32 << 10

// isFile says whether r is a file, bare or under one limit.
func isFile(r io.Reader) bool {
	if limited, ok := r.(*io.LimitedReader); ok {
		r = limited.R
	}
	_, ok := r.(*os.File)
	return ok
}

// CloseWrite lets the server close its side first.
func (c *framedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// framing follows where in a run of requests a connection is. The zero value
// is before the first.
type framing struct {
	part  part
	line  []byte // the present line, as much of it as matters
	left  int64  // bytes to pass over
	first bool   // a request line was seen

	http10, chunked, sized bool
	size                   int64
}

// part is what the next byte belongs to.
type part int

const (
	inHead part = iota
	inBody
	inChunkSize
	inChunk
	afterChunk
	inTrailer
)

// longestKept is more of a line than what decides where a body ends.
const longestKept = 256

// scan follows p.
func (f *framing) scan(p []byte) error {
	for len(p) > 0 {
		switch f.part {
		case inBody, inChunk:
			p = f.pass(p)
		default:
			rest, whole := f.take(p)
			p = rest
			if !whole {
				continue
			}
			if err := f.endLine(); err != nil {
				return err
			}
			f.line = f.line[:0]
		}
	}
	return nil
}

// pass skips bytes of a body or a chunk.
func (f *framing) pass(p []byte) []byte {
	n := min(int64(len(p)), f.left)
	if f.left -= n; f.left == 0 {
		if f.part == inChunk {
			f.part = afterChunk
		} else {
			f.restart()
		}
	}
	return p[n:]
}

func (f *framing) restart() { *f = framing{line: f.line[:0]} }

// take moves bytes of p to the present line; whole says that it ends.
func (f *framing) take(p []byte) (rest []byte, whole bool) {
	line := p
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		line, rest, whole = p[:i], p[i+1:], true
	}
	f.keep(line)
	return rest, whole
}

// keep adds to the present line: of a request line its end matters, of others
// their beginning.
func (f *framing) keep(text []byte) {
	if !f.first && f.part == inHead {
		f.line = append(f.line, text[max(0, len(text)-longestKept):]...)
		f.line = append(f.line[:0], f.line[max(0, len(f.line)-longestKept):]...)
		return
	}
	f.line = append(f.line, text[:min(len(text), longestKept-len(f.line))]...)
}

// endLine does what a whole line asks for. A line may end without a carriage
// return, as the server lets it.
func (f *framing) endLine() error {
	line := bytes.TrimSuffix(f.line, []byte("\r"))
	switch f.part {
	case inChunkSize:
		return f.chunkSize(line)
	case afterChunk:
		if len(line) > 0 {
			return fmt.Errorf("%w: a chunk is longer than it says", errFraming)
		}
		f.part = inChunkSize
	case inTrailer:
		if len(line) == 0 {
			f.restart()
		}
	case inHead:
		return f.headLine(line)
	}
	return nil
}

func (f *framing) headLine(line []byte) error {
	switch {
	case !f.first:
		f.first, f.http10 = true, bytes.HasSuffix(line, []byte(" HTTP/1.0"))
		return nil
	case len(line) == 0:
		return f.endHead()
	case line[0] == ' ' || line[0] == '\t':
		return fmt.Errorf("%w: a header is folded over two lines", errFraming)
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.Trim(value, " \t")
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		return f.contentLength(value)
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		if f.chunked || !bytes.EqualFold(value, []byte("chunked")) {
			return fmt.Errorf("%w: Transfer-Encoding is other than chunked, or stands twice", errFraming)
		}
		f.chunked = true
	}
	return nil
}

func (f *framing) contentLength(value []byte) error {
	n, err := strconv.ParseUint(string(value), 10, 63)
	if err != nil || f.sized {
		return fmt.Errorf("%w: Content-Length is no number, or stands twice", errFraming)
	}
	f.sized, f.size = true, int64(n)
	return nil
}

// endHead settles where the body ends.
func (f *framing) endHead() error {
	switch {
	case f.chunked && (f.sized || f.http10):
		return fmt.Errorf("%w: Transfer-Encoding beside Content-Length, or in HTTP/1.0", errFraming)
	case f.chunked:
		f.part = inChunkSize
	case f.size > 0:
		f.part, f.left = inBody, f.size
	default:
		f.restart()
	}
	return nil
}

// chunkSize reads the line before a chunk: a number in hexadecimal and perhaps
// an extension.
func (f *framing) chunkSize(line []byte) error {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.TrimRight(digits, " \t")), 16, 63)
	switch {
	case err != nil:
		return fmt.Errorf("%w: the size of a chunk is no number", errFraming)
	case n == 0:
		f.part = inTrailer
	default:
		f.part, f.left = inChunk, int64(n)
	}
	return nil
}
