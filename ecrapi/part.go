package ecrapi

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/ecrapi/shape"
)

// blobMember is the member of UploadLayerPart that is too large to be held.
const blobMember = "layerPartBlob"

// maxRest bounds, in bytes, what an UploadLayerPart request has beside its
// blob, which is held in memory.
const maxRest = 64 << 10

// readPart reads an UploadLayerPart request in little memory. A first pass
// checks the blob and notes where it is, copying everything else, which is then
// read as usual; the blob is decoded when it is read, in a second pass.
func readPart(body *credentials.Body) (any, error) {
	s := &partScanner{r: bufio.NewReaderSize(body.Reader(), 64<<10)}
	if err := s.scan(); err != nil {
		return nil, err
	}
	in := new(shape.UploadLayerPartRequest)
	if err := unmarshal(s.rest, in); err != nil {
		return nil, err
	}
	if s.blob != nil {
		r, err := s.blob.open(body.Reader())
		if err != nil {
			return nil, err
		}
		in.LayerPartBlob = &shape.Blob{Size: s.blob.size(), Reader: r}
	}
	return in, nil
}

// partScanner walks through JSON without judging it: it tells strings from the
// rest and keeps count of depth, which is enough to find the string of a
// member of the outermost object. Of that string only the quotes stay in rest,
// so whatever is wrong with the JSON is still wrong there.
type partScanner struct {
	r     *bufio.Reader
	pos   int64 // of the next byte
	rest  []byte
	depth int
	key   bool   // a string in the outermost object is the name of a member
	name  string // of the member that is being read there
	blob  *base64String
}

func (s *partScanner) scan() error {
	for {
		c, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.step(c); err != nil {
			return err
		}
		if len(s.rest) > maxRest {
			return serialization("The request has more than %d bytes beside %s", maxRest, blobMember)
		}
	}
}

func (s *partScanner) next() (byte, error) {
	c, err := s.r.ReadByte()
	if err == nil {
		s.pos++
	} else if err != io.EOF {
		err = fmt.Errorf("read request: %w", err)
	}
	return c, err
}

func (s *partScanner) step(c byte) error {
	s.rest = append(s.rest, c)
	switch c {
	case '"':
		return s.str()
	case '{', '[':
		s.depth++
		s.key = s.depth == 1
	case '}', ']':
		s.depth--
	case ',':
		s.key = s.depth == 1
	case ':':
		s.key = false
	}
	return nil
}

// str reads a string behind its first quote.
func (s *partScanner) str() error {
	if s.depth == 1 && !s.key && s.name == blobMember {
		return s.blobString()
	}
	start := len(s.rest) - 1
	if err := s.copyString(); err != nil {
		return err
	}
	if s.depth == 1 && s.key {
		if err := json.Unmarshal(s.rest[start:], &s.name); err != nil {
			return serialization("The body of the request is not JSON")
		}
		if s.name == blobMember { // of several, the last one counts
			s.blob = nil
		}
	}
	return nil
}

func (s *partScanner) copyString() error {
	for escaped := false; len(s.rest) <= maxRest; {
		c, err := s.next()
		if err != nil {
			return ended(err)
		}
		s.rest = append(s.rest, c)
		if c == '"' && !escaped {
			return nil
		}
		escaped = c == '\\' && !escaped
	}
	return nil // scan refuses it
}

func ended(err error) error {
	if err == io.EOF {
		return serialization("The body of the request ends within a string")
	}
	return err
}

func (s *partScanner) blobString() error {
	b := &base64String{start: s.pos}
	if err := b.scan(s); err != nil {
		return err
	}
	s.rest = append(s.rest, '"')
	s.blob = b
	return nil
}

// base64String is a JSON string in a body that holds base64: RFC 4648 section
// 4 with its padding, and nothing but its alphabet, which JSON may escape.
type base64String struct {
	start, end int64 // offsets in the body, without the quotes
	escapes    bool
	chars, pad int64 // how many characters, and how many of them are padding
}

func (b *base64String) size() int64 { return b.chars/4*3 - b.pad }

// scan reads the string to its end and checks it.
func (b *base64String) scan(s *partScanner) error {
	for {
		if err := b.skipPlain(s); err != nil {
			return err
		}
		c, err := s.next()
		switch {
		case err != nil:
			return ended(err)
		case c == '"':
			b.end = s.pos - 1
			return b.check()
		case c == '\\':
			b.escapes = true
			if c, err = unescape(s.next); err != nil {
				return ended(err)
			}
		}
		if err := b.take(c); err != nil {
			return err
		}
	}
}

// skipPlain passes over characters of the alphabet, which is nearly all.
func (b *base64String) skipPlain(s *partScanner) error {
	for b.pad == 0 {
		s.r.Peek(1) // fill the buffer; next tells of errors
		buf, err := s.r.Peek(s.r.Buffered())
		if err != nil {
			return err
		}
		n := 0
		for n < len(buf) && alphabet[buf[n]] {
			n++
		}
		s.r.Discard(n)
		s.pos += int64(n)
		b.chars += int64(n)
		if n < len(buf) || n == 0 {
			return nil
		}
	}
	return nil
}

// take counts one character.
func (b *base64String) take(c byte) error {
	switch {
	case c == '=':
		b.pad++
	case b.pad > 0 || !alphabet[c]:
		return errBase64
	}
	b.chars++
	return nil
}

func (b *base64String) check() error {
	if b.chars%4 != 0 || b.pad > 2 {
		return errBase64
	}
	return nil
}

var errBase64 = serialization("The value at '%s' is not base64", blobMember)

// alphabet are the characters of base64 without that of padding.
var alphabet = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		set[c] = true
	}
	return set
}()

// open decodes the string out of the body that it was found in.
func (b *base64String) open(body io.ReadSeeker) (io.Reader, error) {
	if _, err := body.Seek(b.start, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	r := io.LimitReader(body, b.end-b.start)
	if b.escapes {
		r = &unescaper{bufio.NewReader(r)}
	}
	return base64.NewDecoder(base64.StdEncoding, r), nil
}

// unescaper reads what JSON's escapes stand for.
type unescaper struct{ r *bufio.Reader }

func (u *unescaper) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c, err := u.r.ReadByte()
		if err == nil && c == '\\' {
			c, err = unescape(u.r.ReadByte)
		}
		if err != nil {
			return n, err
		}
		p[n] = c
		n++
	}
	return n, nil
}

// unescape reads a JSON escape behind its backslash. Those that stand for
// nothing in base64 are refused.
func unescape(next func() (byte, error)) (byte, error) {
	c, err := next()
	if err != nil || c == '/' {
		return c, err
	}
	if c != 'u' {
		return 0, errBase64
	}
	var hex [4]byte
	for i := range hex {
		if hex[i], err = next(); err != nil {
			return 0, err
		}
	}
	code, err := strconv.ParseUint(string(hex[:]), 16, 8) // base64 is ASCII
	if err != nil {
		return 0, errBase64
	}
	return byte(code), nil
}
