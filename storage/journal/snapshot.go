package journal

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// A snapshot is blocks of rows in the order of their keys and a last block that
// counts them. The first byte of a block says which it is.
const (
	blockRows = 'r'
	blockEnd  = 'e'

	blockSize = 64 << 10
	endSize   = 1 + 8 + 8 + 8
)

// SnapshotEnd is what a snapshot says at its end.
type SnapshotEnd struct {
	// Begin and Number are the last updates before the first row and the last row
	// were read. If they are the same the rows are the state at that number.
	// Otherwise they are with the records after Begin, up to Number at least,
	// applied in order.
	Begin, Number uint64
	Time          time.Time // when it was ended, UTC
	Rows          int64
}

// SnapshotWriter writes rows to a file or a stream.
type SnapshotWriter struct {
	w     io.Writer
	begin uint64
	block []byte
	last  string
	rows  int64
	size  int64
}

// NewSnapshotWriter begins a snapshot; begin is the number of an update whose
// writes all its rows will have seen. The caller closes w. Nothing is synced.
func NewSnapshotWriter(w io.Writer, begin uint64) (*SnapshotWriter, error) {
	n, err := w.Write(header{number: begin, time: time.Now()}.appendTo(nil, snapshotMagic))
	return &SnapshotWriter{w: w, begin: begin, block: newBlock(nil, blockRows), size: int64(n)}, err
}

func newBlock(b []byte, kind byte) []byte {
	return append(append(b[:0], make([]byte, frameHead)...), kind)
}

// Put adds a row, whose key comes after that of the one before.
func (s *SnapshotWriter) Put(key string, value []byte) error {
	if key <= s.last {
		return fmt.Errorf("journal: row %q comes after %q", key, s.last)
	}
	s.last = key
	s.rows++
	s.block = appendPut(s.block, key, value)
	if len(s.block) < blockSize {
		return nil
	}
	return s.flush()
}

// Finish ends the snapshot with the number of the last update that any of its
// rows saw.
func (s *SnapshotWriter) Finish(number uint64, at time.Time) (SnapshotEnd, error) {
	if len(s.block) > frameHead+1 {
		if err := s.flush(); err != nil {
			return SnapshotEnd{}, err
		}
	}
	end := SnapshotEnd{Begin: s.begin, Number: number, Time: at.UTC(), Rows: s.rows}
	s.block = newBlock(s.block, blockEnd)
	for _, n := range []uint64{number, uint64(at.UnixNano()), uint64(s.rows)} {
		s.block = binary.LittleEndian.AppendUint64(s.block, n)
	}
	return end, s.flush()
}

// Size is how many bytes were written so far.
func (s *SnapshotWriter) Size() int64 { return s.size }

func (s *SnapshotWriter) flush() error {
	sealFrame(s.block)
	n, err := s.w.Write(s.block)
	s.size += int64(n)
	s.block = newBlock(s.block, blockRows)
	return err
}

// SnapshotReader reads what a SnapshotWriter wrote.
type SnapshotReader struct {
	frames *frameReader
	end    SnapshotEnd
	ended  bool
}

// NewSnapshotReader reads the beginning of a snapshot. The error is ErrDamaged if
// it is not one.
func NewSnapshotReader(r io.Reader) (*SnapshotReader, error) {
	frames, err := readFrames(r, snapshotMagic)
	if err != nil {
		return nil, err
	}
	return &SnapshotReader{frames: frames, end: SnapshotEnd{Begin: frames.first.number}}, nil
}

// Rows yields all rows in the order of their keys; values are lent until the
// next. It may be used once. If it ends without an error the snapshot was whole,
// and End knows all.
func (s *SnapshotReader) Rows() iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		last := ""
		var rows int64
		for {
			block, err := s.block()
			for err == nil && len(block) > 0 {
				var c Change
				if c, block, err = readChange(block); err != nil {
					break
				}
				if c.Deleted || c.Key <= last {
					err = fmt.Errorf("%w: row %q comes after %q", ErrDamaged, c.Key, last)
					break
				}
				last = c.Key
				rows++
				if !yield(storage.Entry{Key: c.Key, Value: c.Value}, nil) {
					return
				}
			}
			if err == nil && s.ended && rows != s.end.Rows {
				err = fmt.Errorf("%w: %d rows where there were %d", ErrDamaged, rows, s.end.Rows)
			}
			if err != nil {
				yield(storage.Entry{}, err)
				return
			}
			if s.ended {
				return
			}
		}
	}
}

// End is what the snapshot says at its end; before that was read, nothing but
// where it began.
func (s *SnapshotReader) End() SnapshotEnd { return s.end }

// Verify reads a snapshot that nothing was read of to its end and checks the sums.
func (s *SnapshotReader) Verify() error {
	for !s.ended {
		if _, err := s.block(); err != nil {
			return err
		}
	}
	return nil
}

// block returns the rows of the next block, none of the last.
func (s *SnapshotReader) block() ([]byte, error) {
	body, err := s.frames.next()
	switch {
	case err != nil:
		return nil, cutShort(err)
	case len(body) > 1 && body[0] == blockRows:
		return body[1:], nil
	case len(body) != endSize || body[0] != blockEnd:
		return nil, fmt.Errorf("%w: a block of no known kind", ErrDamaged)
	}
	s.ended = true
	s.end.Number = binary.LittleEndian.Uint64(body[1:])
	s.end.Time = time.Unix(0, int64(binary.LittleEndian.Uint64(body[9:]))).UTC()
	s.end.Rows = int64(binary.LittleEndian.Uint64(body[17:]))
	if _, err := s.frames.next(); err != io.EOF {
		return nil, fmt.Errorf("%w: more after the end", ErrDamaged)
	}
	return nil, nil
}
