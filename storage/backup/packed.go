package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// pack compresses what fn writes into w, and says what came of it.
func pack(w io.Writer, fn func(io.Writer) error) (Part, error) {
	sum := &summed{w: w, sum: sha256.New()}
	z, err := gzip.NewWriterLevel(sum, gzip.BestSpeed)
	if err != nil {
		return Part{}, err
	}
	buffer := bufio.NewWriterSize(z, 256<<10)
	if err := fn(buffer); err != nil {
		return Part{}, err
	}
	if err := errors.Join(buffer.Flush(), z.Close()); err != nil {
		return Part{}, err
	}
	return sum.part(), nil
}

// unpack is what was packed into r.
func unpack(r io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return z, nil
}

// summed counts and hashes what is written.
type summed struct {
	w    io.Writer
	sum  hash.Hash
	size int64
}

func (s *summed) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.sum.Write(p[:n])
	s.size += int64(n)
	return n, err
}

func (s *summed) part() Part { return Part{Size: s.size, SHA256: hex.EncodeToString(s.sum.Sum(nil))} }

// fetch calls fn with a part of a backup, whose size and checksum it holds against the
// manifest; what fn read is to be believed once fetch returns nil.
func fetch(ctx context.Context, t Target, name string, p Part, fn func(io.Reader) error) error {
	r, err := t.Open(ctx, name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer r.Close()
	sum := &summed{w: io.Discard, sum: sha256.New()}
	in := io.TeeReader(readerOf(ctx, io.LimitReader(r, p.Size+1)), sum)
	err = fn(in)
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if got := sum.part(); err == nil && got != p {
		err = fmt.Errorf("%w: it has %d bytes with the checksum %.12s…; want %d bytes with %.12s…", ErrDamaged, got.Size, got.SHA256, p.Size, p.SHA256)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// skim reads all of a part and nothing of what it says.
func skim(io.Reader) error { return nil }
