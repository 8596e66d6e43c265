package bench

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
)

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
