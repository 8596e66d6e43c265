package registry

import (
	"context"
	"io"

	"github.com/seed-78150930/berth/registry/digest"
)

// hashBuffer is how much is read at a time when bytes are hashed again.
const hashBuffer = 256 << 10

// hashFrom hashes all of r from its first byte on, until ctx ends.
func (s *Service) hashFrom(ctx context.Context, r io.ReadSeeker, a digest.Algorithm) (digest.Digest, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return digest.Digest{}, err
	}
	h, buf := s.hash(a), make([]byte, hashBuffer)
	for {
		if err := ctx.Err(); err != nil {
			return digest.Digest{}, err
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return digest.FromHash(a, h), nil
		}
		if err != nil {
			return digest.Digest{}, err
		}
	}
}
