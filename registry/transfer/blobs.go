package transfer

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
)

// blob sees to it that a repository of the target has a blob: it has it, or another
// one that got it in this run gives it, or it is copied.
func (c *copier) blob(ctx context.Context, j *job, d manifest.Descriptor, s *share) error {
	err := c.blobs.do(ctx, place{j.to, d.Digest}, func() error {
		has, err := c.To.HasBlob(ctx, j.to, d.Digest)
		if err != nil {
			return fmt.Errorf("the target: %w", err)
		}
		if has {
			c.tally.there.Add(1)
			c.where.Store(d.Digest, j.to)
			return nil
		}
		if c.DryRun {
			c.tally.wouldCopy(d.Digest, d.Size)
			return nil
		}
		if err := j.made(ctx); err != nil {
			return err
		}
		err = c.carry(ctx, j, d, s)
		if (d.Foreign || d.Optional) && isGone(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return nil
}

// carry mounts a blob or copies it. Of those who want one blob for several
// repositories the first copies it, and the others wait for that.
func (c *copier) carry(ctx context.Context, j *job, d manifest.Descriptor, s *share) error {
	copied := false
	err := c.uploads.do(ctx, d.Digest, func() error {
		if _, known := c.where.Load(d.Digest); known {
			return nil
		}
		copied = true
		return c.copy(ctx, j, d, s)
	})
	if err != nil || copied {
		return err
	}
	if from, ok := c.where.Load(d.Digest); ok {
		mounted, err := c.To.MountBlob(ctx, j.to, from.(string), d.Digest)
		if err == nil && mounted {
			c.tally.mounted.Add(1)
			return nil
		}
		if err != nil && ctx.Err() != nil {
			return err
		}
	}
	return c.copy(ctx, j, d, s)
}

// copy copies a blob, when it is its turn.
func (c *copier) copy(ctx context.Context, j *job, d manifest.Descriptor, s *share) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	st := &stream{ctx: ctx, source: c.From, repo: j.from, digest: d.Digest, size: d.Size, hash: d.Digest.Algorithm().New(), pause: c.Pause, told: func(n int64) {
		s.came(n)
		c.tally.bytes.Add(n)
	}}
	defer st.end()
	if d.Unsized {
		if err := st.measure(); err != nil {
			return err
		}
		s.expect(st.size)
	}
	if st.size == 0 && !d.Digest.Matches(nil) {
		return fmt.Errorf("%w: it is said to be empty, which another digest has", peer.ErrWrong)
	}
	if err := c.To.PushBlob(ctx, j.to, d.Digest, st.size, st.open); err != nil {
		return err
	}
	c.tally.blobs.Add(1)
	c.where.Store(d.Digest, j.to)
	return nil
}

// maxBreaks bounds how often a source may break off without a byte in between.
const maxBreaks = 5

// stream reads a blob from the source, hashed on the way. Where the source breaks off
// it goes on from there; where the target lost bytes it goes back. The last byte of
// a blob whose digest is wrong is not handed on.
type stream struct {
	ctx    context.Context
	source Source
	repo   string
	digest digest.Digest
	size   int64
	pause  time.Duration
	told   func(int64)

	mu     sync.Mutex
	round  int // of the reader that is in use
	body   io.ReadCloser
	hash   hash.Hash
	at     int64  // bytes that were hashed
	most   int64  // that ever were
	marks  []mark // states of the hash, with rising offsets
	breaks int
}

// mark is the state of the hash at an offset.
type mark struct {
	at    int64
	state []byte
}

// open is for PushBlob: a reader from an offset on. One that was opened before ends.
func (s *stream) open(from int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round++
	if err := s.seek(from); err != nil {
		return nil, err
	}
	state, err := s.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return nil, err
	}
	if len(s.marks) == 0 || s.marks[len(s.marks)-1].at < from {
		s.marks = append(s.marks, mark{from, state})
	}
	return &piece{s, s.round}, nil
}

// seek brings the hash to an offset: what lies between a mark and there is read again.
func (s *stream) seek(to int64) error {
	if to == s.at {
		return nil
	}
	s.drop()
	s.hash.Reset()
	s.at = 0
	for i := len(s.marks) - 1; i >= 0; i-- {
		if m := s.marks[i]; m.at <= to {
			if err := s.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.state); err != nil {
				return err
			}
			s.at = m.at
			break
		}
	}
	_, err := io.CopyN(io.Discard, readerOf(s.read), to-s.at)
	return err
}

type readerOf func([]byte) (int, error)

func (r readerOf) Read(p []byte) (int, error) { return r(p) }

// piece is a reader of a stream until the next one is opened.
type piece struct {
	*stream
	mine int
}

var errOver = errors.New("another part is read")

func (p *piece) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mine != p.round {
		return 0, errOver
	}
	return p.read(b)
}

// Close leaves the source open for the next part.
func (p *piece) Close() error { return nil }

// read reads on, and goes on after a break.
func (s *stream) read(p []byte) (int, error) {
	if s.at == s.size {
		return 0, io.EOF
	}
	for {
		if err := s.ctx.Err(); err != nil {
			return 0, err
		}
		n, err := s.some(p)
		if n > 0 {
			s.breaks = 0
			if err := s.took(p[:n]); err != nil {
				return 0, err
			}
			return n, nil
		}
		if err == nil {
			continue
		}
		s.drop()
		if s.breaks++; s.breaks > maxBreaks || s.ctx.Err() != nil || !mends(err) {
			return 0, err
		}
		if err := remote.Wait(s.ctx, time.Duration(s.breaks-1)*s.pause/4); err != nil {
			return 0, err
		}
	}
}

// mends says whether reading again may help.
func mends(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, peer.ErrUnavailable) || errors.Is(err, peer.ErrTooMany)
}

// some reads what there is.
func (s *stream) some(p []byte) (int, error) {
	if s.body == nil {
		body, size, err := s.source.OpenBlob(s.ctx, s.repo, s.digest, s.at)
		if err != nil {
			return 0, err
		}
		s.body = body
		if size >= 0 && size != s.size {
			return 0, fmt.Errorf("%w: it has %d bytes, and its manifest says %d", peer.ErrWrong, size, s.size)
		}
	}
	n, err := s.body.Read(p)
	if err == io.EOF && n == 0 {
		err = fmt.Errorf("%w: it ends after %d of %d bytes: %w", peer.ErrWrong, s.at, s.size, io.ErrUnexpectedEOF)
	}
	return n, err
}

// took hashes bytes. Those that end the blob, with which it is wrong, are not given.
func (s *stream) took(p []byte) error {
	if s.at+int64(len(p)) > s.size {
		return fmt.Errorf("%w: it has more than the %d bytes that its manifest says", peer.ErrWrong, s.size)
	}
	s.hash.Write(p)
	s.at += int64(len(p))
	if s.at > s.most {
		s.told(s.at - s.most)
		s.most = s.at
	}
	if s.at == s.size && digest.FromHash(s.digest.Algorithm(), s.hash) != s.digest {
		return fmt.Errorf("%w: its bytes have another digest", peer.ErrWrong)
	}
	return nil
}

// measure finds the size of a blob that no manifest tells.
func (s *stream) measure() error {
	body, size, err := s.source.OpenBlob(s.ctx, s.repo, s.digest, 0)
	if err != nil {
		return err
	}
	if size < 0 {
		size, err = io.Copy(io.Discard, body)
	}
	s.size = size
	return errors.Join(err, body.Close())
}

func (s *stream) drop() {
	if s.body != nil {
		_ = s.body.Close() // what is left of it is not read
		s.body = nil
	}
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round++
	s.drop()
}
