package registry

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/failpoint"
	"github.com/seed-78150930/berth/storage/table"
)

// sessions are the uploads that this process works on. An upload at rest is a
// row alone: it comes here with its first use and leaves once its row says all
// that is known of it.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
	// Open uploads, at rest or here, by owner and by the repository's id.
	owned, inRepo map[string]int
	// Their bytes, by the repository's id and by registry.
	inRepoBytes     map[string]int64
	inRegistryBytes map[ID]int64

	known atomic.Bool // those of rows are counted: see Service.knowUploads
}

func newSessions() *sessions {
	return &sessions{
		byID: map[string]*session{}, owned: map[string]int{}, inRepo: map[string]int{},
		inRepoBytes: map[string]int64{}, inRegistryBytes: map[ID]int64{},
	}
}

// session is an upload at work. Whoever has claimed it owns the members from
// row to touched; those before claim never change.
type session struct {
	name  Name
	repo  string // id of the repository
	id    string
	blob  string
	owner string

	claim claim // guarded by sessions.mu

	row     uploadRow
	counted int64 // of open bytes: row.Offset and what a request under way may add
	hash    hash.Hash
	dirty   bool         // row is ahead of the index
	saved   *int64       // offset of the row that the index has; nil if it has none
	ragged  bool         // the blob may be missing, or go on beyond row.Offset
	touched time.Time    // last use
	offset  atomic.Int64 // row.Offset, for those who only look
}

// claim is the right to a session, which one goroutine has at a time.
type claim struct {
	free chan struct{} // closed when the claim ends; nil while nobody has one
	// request says that a request works on the upload, which may take long: a
	// second one is refused. Any other claim ends by itself, and is waited for.
	request bool
}

// newSession is an upload that nobody knows of yet.
func (s *Service) newSession(repo repository, owner string, a digest.Algorithm) *session {
	u := &session{
		name: repo.name, repo: repo.row.ID, id: newID(), blob: newBlobID(s.now()), owner: owner,
		hash: s.hash(a), dirty: true, ragged: true,
	}
	u.row = uploadRow{Blob: u.blob, Owner: owner, Algorithm: a}
	return u
}

func (u *session) key() []string {
	return []string{u.name.id.Account, u.name.id.Region, u.repo, u.id}
}

// unsaved is how many bytes the upload is ahead of its row.
func (u *session) unsaved() int64 {
	if u.saved == nil {
		return u.row.Offset
	}
	return u.row.Offset - *u.saved
}

// savedBytes is how many bytes the upload's row says that it has.
func (u *session) savedBytes() int64 { return u.row.Offset - u.unsaved() }

func (u *session) public() Upload { return Upload{ID: u.id, Offset: u.offset.Load()} }

// add counts and keeps a new session, claimed by its maker.
func (l *sessions) add(u *session, limits Limits) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.owned[u.owner] >= limits.Uploads:
		return tooManyUploads(u, limits.Uploads, "an identity")
	case l.inRepo[u.repo] >= limits.RepositoryUploads:
		return tooManyUploads(u, limits.RepositoryUploads, "a repository")
	}
	l.owned[u.owner]++
	l.inRepo[u.repo]++
	l.put(u)
	return nil
}

func tooManyUploads(u *session, limit int, whose string) *Error {
	e := refuse(TooManyUploads, "%d uploads are open, as many as %s may have; finish or cancel some, or wait until they expire", limit, whose)
	e.Name, e.Limit = u.name, int64(limit)
	return e
}

// put keeps a session, claimed.
func (l *sessions) put(u *session) {
	u.claim = claim{free: make(chan struct{})}
	l.byID[u.id] = u
}

// take claims the session under id. If nobody here knows the upload, that is an
// empty one, which keeps others away while the caller reads the row. If another
// has a claim, it is returned with the session.
func (l *sessions) take(id string) (u *session, other claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u = l.byID[id]
	if u == nil {
		u = &session{id: id}
	} else if u.claim.free != nil {
		return u, u.claim
	}
	l.put(u)
	return u, claim{}
}

// fill puts a session that was read from its row in the place of an empty one.
func (l *sessions) fill(empty, u *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u.claim = empty.claim
	l.byID[u.id] = u
}

// work makes a claim one of a request.
func (l *sessions) work(u *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u.claim.request = true
}

// leave ends the caller's claim. A session whose row says all goes.
func (l *sessions) leave(u *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(u.claim.free)
	u.claim = claim{}
	if !u.dirty && l.byID[u.id] == u {
		delete(l.byID, u.id)
	}
}

// close forgets an upload that has ended.
func (l *sessions) close(u ending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byID, u.id)
	countDown(l.owned, u.owner)
	countDown(l.inRepo, u.repo)
	l.addBytes(u.repo, u.registry, -u.bytes)
}

func countDown(counts map[string]int, key string) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// idle claims the sessions that are ahead of their rows and have not been used
// since the given time.
func (l *sessions) idle(since time.Time) (list []*session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range l.byID {
		if u.claim.free == nil && u.dirty && !u.touched.After(since) {
			l.put(u)
			list = append(list, u)
		}
	}
	return list
}

// hasBlob says whether this process writes to a blob.
func (l *sessions) hasBlob(blob string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range l.byID {
		if u.blob == blob {
			return true
		}
	}
	return false
}

// here says whether this process works on an upload.
func (l *sessions) here(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id] != nil
}

// acquire finds an upload of the caller's and claims it for a request.
// Refusals: RepositoryNotFound, UploadNotFound, and UploadOffset while another
// request works on it.
func (s *Service) acquire(ctx context.Context, name Name, id string) (*session, error) {
	u, err := s.look(ctx, name, id)
	if err == nil {
		s.sessions.work(u)
	}
	return u, err
}

// look is acquire for a moment: others wait for the end of the claim.
func (s *Service) look(ctx context.Context, name Name, id string) (*session, error) {
	if err := s.knowUploads(ctx); err != nil {
		return nil, err
	}
	for {
		u, other := s.sessions.take(id)
		switch {
		case other.free == nil:
			return s.settle(ctx, u, name)
		case other.request:
			if err := u.checkOwner(ctx, name); err != nil {
				return nil, err
			}
			return nil, wrongOffset(u, -1)
		}
		select {
		case <-other.free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// settle makes sure that a claimed session is the caller's, and fills an empty
// one from its row. If it is not, the claim ends.
func (s *Service) settle(ctx context.Context, u *session, name Name) (*session, error) {
	loaded, err := s.load(ctx, u, name)
	if err == nil {
		err = loaded.checkOwner(ctx, name)
	}
	if loaded != nil && loaded != u {
		s.sessions.fill(u, loaded)
		u = loaded
	}
	if err != nil {
		s.sessions.leave(u)
		return nil, err
	}
	return u, nil
}

// load returns the session itself, or what the row says if it is empty, after
// a look at the repository.
func (s *Service) load(ctx context.Context, u *session, name Name) (loaded *session, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		if loaded = u; u.hash == nil {
			loaded, err = s.loadSession(r, repo, u.id)
			return err
		}
		if u.repo != repo.row.ID { // deleted and made anew since
			return uploadNotFound(name, u.id)
		}
		return nil
	})
	return loaded, err
}

func (u *session) checkOwner(ctx context.Context, name Name) error {
	if u.name != name || u.owner != uploader(ctx) {
		return uploadNotFound(name, u.id)
	}
	return nil
}

// uploader is who asks, as an upload notes it: with the id that an ARN's next owner
// will not have. A root has no other.
func uploader(ctx context.Context) string {
	by := auth.PrincipalOf(ctx)
	if by.UserID == "" || by.Kind == auth.Root {
		return by.ARN
	}
	return by.ARN + " " + by.UserID
}

// loadSession reads an upload from its row.
func (s *Service) loadSession(r storage.Reader, repo repository, id string) (*session, error) {
	if !isUploadID(id) {
		return nil, uploadNotFound(repo.name, id)
	}
	row, err := uploads.Get(r, repo.key(id)...)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, uploadNotFound(repo.name, id)
	}
	if err != nil {
		return nil, err
	}
	u := &session{
		name: repo.name, repo: repo.row.ID, id: id, blob: row.Blob, owner: row.Owner,
		row: row, counted: row.Offset, saved: &row.Offset, touched: row.TouchedAt, ragged: true,
	}
	u.offset.Store(row.Offset)
	u.hash = s.hash(row.Algorithm)
	if err := u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(row.Hash); err != nil {
		return nil, fmt.Errorf("hash state of upload %s: %w", id, err)
	}
	return u, nil
}

// release ends the claim of acquire.
func (s *Service) release(u *session) {
	u.touched = s.now()
	s.sessions.leave(u)
}

// checkpoint commits where an upload stands.
func (s *Service) checkpoint(ctx context.Context, u *session) error {
	p, err := u.pointAt(s.now())
	if err != nil {
		return err
	}
	return u.reached(*p, s.commitPoint(ctx, u, *p))
}

// point is where an upload stood at a time.
type point struct {
	row     uploadRow
	unsaved int64
}

func (u *session) pointAt(now time.Time) (*point, error) {
	state, err := u.state()
	if err != nil {
		return nil, err
	}
	u.row.Hash, u.row.TouchedAt = state, now.UTC()
	return &point{u.row, u.unsaved()}, nil
}

// commitPoint commits where an upload stood. It goes on meanwhile, but for its claim and
// what its row says.
func (s *Service) commitPoint(ctx context.Context, u *session, p point) error {
	err := s.update(ctx, func(tx storage.Tx) error {
		if err := u.checkRow(tx); err != nil {
			return err
		}
		if u.saved == nil { // else it is there
			if err := owners.Put(tx, ownerRow{Upload: u.key()}, u.blob); err != nil {
				return err
			}
		}
		if err := resizeStore(tx, storeSizeRow{Uploads: p.unsaved}); err != nil {
			return err
		}
		return uploads.Put(tx, p.row, u.key()...)
	})
	if err == nil {
		failpoint.Hit(failpoint.UploadCheckpointed)
	}
	return err
}

// reached notes what became of a checkpoint.
func (u *session) reached(p point, err error) error {
	if CodeOf(err) == UploadNotFound { // nothing is left that could be kept
		u.dirty = false
	}
	if err != nil {
		return err
	}
	offset := p.row.Offset
	u.dirty, u.saved = u.row.Offset != offset, &offset
	return nil
}

// checkRow refuses to go on where the row of an upload is no longer what this
// process left there: it has expired, or another process took the upload up.
// Without that a blob could be kept and condemned at once.
func (u *session) checkRow(r storage.Reader) error {
	if u.saved == nil {
		return nil
	}
	row, err := uploads.Get(r, u.key()...)
	if errors.Is(err, storage.ErrNotFound) || err == nil && row.Offset != *u.saved {
		return uploadNotFound(u.name, u.id)
	}
	return err
}

func (u *session) state() ([]byte, error) {
	state, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("hash state of upload %s: %w", u.id, err)
	}
	return state, nil
}

// OpenUploads is how many uploads are open, at rest or under way: 0 in the first moments
// after a start, before they are counted.
func (s *Service) OpenUploads() (n int) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	for _, open := range s.sessions.owned {
		n += open
	}
	return n
}

// knowUploads counts the open uploads, unless that has been done since the start: a
// start takes no longer for having many of them. Whatever opens, changes or ends an
// upload, or asks how many there are, comes here first; so nothing changes meanwhile.
func (s *Service) knowUploads(ctx context.Context) error {
	if s.sessions.known.Load() {
		return nil
	}
	return s.view(ctx, s.countUploads)
}

// countUploads is knowUploads for who reads already.
func (s *Service) countUploads(r storage.Reader) error {
	if s.sessions.known.Load() {
		return nil
	}
	found := newSessions()
	for f, err := range uploads.Scan(r, table.Select{}) {
		if err != nil {
			return fmt.Errorf("count open uploads: %w", err)
		}
		found.owned[f.Row.Owner]++
		found.inRepo[f.Key[2]]++
		found.addBytes(f.Key[2], ID{f.Key[0], f.Key[1]}, f.Row.Offset)
	}
	l := s.sessions
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known.Load() { // nor has another been faster
		l.owned, l.inRepo, l.inRepoBytes, l.inRegistryBytes = found.owned, found.inRepo, found.inRepoBytes, found.inRegistryBytes
		l.known.Store(true)
	}
	return nil
}
