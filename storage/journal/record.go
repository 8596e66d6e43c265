package journal

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"time"
)

// Change is what an update did to one key.
type Change struct {
	Key     string
	Value   []byte // lent, as storage.Entry's
	Deleted bool   // then there is no value
}

// Record is one update that was kept.
type Record struct {
	Number uint64    // storage.Numbered's
	Time   time.Time // when it came to the journal, UTC; a clock that was set back shows
	body   []byte    // changes as they are written
}

// recordHead is what a record's payload begins with: number and time.
const recordHead = 8 + 8

// Changes yields what the update did, in its order: of two changes of a key the
// later is the one that counts.
func (r Record) Changes() iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for b := r.body; len(b) > 0; {
			c, rest, err := readChange(b)
			if !yield(c, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

// A change is the length of its key, doubled, and one more if it is a deletion;
// the key; and unless it is one, the value's length and the value.
func appendPut(b []byte, key string, value []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(key))<<1)
	b = append(b, key...)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

func appendDelete(b []byte, key string) []byte {
	b = binary.AppendUvarint(b, uint64(len(key))<<1|1)
	return append(b, key...)
}

func readChange(b []byte) (c Change, rest []byte, err error) {
	raw, rest, err := readRaw(b)
	return Change{Key: string(raw.key), Value: raw.value, Deleted: raw.deleted}, rest, err
}

// rawChange is a Change that lies in a frame.
type rawChange struct {
	key, value []byte
	deleted    bool
}

func readRaw(b []byte) (c rawChange, rest []byte, err error) {
	length, b, err := readLength(b, 1)
	if err != nil {
		return c, nil, err
	}
	c.key, c.deleted = b[:length>>1], length&1 == 1
	b = b[length>>1:]
	if c.deleted {
		return c, b, nil
	}
	length, b, err = readLength(b, 0)
	if err != nil {
		return c, nil, err
	}
	c.value = b[:length:length]
	return c, b[length:], nil
}

// readLength reads a length, of which the lowest bits are something else, and
// checks that so much follows.
func readLength(b []byte, bits int) (length uint64, rest []byte, err error) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length>>bits > uint64(len(b)-n) {
		return 0, nil, fmt.Errorf("%w: a wrong length inside of a frame", ErrDamaged)
	}
	return length, b[n:], nil
}

// RecordWriter writes records to a file or a stream.
type RecordWriter struct {
	w    io.Writer
	buf  []byte
	last uint64
}

// NewRecordWriter begins a run of records whose first has the number after last.
// The caller closes w. Nothing is synced.
func NewRecordWriter(w io.Writer, last uint64) (*RecordWriter, error) {
	_, err := w.Write(header{number: last, time: time.Now()}.appendTo(nil, recordMagic))
	return &RecordWriter{w: w, last: last}, err
}

// Write writes the record that follows the one before.
func (w *RecordWriter) Write(r Record) error {
	if r.Number != w.last+1 {
		return fmt.Errorf("journal: record %d does not follow %d", r.Number, w.last)
	}
	w.buf = append(w.buf[:0], make([]byte, frameHead+recordHead)...)
	w.buf = append(w.buf, r.body...)
	sealRecord(w.buf, r.Number, r.Time)
	_, err := w.w.Write(w.buf)
	if err == nil {
		w.last = r.Number
	}
	return err
}

// sealRecord fills in the first bytes of a record's frame.
func sealRecord(frame []byte, number uint64, at time.Time) {
	binary.LittleEndian.PutUint64(frame[frameHead:], number)
	binary.LittleEndian.PutUint64(frame[frameHead+8:], uint64(at.UnixNano()))
	sealFrame(frame)
}

// RecordReader reads what a RecordWriter wrote.
type RecordReader struct {
	frames *frameReader
	last   uint64
	good   int64
}

// NewRecordReader reads the beginning of a run of records. The error is
// ErrDamaged if it is not one.
func NewRecordReader(r io.Reader) (*RecordReader, error) {
	frames, err := readFrames(r, recordMagic)
	if err != nil {
		return nil, err
	}
	return &RecordReader{frames: frames, last: frames.first.number, good: frames.good}, nil
}

// Last is the number of the last record that was read, before the first that of
// the state which the run begins at.
func (r *RecordReader) Last() uint64 { return r.last }

// Good is how many bytes of the stream were read and are sound.
func (r *RecordReader) Good() int64 { return r.good }

// Next returns the next record, whose content is lent until the one after. After
// the last it returns io.EOF, and ErrDamaged where the stream is no longer sound.
func (r *RecordReader) Next() (Record, error) {
	body, err := r.frames.next()
	if err != nil {
		return Record{}, err
	}
	if len(body) < recordHead {
		return Record{}, fmt.Errorf("%w: a record of %d bytes", ErrDamaged, len(body))
	}
	number := binary.LittleEndian.Uint64(body)
	if number != r.last+1 {
		return Record{}, fmt.Errorf("%w: record %d follows %d", ErrDamaged, number, r.last)
	}
	r.last, r.good = number, r.frames.good
	at := time.Unix(0, int64(binary.LittleEndian.Uint64(body[8:]))).UTC()
	return Record{Number: number, Time: at, body: body[recordHead:]}, nil
}
