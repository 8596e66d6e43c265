package vulndb

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// What a database holds lies in two buckets. In one are blocks of records, several to
// each, which are packed the better for it: number -> records, a line of JSON each. In the
// other is what affects a package: ecosystem, name and a number, for a package may have
// several rows -> affected, likewise. All values are packed by zstd, which has a checksum of
// each: bbolt has none.
var (
	blocksBucket   = []byte("blocks")
	affectedBucket = []byte("affected")
)

// keyOf is how the keys of the rows of a package begin.
func keyOf(ecosystem, name string) string {
	return ecosystem + "\x00" + normalise(ecosystem, name) + "\x00"
}

func numbered(prefix string, n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(prefix), n)
}

// codec packs and unpacks values. It is for one goroutine.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
	buf []byte
}

// maxValue bounds what a value may be unpacked to: a compiled one is far below, unless
// it is of a single huge record.
const maxValue = 256 << 20

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxValue))
	if err != nil {
		return nil, err
	}
	return &codec{enc: enc, dec: dec}, nil
}

// pack packs lines.
func (c *codec) pack(lines []byte) []byte { return c.enc.EncodeAll(lines, nil) }

// unpack returns lines, which are good until the next call.
func (c *codec) unpack(b []byte) (lines []byte, err error) {
	c.buf, err = c.dec.DecodeAll(b, c.buf[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return c.buf, nil
}

// readLine reads a value of a line.
func readLine(line []byte, into any) error {
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// lineAt is one of some lines, nil if there are fewer.
func lineAt(lines []byte, n int) []byte {
	for ; n > 0 && len(lines) > 0; n-- {
		_, lines, _ = bytes.Cut(lines, []byte("\n"))
	}
	line, _, _ := bytes.Cut(lines, []byte("\n"))
	return line
}

func (c *codec) close() {
	_ = c.enc.Close()
	c.dec.Close()
}
