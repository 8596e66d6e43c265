package inspect

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
)

// budget is what is left of the bytes that an image may unpack to.
type budget struct {
	left  int64
	limit int64
}

// take uses up bytes. It fails with a problem if there are not as many.
func (b *budget) take(n int64) error {
	if n = max(n, 0); n > b.left {
		b.left = 0
		return over("The image unpacks to too many bytes", keyUnpacked, size(b.limit))
	}
	b.left -= n
	return nil
}

// metered takes what is read from it off a budget.
type metered struct {
	r      io.Reader
	budget *budget
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if spent := m.budget.take(int64(n)); spent != nil {
		return 0, spent
	}
	return n, err
}

// unpacked is a layer's archive, from the layer as it is stored.
type unpacked struct {
	io.Reader // of the archive
	layer     scan.Layer
	packed    *bufio.Reader
	hash      hash.Hash
	close     func()
}

// unpack begins to unpack a layer. By its first bytes, not by its media type, it is
// packed by gzip or zstd or not at all; readers of images elsewhere look at those too,
// and what is packed twice or otherwise fails as an archive. The caller must call close.
func unpack(packed io.Reader, l scan.Layer, b *budget, limits Limits) (*unpacked, error) {
	u := &unpacked{layer: l, hash: l.Digest.Algorithm().New(), close: func() {}}
	u.packed = bufio.NewReaderSize(io.TeeReader(packed, u.hash), 128<<10)
	magic, err := u.packed.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var archive io.Reader = u.packed
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}): // RFC 1952
		if archive, err = gzip.NewReader(u.packed); err != nil {
			return nil, u.wrong(err, limits)
		}
	case isZstd(magic):
		// One goroutine, and no more memory than a window asks for.
		z, err := zstd.NewReader(u.packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(limits.Window)))
		if err != nil {
			return nil, u.wrong(err, limits)
		}
		archive, u.close = z, z.Close
	}
	u.Reader = metered{archive, b}
	return u, nil
}

// isZstd says whether bytes begin a frame of zstd, or one that it skips (RFC 8878).
func isZstd(magic []byte) bool {
	return bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) || len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18})
}

// finish reads the layer to its end behind its archive, which must be followed by nothing
// but zeros, and holds its bytes against its digest.
func (u *unpacked) finish(limits Limits, buf []byte) error {
	for {
		n, err := u.Read(buf)
		if len(bytes.TrimLeft(buf[:n], "\x00")) > 0 {
			return damaged(u.layer.Digest, "there is something behind the end of its archive")
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return u.wrong(err, limits)
		}
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{u.packed}, buf); err != nil {
		return err
	}
	if got := digest.FromHash(u.layer.Digest.Algorithm(), u.hash); got != u.layer.Digest {
		return damaged(u.layer.Digest, "its bytes are those of "+got.String())
	}
	return nil
}

// wrong says what an error in the midst of a layer means.
func (u *unpacked) wrong(err error, limits Limits) error {
	var p *scan.Problem
	switch {
	case errors.As(err, &p), errors.Is(err, errSpool), errors.Is(err, errFrame):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return over(fmt.Sprintf("Layer %s refers back too far", u.layer.Digest), keyWindow, size(limits.Window))
	}
	return damaged(u.layer.Digest, err.Error())
}

func damaged(layer digest.Digest, how string) *scan.Problem {
	return scan.NewProblem(scan.Damaged, "Layer %s is damaged: %.200s", layer, how)
}
