package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

// VerifyMode says when a layer's bytes are hashed before they go out.
type VerifyMode string

// The modes.
const (
	// VerifyChanged hashes what was touched since it was last known to be right, as
	// far as the store of blobs can tell. A medium that decays in silence is Scrub's
	// to find.
	VerifyChanged VerifyMode = "changed"
	// VerifyAlways hashes all bytes before each read.
	VerifyAlways VerifyMode = "always"
)

// errDamaged says that bytes do not have their digest.
var errDamaged = errors.New("the bytes are damaged")

// openProven opens the bytes of a content after what Options.Verify asks for. The
// error is errDamaged if they are not what they should be, which then has been noted,
// and storage.ErrNotFound if they are not there.
func (s *Service) openProven(ctx context.Context, d digest.Digest, row contentRow) (io.ReadSeekCloser, error) {
	r, err := s.openContent(ctx, row.Blob)
	if err != nil {
		return nil, err
	}
	if err := s.prove(ctx, d, row, r); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// prove makes sure that what r reads is what is to be read. The stamp is that of the
// opened file, so what is looked at is what goes out.
func (s *Service) prove(ctx context.Context, d digest.Digest, row contentRow, r io.ReadSeekCloser) error {
	stamp, err := s.stamp(r)
	if err != nil {
		return err
	}
	if s.isProven(row, stamp) {
		return nil
	}
	if err := s.proofs.join(ctx, blobState{row.Blob, stamp}, func(ctx context.Context) error { return s.hashContent(ctx, d, row, stamp) }); err != nil {
		return err
	}
	after, err := s.stamp(r)
	if err == nil && after != stamp {
		err = fmt.Errorf("blob %s is changed while it is read", row.Blob)
	}
	return err
}

// isProven says whether a blob needs no hashing before it is read.
func (s *Service) isProven(row contentRow, stamp string) bool {
	return s.live.Load().Verify != VerifyAlways && (stamp == row.Stamp || s.proofs.has(row.Blob, stamp))
}

// stamp is that of an opened blob, "" if the store has none.
func (s *Service) stamp(r io.ReadSeekCloser) (string, error) {
	if s.stamper == nil {
		return "", nil
	}
	return s.stamper.Stamp(r)
}

// stampOf is the stamp of a sealed blob.
func (s *Service) stampOf(ctx context.Context, blob string) (string, error) {
	if s.stamper == nil {
		return "", nil
	}
	r, err := s.blobs.Open(ctx, blob)
	if err != nil {
		return "", err
	}
	defer r.Close()
	return s.stamper.Stamp(r)
}

// hashContent hashes the blob of a content and notes what comes of it: its stamp, or
// that it is damaged.
func (s *Service) hashContent(ctx context.Context, d digest.Digest, row contentRow, stamp string) error {
	// The reader's row may be older than the end of the hashing before this one.
	if now, err := s.contentOf(ctx, d); err == nil && now.Blob == row.Blob && s.isProven(now, stamp) {
		return nil
	}
	r, err := s.blobs.Open(ctx, row.Blob)
	if err != nil {
		return err
	}
	defer r.Close()
	if now, err := s.stamp(r); err != nil || now != stamp {
		return cmp.Or(err, fmt.Errorf("blob %s is changed while it is hashed", row.Blob))
	}
	s.integrity.hashed.Add(1)
	got, err := s.hashFrom(ctx, r, d.Algorithm())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || got != d {
		return errors.Join(errDamaged, s.noteDamage(ctx, d, row.Blob, damageRow{Found: foundInstead(got, err), Stamp: stamp}))
	}
	s.noteStamp(ctx, d, row, stamp)
	return nil
}

// foundInstead says what was read where other bytes should be.
func foundInstead(got digest.Digest, err error) string {
	if err != nil {
		return "the bytes cannot be read: " + err.Error()
	}
	return "the bytes have the digest " + got.String()
}

// noteStamp notes that a content's bytes were right when they had a stamp. Where the
// store takes no writes, this process knows it alone.
func (s *Service) noteStamp(ctx context.Context, d digest.Digest, row contentRow, stamp string) {
	if stamp == row.Stamp {
		return
	}
	err := s.update(ctx, func(tx storage.Tx) error {
		content, err := contents.Get(tx, d.String())
		if err != nil || content.Blob != row.Blob {
			return ignoreNotFound(err)
		}
		content.Stamp = stamp
		return contents.Put(tx, content, d.String())
	})
	if err == nil {
		return
	}
	s.proofs.keep(row.Blob, stamp)
	if !storage.Refuses(err) && ctx.Err() == nil {
		s.log.Error("note that a layer was hashed", "digest", d, "error", err)
	}
}

// blobState is a blob as it is at a time.
type blobState struct{ blob, stamp string }

// hashesAtOnce is how many blobs are hashed at once for those who wait to read them.
// More would only share the disk.
const hashesAtOnce = 4

// keptProofs bounds what is known of blobs whose rows could not be written.
const keptProofs = 10_000

// proofs are the hashings under way, each blob once at a time however many wait for
// it. One goes on when nobody waits any more: who gave up will ask again, and must not
// find it begun anew. All end with stop.
type proofs struct {
	ctx     context.Context
	cancel  context.CancelFunc
	slots   chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	byState map[blobState]*proof
	known   map[string]string // stamps of blobs that are right, where the row could not say so
}

type proof struct {
	done chan struct{}
	err  error // when done is closed
}

func newProofs() *proofs {
	ctx, cancel := context.WithCancel(context.Background())
	return &proofs{ctx: ctx, cancel: cancel, slots: make(chan struct{}, hashesAtOnce), byState: map[blobState]*proof{}, known: map[string]string{}}
}

// errStopped says that the service was closed.
var errStopped = errors.New("registry: the service is closed")

// join waits for the hashing of a blob, begun with hash if nobody has begun it.
func (p *proofs) join(ctx context.Context, of blobState, hash func(context.Context) error) error {
	p.mu.Lock()
	this, under := p.byState[of]
	if p.stopped {
		p.mu.Unlock()
		return errStopped
	}
	if !under {
		this = &proof{done: make(chan struct{})}
		p.byState[of] = this
		p.running.Go(func() { p.run(of, this, hash) })
	}
	p.mu.Unlock()
	select {
	case <-this.done:
		return this.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *proofs) run(of blobState, this *proof, hash func(context.Context) error) {
	select {
	case p.slots <- struct{}{}:
		this.err = hash(p.ctx)
		<-p.slots
	case <-p.ctx.Done():
		this.err = errStopped
	}
	p.mu.Lock()
	delete(p.byState, of)
	p.mu.Unlock()
	close(this.done)
}

// keep knows a blob as right.
func (p *proofs) keep(blob, stamp string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= keptProofs {
		clear(p.known)
	}
	p.known[blob] = stamp
}

func (p *proofs) has(blob, stamp string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.known[blob]
	return ok && known == stamp
}

// stop ends what is under way, and returns when it has.
func (p *proofs) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
}
