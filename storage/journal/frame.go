package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"
)

// Both kinds of file are sixteen bytes that tell people what it is, a frame that
// tells programs, and then frames of content. A frame is four bytes of CRC32-C,
// four of length and a payload; the sum is of the length and the payload, so that
// a run of zeros is no frame. All numbers are little-endian.

// ErrDamaged says that a file does not hold what was written: it is cut short,
// overwritten, or not of this package.
var ErrDamaged = errors.New("journal: damaged")

const (
	magicSize  = 16
	frameHead  = 8
	headerSize = 1 + 1 + 8 + 8 // of its payload: version, flags, number, time
	version    = 1

	recordMagic   = "berth journal 1\n"
	snapshotMagic = "berth snapshot1\n"

	// maxFrame bounds what a length may say. One update has far less.
	maxFrame = 1 << 30
)

// What the header of a file of records says of the state that they begin at.
const (
	fromNothing = 1 << iota // the index was empty
	follows                 // it is the end of the segment before
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealFrame fills in the head of a frame whose first frameHead bytes are for it.
func sealFrame(frame []byte) {
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-frameHead))
	binary.LittleEndian.PutUint32(frame, crc32.Checksum(frame[4:], castagnoli))
}

// header is the first frame of a file.
type header struct {
	flags  byte
	number uint64 // of the last update before what follows
	time   time.Time
}

// appendTo adds a file's first bytes.
func (h header) appendTo(b []byte, magic string) []byte {
	b = append(b, magic...)
	start := len(b)
	b = append(b, make([]byte, frameHead)...)
	b = append(b, version, h.flags)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.time.UnixNano()))
	sealFrame(b[start:])
	return b
}

// headerBytes is the length of all that appendTo adds.
const headerBytes = magicSize + frameHead + headerSize

// frameReader reads the frames of a file.
type frameReader struct {
	r     *bufio.Reader
	body  []byte
	good  int64 // where the last whole frame ended
	first header
}

// readFrames reads the beginning of a file of the kind that magic says.
func readFrames(r io.Reader, magic string) (*frameReader, error) {
	f := &frameReader{r: bufio.NewReaderSize(r, 256<<10)}
	var got [magicSize]byte
	if _, err := io.ReadFull(f.r, got[:]); err != nil {
		return nil, cutShort(err)
	}
	if string(got[:]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrDamaged, magic)
	}
	f.good = magicSize
	body, err := f.next()
	if err != nil {
		return nil, cutShort(err)
	}
	if len(body) != headerSize || body[0] != version {
		return nil, fmt.Errorf("%w: it is of another version", ErrDamaged)
	}
	f.first = header{
		flags: body[1], number: binary.LittleEndian.Uint64(body[2:]),
		time: time.Unix(0, int64(binary.LittleEndian.Uint64(body[10:]))).UTC(),
	}
	return f, nil
}

// next returns the payload of the next frame, which is lent until the one after.
// After the last it returns io.EOF.
func (f *frameReader) next() ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		if err == io.EOF {
			return nil, io.EOF
		}
		return nil, cutShort(err)
	}
	length := binary.LittleEndian.Uint32(head[4:])
	if length > maxFrame {
		return nil, fmt.Errorf("%w: a length of %d at %d", ErrDamaged, length, f.good)
	}
	if err := f.readBody(int(length)); err != nil {
		return nil, cutShort(err)
	}
	sum := crc32.Update(crc32.Checksum(head[4:], castagnoli), castagnoli, f.body)
	if sum != binary.LittleEndian.Uint32(head[:]) {
		return nil, fmt.Errorf("%w: a wrong checksum at %d", ErrDamaged, f.good)
	}
	f.good += int64(frameHead + len(f.body))
	return f.body, nil
}

// readBody takes memory as bytes come, not as a length claims.
func (f *frameReader) readBody(length int) error {
	f.body = f.body[:0]
	for len(f.body) < length {
		have := len(f.body)
		n := min(length-have, 1<<20)
		f.body = slices.Grow(f.body, n)[:have+n]
		if _, err := io.ReadFull(f.r, f.body[have:]); err != nil {
			return err
		}
	}
	return nil
}

// cutShort makes the end of a file inside of something damage.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut short", ErrDamaged)
	}
	return err
}
