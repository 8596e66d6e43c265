package vulndb

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
)

// A file is complete when it has its seal, which is written last: behind what bbolt
// wrote comes the Info in JSON, and then the end of the file, of a fixed size, which has
// the lengths and checksums of both. So what a database is can be told without bbolt,
// which panics over what it did not write.

// format counts up whenever what is in a file changes its meaning.
const format = 1

const (
	magic    = "berth vulndb\r\n\x1a\n"
	sealSize = 8 + 8 + 4 + 4 + 4 + 4 + len(magic) // rows, info, their sums, format, sum of the seal, magic
	maxInfo  = 16 << 20
)

var table = crc32.MakeTable(crc32.Castagnoli)

// seal is the end of a file.
type seal struct {
	rows, info       uint64 // how long they are
	rowsSum, infoSum uint32
	format           uint32
}

func (s seal) append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, s.rows)
	b = binary.BigEndian.AppendUint64(b, s.info)
	b = binary.BigEndian.AppendUint32(b, s.rowsSum)
	b = binary.BigEndian.AppendUint32(b, s.infoSum)
	b = binary.BigEndian.AppendUint32(b, s.format)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], table))
	return append(b, magic...)
}

// readSeal reads the end of a file and what it says of itself.
func readSeal(f *os.File) (s seal, info Info, err error) {
	stat, err := f.Stat()
	if err != nil {
		return s, info, err
	}
	var b [sealSize]byte
	if stat.Size() < int64(sealSize) {
		return s, info, unsealed(f)
	}
	if _, err := f.ReadAt(b[:], stat.Size()-int64(sealSize)); err != nil {
		return s, info, err
	}
	if string(b[sealSize-len(magic):]) != magic {
		return s, info, unsealed(f)
	}
	s = seal{
		binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:]),
		binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:]), binary.BigEndian.Uint32(b[24:]),
	}
	switch {
	case crc32.Checksum(b[:28], table) != binary.BigEndian.Uint32(b[28:]):
		return s, info, ErrDamaged
	case s.format != format:
		return s, info, fmt.Errorf("%w: %d, and this is %d", ErrFormat, s.format, format)
	case s.info > maxInfo || s.rows > uint64(stat.Size()) || s.rows+s.info+uint64(sealSize) != uint64(stat.Size()):
		return s, info, ErrDamaged
	}
	text := make([]byte, s.info)
	if _, err := f.ReadAt(text, int64(s.rows)); err != nil {
		return s, info, err
	}
	if crc32.Checksum(text, table) != s.infoSum || json.Unmarshal(text, &info) != nil {
		return s, info, ErrDamaged
	}
	info.Sum = sumOf(b[:28])
	return s, info, nil
}

func sumOf(seal []byte) string {
	return hex.EncodeToString(seal[16:24])
}

// unsealed tells a database that is half written from something else: bbolt's first
// page has its magic number at a fixed place.
func unsealed(f *os.File) error {
	var b [20]byte
	if _, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	const bolt = 0xED0CDAED
	if b == [20]byte{} || binary.NativeEndian.Uint32(b[16:]) == bolt {
		return ErrIncomplete
	}
	return ErrForeign
}

// putSeal completes a file of which so many bytes are bbolt's, and has it on the disk.
func putSeal(f *os.File, rows int64, info Info) (sum string, err error) {
	if err := f.Truncate(rows); err != nil {
		return "", err
	}
	rowsSum, err := sumRows(f, rows)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(info)
	if err != nil {
		return "", err
	}
	s := seal{uint64(rows), uint64(len(text)), rowsSum, crc32.Checksum(text, table), format}
	if _, err := f.WriteAt(text, rows); err != nil {
		return "", err
	}
	// What is sealed is on the disk before the seal is.
	if err := f.Sync(); err != nil {
		return "", err
	}
	end := s.append(nil)
	if _, err := f.WriteAt(end, rows+int64(len(text))); err != nil {
		return "", err
	}
	return sumOf(end), f.Sync()
}

func sumRows(f *os.File, size int64) (uint32, error) {
	var h hash.Hash32 = crc32.New(table)
	_, err := io.CopyBuffer(h, io.NewSectionReader(f, 0, size), make([]byte, 1<<20))
	return h.Sum32(), err
}

// Verify reads a whole file and says whether each byte is as it was written. What it
// returns of it is what Open would say. The file stays open.
func Verify(f *os.File) (Info, error) {
	s, info, err := readSeal(f)
	if err != nil {
		return info, err
	}
	sum, err := sumRows(f, int64(s.rows))
	if err != nil {
		return info, err
	}
	if sum != s.rowsSum {
		return info, ErrDamaged
	}
	return info, nil
}
