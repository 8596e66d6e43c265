package inspect

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// spool is the one file that holds what is kept of an image, end to end. It has no name.
type spool struct {
	file  *os.File
	end   int64 // where what is kept ends
	limit int64
}

// errSpool says that the spool file itself failed.
var errSpool = errors.New("write the spool file")

// errFull says that a spool would be over its limit.
var errFull = errors.New("over the limit of bytes to keep")

// write appends at an offset without moving the end: what is there is kept once the
// caller has moved it.
func (s *spool) write(b []byte, at int64) error {
	if at+int64(len(b)) > s.limit {
		return errFull
	}
	if _, err := s.file.WriteAt(b, at); err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	return nil
}

// add appends all of r and says where it stands. It fails with errFull if the spool, and
// with errLong if r is too long.
func (s *spool) add(r io.Reader, limit int64, buf []byte) (at, n int64, err error) {
	at = s.end
	for {
		k, err := r.Read(buf)
		if n+int64(k) > limit {
			return 0, 0, errLong
		}
		if werr := s.write(buf[:k], at+n); werr != nil {
			return 0, 0, werr
		}
		n += int64(k)
		if err == io.EOF {
			s.end = at + n
			return at, n, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

// errLong says that one file is over its limit.
var errLong = errors.New("over the limit of one file")

func (s *spool) section(at, n int64) *io.SectionReader { return io.NewSectionReader(s.file, at, n) }
