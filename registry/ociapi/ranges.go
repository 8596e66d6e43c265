package ociapi

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// span is a run of n bytes from start on.
type span struct{ start, n int64 }

// readRange reads the Range headers of a request for content of size bytes
// (RFC 9110, section 14). partial is false if all of the content is to be
// sent; ok is false if the one range asked for is malformed or not there.
//
// More than one range is answered with the whole, as is allowed: nobody pulls
// layers so, and whoever asks for a thousand ranges wants something else.
func readRange(headers []string, size int64) (s span, partial, ok bool) {
	whole := span{0, size}
	if len(headers) != 1 {
		return whole, false, true
	}
	unit, set, _ := strings.Cut(headers[0], "=")
	if !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(set, ",") {
		return whole, false, true
	}
	first, last, found := strings.Cut(strings.TrimSpace(set), "-")
	switch {
	case !found || !isNumber(first) && first != "" || !isNumber(last) && last != "" || first == last && first == "":
		return span{}, false, false
	case first == "":
		s.n = min(number(last), size)
		s.start = size - s.n
		ok = number(last) > 0
	default:
		end := int64(math.MaxInt64)
		if last != "" {
			end = number(last)
		}
		s.start = number(first)
		s.n = min(end, size-1) - s.start + 1
		ok = s.start <= end && (s.start < size || size == 0)
	}
	if ok && size == 0 { // what some clients ask of everything, net/http finds too
		return whole, false, true
	}
	return s, ok, ok
}

func isNumber(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// number is a run of digits as a number, or the largest one.
func number(digits string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return n
}

// readContentRange reads the place of a chunk, "start-end" with both ends
// inclusive (distribution-spec, "Pushing a blob in chunks").
func readContentRange(header string) (s span, ok bool) {
	first, last, _ := strings.Cut(header, "-")
	if !isNumber(first) || !isNumber(last) {
		return span{}, false
	}
	start, end := number(first), number(last)
	if start > end || end == math.MaxInt64 {
		return span{}, false
	}
	return span{start, end - start + 1}, true
}

// chunkPlace is where the body of a request belongs and how long it is; -1
// stands for what the request does not say. ok is false if its headers are
// malformed or disagree.
func chunkPlace(r *http.Request) (s span, ok bool) {
	switch headers := r.Header.Values("Content-Range"); len(headers) {
	case 0:
		return span{-1, r.ContentLength}, true
	case 1:
		s, ok = readContentRange(headers[0])
		return s, ok && (r.ContentLength == -1 || r.ContentLength == s.n)
	}
	return span{}, false
}

var errOtherLength = errors.New("the body is not as long as its Content-Range")

// exactly reads left bytes from r and fails if there are fewer or more.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (n int, err error) {
	if e.left == 0 {
		var one [1]byte
		n, err = io.ReadFull(e.r, one[:])
		if n > 0 {
			err = errOtherLength
		}
		return 0, err
	}
	n, err = e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = errOtherLength
	}
	return n, err
}
