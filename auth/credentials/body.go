package credentials

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/seed-78150930/berth/storage"
)

const (
	// inMemory is how much of a body is held in memory. Most requests of the
	// API are far shorter; those that carry parts of layers are longer.
	inMemory         = 64 << 10
	defaultMaxSpools = 128
	spoolPattern     = "body-*"
)

// Body is the verified body of a signed request.
type Body struct {
	mem  []byte
	file *os.File // instead of mem; has no name any more
	size int64
	sum  [sha256.Size]byte
	free func() // gives back the place among MaxSpools
}

// Reader returns a new reader of the whole body each time.
func (b *Body) Reader() io.ReadSeeker {
	if b.file != nil {
		return io.NewSectionReader(b.file, 0, b.size)
	}
	return bytes.NewReader(b.mem)
}

// Size is the length of the body in bytes.
func (b *Body) Size() int64 { return b.size }

// Close drops the body; its readers end. Closing twice is no error.
func (b *Body) Close() error {
	var err error
	if b.file != nil {
		err = b.file.Close()
		if errors.Is(err, os.ErrClosed) {
			err = nil
		}
	}
	b.mem = nil
	b.free()
	return err
}

// spool holds bodies while they are hashed.
type spool struct {
	dir    string
	places chan struct{} // full when MaxSpools bodies are held
}

func newSpool(dir string, limit int) (*spool, error) {
	if limit == 0 {
		limit = defaultMaxSpools
	}
	s := &spool{dir, make(chan struct{}, limit)}
	if dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for request bodies: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, spoolPattern))
	if err != nil {
		return nil, fmt.Errorf("list old request bodies: %w", err)
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil {
			return nil, fmt.Errorf("remove old request body: %w", err)
		}
	}
	return s, nil
}

// read takes in the body of r, at most limit bytes. The error is an *Error, or
// a fault of this machine.
func (s *spool) read(r *http.Request, limit int64) (*Body, error) {
	if err := checkHead(r, limit); err != nil {
		return nil, err
	}
	b := &Body{free: func() {}}
	src := &source{r: http.NoBody, hash: sha256.New()}
	if r.Body != nil {
		src.r = io.LimitReader(r.Body, limit+1)
	}
	err := s.fill(b, src)
	if err == nil && src.n > limit {
		err = tooLarge(limit)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	b.size = src.n
	src.hash.Sum(b.sum[:0])
	return b, nil
}

// checkHead refuses by its head a request whose body will not be read. An
// encoded body gets the answer that AWS gives to one that it cannot decode: it
// is never inflated.
func checkHead(r *http.Request, limit int64) error {
	if len(r.Header.Values("Content-Encoding")) > 0 {
		return refuse(MalformedHTTPRequest, "The request has a Content-Encoding; only bodies without one are accepted.")
	}
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	return nil
}

// fill reads src to its end, into memory if it is short.
func (s *spool) fill(b *Body, src *source) error {
	var mem bytes.Buffer
	_, err := io.CopyN(&mem, src, inMemory+1)
	if err == io.EOF {
		b.mem = mem.Bytes()
		return nil
	}
	if err != nil {
		return err
	}
	if b.free, err = s.place(); err != nil {
		return err
	}
	if s.dir == "" {
		_, err = io.Copy(&mem, src)
		b.mem = mem.Bytes()
		return err
	}
	return s.fillFile(b, io.MultiReader(&mem, src))
}

// fillFile reads src into a file that has no name from the start, so that
// nothing is left of it when the process dies.
func (s *spool) fillFile(b *Body, src io.Reader) (err error) {
	if b.file, err = os.CreateTemp(s.dir, spoolPattern); err != nil { // with mode 0600
		return spoolFault(err)
	}
	if err = os.Remove(b.file.Name()); err != nil {
		return spoolFault(err)
	}
	_, err = io.Copy(b.file, src)
	return spoolFault(err)
}

// spoolFault words what went wrong with a file, and leaves refusals as they
// are. A full disk is storage.ErrFull, as it is elsewhere.
func spoolFault(err error) error {
	var refused *Error
	switch {
	case err == nil, errors.As(err, &refused):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("hold request body: %w: %w", storage.ErrFull, err)
	}
	return fmt.Errorf("hold request body: %w", err)
}

// place takes one of the places for long bodies. It does not wait: a few slow
// senders could make everybody wait, and clients of AWS try again by
// themselves.
func (s *spool) place() (free func(), err error) {
	select {
	case s.places <- struct{}{}:
		return sync.OnceFunc(func() { <-s.places }), nil
	default:
		return func() {}, &Error{Code: ServiceUnavailable, Status: http.StatusServiceUnavailable,
			Message: "Too many large requests at one time. Please try again."}
	}
}

// source is a request's body on its way in. What goes wrong with it is the
// sender's doing, and said so.
type source struct {
	r    io.Reader
	hash hash.Hash
	n    int64
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		err = tooLarge(over.Limit)
	case err != nil && err != io.EOF:
		err = refuse(RequestAborted, "The request was aborted before its body had arrived.")
	}
	return n, err
}

func tooLarge(limit int64) *Error {
	return &Error{Code: RequestEntityTooLarge, Status: http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("The body of the request is larger than the %d bytes that are accepted.", limit)}
}
