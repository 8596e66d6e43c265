// Package registry is what both doors open on: repositories, images, tags,
// layers, uploads and every rule about them. The OCI door and the ECR door
// translate; whatever they must agree on is decided here.
//
// [Service] is one concrete type over a [storage.Index] and a [storage.Blobs].
// One server holds many registries, one for each account and region, and a
// [Name] carries which one it is of. A refusal is an [*Error] with a [Code];
// anything else that comes back as an error is a fault of the server.
//
// # What lies where
//
// Facts are rows (tables.go shows them all on one page), manifests among them:
// they are small, and as rows they change in the same transaction as the image
// and its tags, at no cost of their own in files and syncs. A manifest larger
// than a row may be is kept in several. Layers are blobs, shared by every
// repository of the server; the right to one is a row of the repository.
//
// Every blob id is owned by exactly one row: an upload, the content of a
// digest, a page of what a scan found, or a condemned row, from which a background worker deletes the bytes.
// Ownership moves inside one transaction, so removal needs no lock and no
// trust in clocks. The content row counts its holders; when the last one goes
// the bytes are condemned in that transaction.
package registry

import (
	"context"
	"errors"
	"hash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Options are what New needs and what the server lets people set.
type Options struct {
	Index storage.Index // required
	Blobs storage.Blobs // required
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Held says why ages are not to be believed for now: then nothing is removed for its
	// own. Nil means that they always are.
	Held func() error
	// Hash hashes what is uploaded, with a state that can be kept; nil means
	// digest.Algorithm.New.
	Hash func(digest.Algorithm) hash.Hash
	// Log takes what happens in the background; nil means nowhere.
	Log *slog.Logger
	// CreateOnPush makes a repository that is missing with the first push to
	// it, if the pusher may create repositories; "" is CreateNever.
	CreateOnPush CreationMode
	// SparseIndexes takes indexes whose manifests are not all in the
	// repository. A manifest that comes later is as if it had been there.
	SparseIndexes bool
	// Limits bound what clients may ask for.
	Limits Limits
	// Regions are those that exist; none means endpoint.Regions().
	Regions []string
	// UploadExpiry is how long an upload may lie idle; zero means 24 hours.
	UploadExpiry time.Duration
	// EventRetention is how long events are kept; zero means seven days.
	EventRetention time.Duration
	// GCGrace is how long a layer that no image uses stays after its upload, and
	// after a client last asked whether it is there; zero means not at all.
	GCGrace time.Duration
	// GCRate bounds how many rows and blobs a collection looks at in a second;
	// zero means that nothing does.
	GCRate int
	// ReadEvents has pulls and denials written as events too.
	ReadEvents bool
	// RestoreTime is how long an archived image takes to come back; zero means
	// that it is back at once.
	RestoreTime time.Duration
	// PullTimeFlush is how late the last pull of an image may be written; zero
	// means a minute.
	PullTimeFlush time.Duration
	// LifecycleInterval is how long the images of a repository are left alone
	// between two runs of its lifecycle policy; zero means an hour.
	LifecycleInterval time.Duration
	// ScrubInterval is how long after the begin of a scrub the next one begins; zero
	// means that none begins by itself. ScrubRate is how many bytes it reads in a
	// second; zero means as many as it can.
	ScrubInterval time.Duration
	ScrubRate     int64
	// Verify says when a layer's bytes are hashed before they go out; "" is
	// VerifyChanged.
	Verify VerifyMode
	// LifecycleExtensions takes lifecycle policies with Berth's own key, which
	// ECR refuses; see package lifecycle.
	LifecycleExtensions bool
	// TrashWindow is how long what was deleted lies in the trash, from where it can
	// be brought back; zero means that it goes at once. It holds for what is
	// there already too.
	TrashWindow time.Duration
	// RescanWindow is how long after an image came it is scanned again beside enhanced
	// scans; zero means for ever.
	RescanWindow time.Duration
	// Revalidate is how long what upstream said of a tag is taken for true; zero means 24
	// hours.
	Revalidate time.Duration
	// Upstreams are hosts that pull-through rules may name besides those that ECR knows.
	Upstreams []string
	// Protected keeps repositories and images from deletion.
	Protected []Protection
	// Destinations are those that replication has more to know of than their names.
	Destinations []Destination
	// SigningProfiles are those that this server signs with.
	SigningProfiles []SigningProfile
}

// CreationMode says whether a push makes a repository that is missing.
type CreationMode string

// The modes.
const (
	CreateNever CreationMode = "never"
	// CreateByTemplate makes it where a creation template for pushes has a
	// prefix of its name, with what the template says, as ECR does.
	CreateByTemplate CreationMode = "template"
	// CreateAlways makes it without a template too.
	CreateAlways CreationMode = "always"
)

// Limits are the quotas of the domain. Zero members mean the defaults, which
// are ECR's (ECR reference, errors-and-limits.md section 8) where it has one.
type Limits struct {
	Manifest     int64 // bytes of a manifest: 4,194,304
	Layer        int64 // bytes of a layer: 52,000 MiB
	Layers       int   // layers of an image: 10,000, Berth's own (ECR's is not known)
	Parts        int   // parts of an upload that come whole: 4,200
	SmallestPart int64 // bytes of a part that is not the last: 5 MiB
	LargestPart  int64 // bytes of a part: 20,971,520, as the API takes
	// Tags of an image. 0 is ECR's 1,000 for pushes that go by ECR's rules, and no bound for
	// others: see Push.AnyTags.
	Tags         int
	Images       int // images of a repository: 100,000
	Repositories int // repositories of a registry: 100,000
	// RepositoryBytes and RegistryBytes are how much a repository and a registry may
	// hold, RegistryImages how many images a registry may; zero is as much as there is
	// room for. docs/sizes.md says what counts.
	RepositoryBytes, RegistryBytes int64
	RegistryImages                 int
	ResourceTags                   int // resource tags of a repository: 50
	Uploads                        int // open uploads of an identity: 10,000, Berth's own
	// RepositoryUploads are the open uploads in a repository: 10,000, Berth's own.
	RepositoryUploads int
	// LifecycleText are the characters of a lifecycle policy, 30,720, and
	// LifecycleRules its rules, 50.
	LifecycleText, LifecycleRules int
	PullThroughRules              int // pull-through rules of a registry: 50
	Templates                     int // creation templates of a registry: 1,000, Berth's own (ECR's is not known)
	PullTimeExclusions            int // of a registry: 100
	// ReplicationRules are those of a registry, 10; ReplicationFilters the
	// filters of a rule, 100; ReplicationDestinations the different
	// destinations of all rules together, 25.
	ReplicationRules, ReplicationFilters, ReplicationDestinations int
	// SigningRules are those of a registry, 10, and SigningFilters the filters
	// of a rule, 100.
	SigningRules, SigningFilters int
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Manifest, 4<<20)
	setDefault(&l.Layer, 52_000<<20)
	setDefault(&l.Layers, 10_000)
	setDefault(&l.Parts, 4_200)
	setDefault(&l.SmallestPart, 5<<20)
	setDefault(&l.LargestPart, 20_971_520)
	setDefault(&l.Images, 100_000)
	setDefault(&l.Repositories, 100_000)
	setDefault(&l.ResourceTags, 50)
	setDefault(&l.Uploads, 10_000)
	setDefault(&l.RepositoryUploads, 10_000)
	setDefault(&l.LifecycleText, 30_720)
	setDefault(&l.LifecycleRules, 50)
	setDefault(&l.PullThroughRules, 50)
	setDefault(&l.Templates, 1_000)
	setDefault(&l.PullTimeExclusions, 100)
	setDefault(&l.ReplicationRules, 10)
	setDefault(&l.ReplicationFilters, 100)
	setDefault(&l.ReplicationDestinations, 25)
	setDefault(&l.SigningRules, 10)
	setDefault(&l.SigningFilters, 100)
	return l
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Service is the registry inside the server: all registries of all accounts.
// It is safe for use by several goroutines.
type Service struct {
	index    storage.Index
	blobs    storage.Blobs
	now      func() time.Time
	held     func() error
	hash     func(digest.Algorithm) hash.Hash
	log      *slog.Logger
	live     atomic.Pointer[Options] // in force, defaults filled in
	sessions *sessions
	wake     chan struct{} // something was condemned
	// previewsWanted has a value when a preview was started.
	previewsWanted chan struct{}
	news           news
	seen           seen
	manySeen       chan struct{} // much of it waits to be written
	compiled       compiled
	parsed         parsed
	collection     collecting
	asked          asked
	stamper        storage.Stamper // nil if the blobs have no stamps
	proofs         *proofs
	// rulesChanged has a value when replication rules were set.
	rulesChanged chan struct{}
	// scanningChanged has a value when it was set what is scanned.
	scanningChanged chan struct{}
	// damageFound has a value when damage was found.
	damageFound chan struct{}
	integrity   integrityCounts
	scrubbing   atomic.Int32                         // how many scrubs are under way
	resources   *storage.Memo[string, auth.Resource] // by ARN
	pullable    *storage.Memo[named, pullable]
	located     *storage.Memo[heldLayer, located]
	bodies      bodies

	mirror Mirror // nil if nothing is asked of upstreams
	rules  ruleChanges
	ruled  *storage.Memo[ID, bool] // registries with pull-through rules
	// signed are the signing rules of registries, and signingChanges the changes of them.
	signed         *storage.Memo[ID, []SigningRule]
	signingChanges ruleChanges
	standings      *storage.Memo[named, standing] // of what is pulled by a tag
}

// New opens the domain over an index and a store of blobs.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Index == nil || o.Blobs == nil {
		return nil, errors.New("registry: an index and a store of blobs are needed")
	}
	setDefault(&o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Held == nil {
		o.Held = func() error { return nil }
	}
	if o.Hash == nil {
		o.Hash = digest.Algorithm.New
	}
	s := &Service{
		held: o.Held, hash: o.Hash,
		index: o.Index, blobs: o.Blobs, now: o.Now, log: o.Log,
		sessions: newSessions(), wake: make(chan struct{}, 1), previewsWanted: make(chan struct{}, 1), manySeen: make(chan struct{}, 1),
		compiled: newCompiled(), collection: newCollecting(), asked: newAsked(), resources: storage.NewMemo[string, auth.Resource](storage.ChangesOf(o.Index), maxCompiledRows),
		pullable:  storage.NewMemo[named, pullable](storage.ChangesOf(o.Index), maxPullable),
		located:   storage.NewMemo[heldLayer, located](storage.ChangesOf(o.Index), maxLocated),
		standings: storage.NewMemo[named, standing](storage.ChangesOf(o.Index), maxPullable),
	}
	s.ruled = storage.NewMemo[ID, bool](s.rules.counted(o.Index), maxPullable)
	s.signed = storage.NewMemo[ID, []SigningRule](s.signingChanges.counted(o.Index), maxPullable)
	s.stamper, _ = storage.As[storage.Stamper](o.Blobs)
	s.scanningChanged = make(chan struct{}, 1)
	s.proofs, s.damageFound, s.rulesChanged = newProofs(), make(chan struct{}, 1), make(chan struct{}, 1)
	s.Configure(o)
	return s, nil
}

// Configure puts new options in force, but for Index, Blobs, Now, Hash and Log, which
// are not looked at.
func (s *Service) Configure(o Options) {
	setDefault(&o.CreateOnPush, CreateNever)
	setDefault(&o.Verify, VerifyChanged)
	setDefault(&o.UploadExpiry, 24*time.Hour)
	setDefault(&o.EventRetention, 7*24*time.Hour)
	setDefault(&o.PullTimeFlush, time.Minute)
	setDefault(&o.LifecycleInterval, time.Hour)
	setDefault(&o.Revalidate, 24*time.Hour)
	if len(o.Regions) == 0 {
		o.Regions = endpoint.Regions()
	}
	o.Limits = o.Limits.withDefaults()
	s.live.Store(&o)
}

// Limits are the limits in force, defaults filled in.
func (s *Service) Limits() Limits { return s.live.Load().Limits }

// Ready says whether the store answers: nil, or the fault that it has.
func (s *Service) Ready(ctx context.Context) error {
	return s.index.View(ctx, func(r storage.Reader) error {
		_, err := sequences.Get(r, eventSequence)
		return ignoreNotFound(err)
	})
}

// view reads on one snapshot. The place where a list goes on is the one part
// of a key that callers give as they please, so a bad key is a bad place.
func (s *Service) view(ctx context.Context, fn func(storage.Reader) error) error {
	err := s.index.View(ctx, fn)
	if errors.Is(err, table.ErrBadKey) {
		return refuse(PageInvalid, "the list has no such place to go on from")
	}
	return storeError(err)
}

// update changes rows in one transaction.
func (s *Service) update(ctx context.Context, fn func(storage.Tx) error) error {
	err := storeError(s.index.Update(ctx, fn))
	if err == nil {
		s.news.spread()
	}
	return err
}

func ignoreNotFound(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}
