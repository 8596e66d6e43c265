package vulndb

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// What a database holds lies in two buckets. In one are blocks of records, several to
// each, which are packed the better for it: number -> JSON list of records. In the other
// is what affects a package: ecosystem, name and a number, for a package may have several
// rows -> JSON list of affected. All values are packed by zstd, which has a checksum of
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

func (c *codec) pack(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return c.enc.EncodeAll(b, nil), nil
}

func (c *codec) unpack(b []byte, into any) (err error) {
	c.buf, err = c.dec.DecodeAll(b, c.buf[:0])
	if err == nil {
		err = json.Unmarshal(c.buf, into)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

func (c *codec) close() {
	_ = c.enc.Close()
	c.dec.Close()
}
