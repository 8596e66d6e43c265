package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

// ErrWrongBytes says that upstream gave other bytes than were asked for, or more or
// fewer of them.
var ErrWrongBytes = errors.New("upstream gave other bytes")

// Incoming is a layer on its way from upstream into a repository. One goroutine
// receives it; any number read it meanwhile, none of whom gets its last bytes before
// all of them have been held against the digest. It is safe for use by several goroutines.
type Incoming struct {
	s     *Service
	layer PendingLayer

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, with each change of what follows
	begun   bool
	file    storage.WatchedBlob // nil before the first bytes
	users   int                 // readers, and who receives
	written int64               // bytes that can be read from file
	tail    []byte              // the last bytes, once all are known to be right
	ended   bool
	err     error // why it failed
}

// NewIncoming makes one, which has not begun.
func (s *Service) NewIncoming(p PendingLayer) *Incoming {
	return &Incoming{s: s, layer: p, changed: make(chan struct{})}
}

// change changes the state and wakes who waits for that.
func (in *Incoming) change(fn func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	fn()
	close(in.changed)
	in.changed = make(chan struct{})
}

// await waits until look says true, or for the end of ctx.
func (in *Incoming) await(ctx context.Context, look func() bool) error {
	for {
		in.mu.Lock()
		seen, changed := look(), in.changed
		in.mu.Unlock()
		if seen {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Fail ends one for which upstream gave nothing.
func (in *Incoming) Fail(err error) {
	in.change(func() { in.ended, in.err = true, err })
}

// Came ends one whose layer is here by now, and says whether it is.
func (in *Incoming) Came(ctx context.Context) (there bool, err error) {
	err = in.s.view(ctx, func(r storage.Reader) error {
		there = false
		repo, err := find(r, in.layer.Name)
		if err != nil || repo.row.ID != in.layer.RepositoryID {
			return err
		}
		if _, err = repo.layer(r, in.layer.Digest); err != nil {
			return err
		}
		damaged, err := damages.Has(r, in.layer.Digest.String())
		there = !damaged
		return err
	})
	if CodeOf(err) == LayerNotFound {
		err = nil
	}
	if there && err == nil {
		in.change(func() { in.ended = true })
	}
	return there, err
}

// Receive keeps what src gives as the layer, if it is that to the last byte, and gives
// the repository the right to it. Of anything else nothing is kept: then the error is
// ErrWrongBytes, that of src, or that of the store; QuotaExceeded where there is no room for it.
func (in *Incoming) Receive(ctx context.Context, src io.Reader) error {
	in.change(func() { in.users++ })
	defer in.release()
	err := in.receive(ctx, src)
	in.change(func() { in.ended, in.err = true, err })
	return err
}

func (in *Incoming) receive(ctx context.Context, src io.Reader) error {
	s := in.s
	if err := in.checkRoom(ctx); err != nil {
		return err
	}
	if in.layer.Size > s.Limits().Layer {
		return refuse(LayerTooLarge, "a layer has at most %d bytes", s.Limits().Layer)
	}
	in.change(func() { in.begun = true })
	blob := newBlobID(s.now())
	f := &feed{in: in, ctx: ctx, blob: blob, src: src, hash: newHashBeside(in.layer.Digest.Algorithm().New())}
	defer f.hash.end()
	_, err := s.blobs.Append(ctx, blob, 0, f)
	if f.err != nil {
		err = f.err
	}
	if err == nil {
		err = s.keepIncoming(ctx, in.layer, blob)
	}
	if err != nil {
		return errors.Join(storeError(err), s.blobs.Delete(context.WithoutCancel(ctx), blob))
	}
	return nil
}

// checkRoom checks that the store has room for the layer, and that the repository may
// hold so much: who reads what comes is told before any of it has.
func (in *Incoming) checkRoom(ctx context.Context) error {
	if err := in.s.checkRoom(ctx, in.layer.Size); err != nil {
		return err
	}
	return in.s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, in.layer.Name)
		if err != nil {
			return err
		}
		return in.s.checkOpen(r, repo, openBytes{in.layer.Size, in.layer.Size})
	})
}

// feed is what the store of blobs reads.
type feed struct {
	in    *Incoming
	ctx   context.Context
	blob  string
	src   io.Reader
	hash  *hashBeside
	given int64
	err   error
}

// Read fills p, so that by the next call the store has written it, whatever the size of
// its pieces.
func (f *feed) Read(p []byte) (int, error) {
	if err := f.show(); err != nil {
		f.err = err
		return 0, err
	}
	n, err := io.ReadFull(f.src, p[:min(int64(len(p)), f.in.layer.Size-f.given)])
	f.hash.write(p[:n])
	f.given += int64(n)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("%w: %d of %d", ErrWrongBytes, f.given, f.in.layer.Size)
	case err == nil && f.given == f.in.layer.Size:
		if err = f.prove(); err == nil {
			f.in.change(func() { f.in.tail = append([]byte{}, p[:n]...) })
			return n, io.EOF
		}
	}
	f.err = err
	return n, err
}

// show lets readers have what has been written.
func (f *feed) show() (err error) {
	file := f.in.file // which only this goroutine sets
	if file == nil {
		watcher, ok := storage.As[storage.Watcher](f.in.s.blobs)
		if !ok {
			return nil
		}
		if file, err = watcher.Watch(f.ctx, f.blob); err != nil {
			return err
		}
	}
	f.in.change(func() { f.in.file, f.in.written = file, f.given })
	return nil
}

// prove says whether what came is all and right.
func (f *feed) prove() error {
	var more [1]byte
	if n, err := io.ReadFull(f.src, more[:]); n > 0 {
		return fmt.Errorf("%w: more than %d", ErrWrongBytes, f.in.layer.Size)
	} else if err != io.EOF {
		return err
	}
	if d := digest.FromHash(f.in.layer.Digest.Algorithm(), f.hash.end()); d != f.in.layer.Digest {
		return fmt.Errorf("%w: of digest %s", ErrWrongBytes, d)
	}
	return nil
}

// keepIncoming makes a blob that holds a layer whole the content of its digest, unless
// there is one, and gives the repository the right to it.
func (s *Service) keepIncoming(ctx context.Context, p PendingLayer, blob string) error {
	if err := s.blobs.Seal(ctx, blob); err != nil {
		return err
	}
	u := &session{name: p.Name, repo: p.RepositoryID, blob: blob, row: uploadRow{Blob: blob, Offset: p.Size}}
	as, err := s.stampSealed(ctx, u, p.Digest)
	if err != nil {
		return err
	}
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, p.Name)
		if err != nil {
			return err
		}
		if repo.row.ID != p.RepositoryID {
			return repositoryNotFound(p.Name)
		}
		damaged, err := damages.Has(tx, p.Digest.String())
		if err != nil {
			return err
		}
		content, err := s.keepContent(ctx, tx, u, p.Digest, as, damaged)
		if err != nil {
			return err
		}
		existed, err := s.admit(tx, repo, p.Digest, content)
		if err != nil || existed {
			return err
		}
		return s.checkKept(tx, repo)
	})
	if err == nil {
		s.wakeJanitor()
	}
	return err
}

// Open waits until upstream has begun to give the layer, or failed to, and opens it for
// one reader, who closes it. Reads wait for bytes that have not come, as long as ctx.
func (in *Incoming) Open(ctx context.Context) (io.ReadSeekCloser, error) {
	if _, ok := storage.As[storage.Watcher](in.s.blobs); !ok {
		return in.openEnded(ctx)
	}
	if err := in.await(ctx, func() bool { return in.begun || in.ended }); err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.err != nil:
		return nil, in.err
	case in.ended:
		return nil, ErrCome
	}
	in.users++
	return &incomingReader{in: in, ctx: ctx}, nil
}

// ErrCome says that a layer has come whole, and lies where all do.
var ErrCome = errors.New("the layer has come")

// openEnded is Open where what grows cannot be read.
func (in *Incoming) openEnded(ctx context.Context) (io.ReadSeekCloser, error) {
	if err := in.await(ctx, func() bool { return in.ended }); err != nil {
		return nil, err
	}
	if in.err != nil {
		return nil, in.err
	}
	return nil, ErrCome
}

// Ended says that the layer is kept, or has failed.
func (in *Incoming) Ended() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.ended
}

// Wait waits until the layer is kept, or has failed.
func (in *Incoming) Wait(ctx context.Context) error {
	if err := in.await(ctx, func() bool { return in.ended }); err != nil {
		return err
	}
	return in.err
}

// release lets go of the file with its last user.
func (in *Incoming) release() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.users--; in.users == 0 && in.file != nil {
		_ = in.file.Close() // it was read alone
	}
}

// incomingReader reads a layer while it comes.
type incomingReader struct {
	in     *Incoming
	ctx    context.Context
	at     int64
	closed bool
}

// Read implements io.Reader.
func (r *incomingReader) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case r.at >= r.in.layer.Size:
		return 0, io.EOF
	}
	var file storage.WatchedBlob
	var written int64
	var tail []byte
	var failed error
	err := r.in.await(r.ctx, func() bool {
		file, written, tail, failed = r.in.file, r.in.written, r.in.tail, r.in.err
		return written > r.at || tail != nil || failed != nil
	})
	if err == nil && tail == nil {
		err = failed
	}
	if err != nil {
		return 0, err
	}
	n, err := 0, error(nil)
	if r.at < written {
		n, err = file.ReadAt(p[:min(int64(len(p)), written-r.at)], r.at)
		if err == io.EOF && n > 0 {
			err = nil
		}
	} else {
		n = copy(p, tail[r.at-(r.in.layer.Size-int64(len(tail))):])
	}
	r.at += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (r *incomingReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.in.layer.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the layer's beginning")
	}
	r.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (r *incomingReader) Close() error {
	if !r.closed {
		r.closed = true
		r.in.release()
	}
	return nil
}
