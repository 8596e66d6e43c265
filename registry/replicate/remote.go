package replicate

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// Source is what a Remote needs of registry.Service, whose methods say what they do.
type Source interface {
	ServerID(ctx context.Context) (string, error)
	OutgoingImage(ctx context.Context, r registry.Replica, d digest.Digest) (out registry.Outgoing, ok bool, err error)
	OutgoingLayer(ctx context.Context, r registry.Replica, d digest.Digest, from int64) (size int64, body io.ReadCloser, ok bool, err error)
	SettleReplica(ctx context.Context, r registry.Replica) error
}

// RemoteOptions say where images go that another server takes.
type RemoteOptions struct {
	Source Source         // required
	To     registry.ID    // what rules call it
	Peer   *peer.Registry // required
	// Prefix is put before the names of repositories there.
	Prefix string
	// ECR is the API of the destination if that is ECR's: what is missing there is made
	// and what was deleted is deleted by it. Nil for any other registry.
	ECR *peer.ECRAPI
	// Bandwidth bounds the bytes of layers that are sent in a second; 0 does not.
	Bandwidth int64
}

// Remote is a registry of another server to which images are sent by the distribution
// protocol.
type Remote struct {
	RemoteOptions
	to      registry.ID
	limiter *rate.Limiter
	bytes   atomic.Int64

	mu    sync.Mutex
	known map[digest.Digest]string // a repository there that has a layer
}

// NewRemote makes a destination. It asks nothing yet.
func NewRemote(o RemoteOptions) (*Remote, error) {
	if o.Source == nil || o.Peer == nil {
		return nil, errors.New("replicate: a destination needs a source and a peer")
	}
	return &Remote{RemoteOptions: o, to: o.To, limiter: newLimiter(o.Bandwidth), known: map[digest.Digest]string{}}, nil
}

// OriginHeader has the origin of what is sent to another Berth, so that it goes no
// further there and does not undo what is newer. A Berth that heeds it answers with the
// same header, and its own id.
const OriginHeader = "Berth-Origin"

// patience is how long is waited where the destination says, in the middle of an image.
const patience = 30 * time.Second

// sending is a replica on its way.
type sending struct {
	*Remote
	registry.Replica
	repo   string // its name there
	heeded atomic.Bool
	sure   bool // nothing is taken for there that was not asked for
}

// bring sends a replica, and notes that it came.
func (m *Remote) bring(ctx context.Context, r registry.Replica) error {
	server, err := m.Source.ServerID(ctx)
	if err != nil {
		return err
	}
	s := &sending{Remote: m, Replica: r, repo: m.Prefix + r.Source.String()}
	origin := registry.Origin{Server: cmp.Or(r.Server, server), At: r.PushedAt}
	marked := peer.Marked(peer.Patient(ctx, patience), OriginHeader, origin.String(), func(by string) { s.heeded.Store(by != "") })
	if err := s.deliver(marked); err != nil {
		return err
	}
	return m.Source.SettleReplica(ctx, r)
}

func (s *sending) deliver(ctx context.Context) error {
	if s.Deleted {
		return s.remove(ctx)
	}
	err := s.push(ctx)
	if err == nil {
		return nil
	}
	if made, e := s.create(ctx, err); e != nil || !made && !missing(err) {
		return errors.Join(e, onlyIf(e == nil, err))
	}
	s.sure = true // what was taken for there is not
	return s.push(ctx)
}

func onlyIf(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// push sends an image under its tag, or its digest if it has none.
func (s *sending) push(ctx context.Context) error {
	out, ok, err := s.Remote.Source.OutgoingImage(ctx, s.Replica, s.Digest)
	if err != nil || !ok {
		return err
	}
	if err := s.contents(ctx, out); err != nil {
		return err
	}
	if s.Tag.IsZero() {
		return s.Peer.PushManifest(ctx, s.repo, out.Digest.String(), out.MediaType, out.Body)
	}
	err = s.Peer.PushManifest(ctx, s.repo, s.Tag.String(), out.MediaType, out.Body)
	if immutable(err) { // the image comes without it (ECR reference, policies.md section 7)
		err = s.Peer.PushManifest(ctx, s.repo, out.Digest.String(), out.MediaType, out.Body)
	}
	return err
}

// contents sends what an image consists of, unless the destination has it.
func (s *sending) contents(ctx context.Context, out registry.Outgoing) error {
	if there, err := s.has(ctx, out.Digest); err != nil || there && !s.sure {
		return err
	}
	for _, child := range out.Manifest.Manifests {
		if err := s.child(ctx, child.Digest); err != nil {
			return err
		}
	}
	for _, layer := range out.Layers() {
		if err := s.layer(ctx, layer.Digest); err != nil {
			return err
		}
	}
	return nil
}

// has says whether the destination has an image.
func (s *sending) has(ctx context.Context, d digest.Digest) (bool, error) {
	_, err := s.Peer.Head(ctx, s.repo, d.String())
	if errors.Is(err, peer.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// child sends an image that a list names, if it is here.
func (s *sending) child(ctx context.Context, d digest.Digest) error {
	out, ok, err := s.Remote.Source.OutgoingImage(ctx, s.Replica, d)
	if err != nil || !ok {
		return err
	}
	if there, err := s.has(ctx, d); err != nil || there && !s.sure {
		return err
	}
	if err := s.contents(ctx, out); err != nil {
		return err
	}
	return s.Peer.PushManifest(ctx, s.repo, d.String(), out.MediaType, out.Body)
}

// layer sends a layer, unless the repository there has it or another one does.
func (s *sending) layer(ctx context.Context, d digest.Digest) error {
	there, err := s.Peer.HasBlob(ctx, s.repo, d)
	if err == nil && !there {
		there, err = s.mount(ctx, d)
	}
	if err != nil || there {
		s.learn(d, there)
		return err
	}
	size, body, ok, err := s.Remote.Source.OutgoingLayer(ctx, s.Replica, d, 0)
	if err != nil || !ok {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	err = s.Peer.PushBlob(ctx, s.repo, d, size, func(from int64) (io.ReadCloser, error) { return s.open(ctx, d, from) })
	s.learn(d, err == nil)
	return err
}

// open opens a layer that was here a moment ago.
func (s *sending) open(ctx context.Context, d digest.Digest, from int64) (io.ReadCloser, error) {
	_, body, ok, err := s.Remote.Source.OutgoingLayer(ctx, s.Replica, d, from)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("the layer is not here any more")
	}
	return &metered{ReadCloser: body, ctx: ctx, limiter: s.limiter, count: &s.bytes}, nil
}

// mount gives the repository a layer that another one there is known to have. If that
// is refused it is sent.
func (s *sending) mount(ctx context.Context, d digest.Digest) (bool, error) {
	s.mu.Lock()
	from := s.known[d]
	s.mu.Unlock()
	if from == "" || from == s.repo {
		return false, nil
	}
	done, err := s.Peer.MountBlob(ctx, s.repo, from, d)
	if _, outage := outageOf(err); err != nil && !outage && ctx.Err() == nil && !errors.Is(err, peer.ErrNotFound) {
		return false, nil
	}
	return done, err
}

// maxKnown bounds what is remembered of layers.
const maxKnown = 100_000

// learn remembers that the repository has a layer.
func (s *sending) learn(d digest.Digest, there bool) {
	if !there {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[d] = s.repo
}

// missing says whether a manifest was refused because of what it names.
func missing(err error) bool {
	e := new(peer.Error)
	return errors.As(err, &e) && (e.Code == "MANIFEST_BLOB_UNKNOWN" || e.Code == "BLOB_UNKNOWN")
}

// immutable says whether a tag names another image for good (ECR reference,
// registry-http.md, "Code mapping"; Berth's own answer is the same).
func immutable(err error) bool {
	e := new(peer.Error)
	return errors.As(err, &e) && e.Code == "TAG_INVALID"
}
