// Package transfer copies images, with what refers to them and with the settings of
// their repositories, from one place to another: from or to a registry, Amazon ECR, a
// folder or archive in the OCI image layout, and from the storage folder of a
// distribution registry.
//
// It is a client: a store is read and filled through the protocols that everybody
// uses, so its rules, quotas and events hold for what is imported as for what is
// pushed. All state is in the target. What is there already is left, so a copy that
// was broken off is gone on with by doing it again; nothing is named there before all
// that it needs is there.
//
// The source is not trusted. Each manifest and each layer is hashed on its way, and
// the last bytes of a layer are not sent before its digest is right; what is wrong is
// refused and named, and the rest goes on. Folders are opened as roots, which links
// and dots do not lead out of, and paths are made of parsed digests and names alone.
//
// Distribution's folder is read here and not by distribution's own code: of that
// 19 modules would be linked (2.6 MiB) for six paths that have not changed since 2015.
package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// Source is where images come from. A *peer.Registry is one. What it returns may be
// wrong; errors are those of package peer.
type Source interface {
	Manifest(ctx context.Context, repo, ref string) (peer.Manifest, error)
	// OpenBlob opens a blob from an offset on; the size is that of the whole, -1 if
	// nobody knows.
	OpenBlob(ctx context.Context, repo string, d digest.Digest, from int64) (io.ReadCloser, int64, error)
	Referrers(ctx context.Context, repo string, d digest.Digest) ([]peer.Descriptor, error)
}

// Target is where images go. A *peer.Registry is one.
type Target interface {
	Head(ctx context.Context, repo, ref string) (peer.Descriptor, error)
	HasBlob(ctx context.Context, repo string, d digest.Digest) (bool, error)
	MountBlob(ctx context.Context, repo, from string, d digest.Digest) (bool, error)
	PushBlob(ctx context.Context, repo string, d digest.Digest, size int64, open func(from int64) (io.ReadCloser, error)) error
	PushManifest(ctx context.Context, repo, ref, mediaType string, body []byte) error
}

// Catalogue says what a source has.
type Catalogue interface {
	Repositories(ctx context.Context) iter.Seq2[string, error]
	References(ctx context.Context, repo string) (References, error)
}

// References are the images of a repository, in the order in which they are copied.
type References struct {
	Tags     []string
	Untagged []digest.Digest // images without a tag, where the source tells of them
	Whole    bool            // it does, so that what refers to others is among them
	Notes    []string        // of images that cannot be had
}

// Wanted are repositories, and images of them.
type Wanted struct {
	Repository string // stars in it stand for any characters
	Reference  string // a tag or a digest; "" means all images
}

// Options say what is copied, from where and to where.
type Options struct {
	From   Source
	Listed Catalogue
	To     Target
	Wanted []Wanted
	Rename func(repo string) string // what a repository is called in the target; nil: the same

	Tags     string // with stars; only images with such a tag, "" means all and those without one
	Platform string // such as "linux/arm64"; of an index only that image, under its tag
	// NoReferrers leaves out what refers to an image and is not asked for itself.
	NoReferrers bool
	DryRun      bool // look, and change nothing
	Jobs        int  // how many layers are on their way side by side; 0 means 4
	// Patience is how long a request waits for a registry that wants to be asked
	// later; 0 means five minutes.
	Patience time.Duration
	// Pause is how long an image rests whose source or target is away, before it is
	// tried again; 0 means a second.
	Pause    time.Duration
	Settings *Settings // nil: repositories are made by pushing, and have no settings
	Watch    func(Progress)
	Log      *slog.Logger
}

const (
	usualJobs     = 4
	mostJobs      = 64
	usualPatience = 5 * time.Minute
)

func (o *Options) complete() error {
	if o.From == nil || o.To == nil || o.Listed == nil {
		return errors.New("transfer: a source, its catalogue and a target are needed")
	}
	o.Jobs = cmp.Or(o.Jobs, usualJobs)
	if o.Jobs < 1 || o.Jobs > mostJobs {
		return fmt.Errorf("%d jobs: at least 1 and at most %d are possible", o.Jobs, mostJobs)
	}
	if o.Platform != "" {
		if _, err := parsePlatform(o.Platform); err != nil {
			return err
		}
	}
	o.Pause = cmp.Or(o.Pause, time.Second)
	o.Patience = cmp.Or(o.Patience, usualPatience)
	if o.Rename == nil {
		o.Rename = func(repo string) string { return repo }
	}
	if o.Watch == nil {
		o.Watch = func(Progress) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Run copies. What could not be copied is in the report, and an error says that
// nothing could be begun, or that the context ended.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.complete(); err != nil {
		return Report{}, err
	}
	ctx, giveUp := context.WithCancelCause(peer.Patient(ctx, o.Patience))
	defer giveUp(nil)
	c := newCopier(o)
	c.giveUp = giveUp
	stop := c.tally.watch(o.Watch)
	defer stop()
	if err := c.settings.registry(ctx, c); err != nil {
		return c.tally.report(), err
	}
	repos, err := c.repositories(ctx)
	if err != nil {
		return c.tally.report(), err
	}
	jobs := c.list(ctx, repos)
	c.copyAll(ctx, jobs)
	return c.tally.report(), context.Cause(ctx)
}

// copier is one run.
type copier struct {
	Options
	settings  *settings
	tally     *tally
	slots     chan struct{} // one for each layer that may be on its way
	manifests *flights[place]
	blobs     *flights[place]
	uploads   *flights[digest.Digest]
	gone      atomic.Int64 // images that failed lately because a registry was not there
	giveUp    context.CancelCauseFunc
	where     sync.Map // digest of a blob -> repository of the target that has it
}

// place is a digest in a repository.
type place struct {
	repo string
	d    digest.Digest
}

func newCopier(o Options) *copier {
	return &copier{
		Options: o, settings: newSettings(o.Settings, o.DryRun), tally: newTally(), slots: make(chan struct{}, o.Jobs),
		manifests: newFlights[place](), blobs: newFlights[place](), uploads: newFlights[digest.Digest](),
	}
}

// job is a repository that is copied.
type job struct {
	from, to string
	refs     []string
	explicit bool // some images are asked for by name, or by their tags
	whole    bool // what refers to others is among the references
	made     func(context.Context) error
	left     sync.WaitGroup
}

// copyAll copies the images of all repositories, and ends each with its policies.
func (c *copier) copyAll(ctx context.Context, jobs []*job) {
	type image struct {
		job *job
		ref string
	}
	images := make(chan image)
	var workers, ends sync.WaitGroup
	for range c.Jobs {
		workers.Go(func() {
			for i := range images {
				c.image(ctx, i.job, i.ref)
				i.job.left.Done()
			}
		})
	}
	for _, j := range jobs {
		j.left.Add(len(j.refs))
		for _, ref := range j.refs {
			images <- image{j, ref}
		}
		ends.Go(func() {
			j.left.Wait()
			c.settings.finish(ctx, c, j)
		})
	}
	close(images)
	workers.Wait()
	ends.Wait()
}

// flights are things that are done once however many want them.
type flights[K comparable] struct {
	mu  sync.Mutex
	all map[K]*flight
}

type flight struct {
	done chan struct{}
	err  error
}

func newFlights[K comparable]() *flights[K] { return &flights[K]{all: map[K]*flight{}} }

// do does a thing, or waits for whoever does. What failed is done again by the next,
// and what was only called off by those who wait.
func (f *flights[K]) do(ctx context.Context, key K, fn func() error) error {
	for {
		own, other := f.begin(key)
		if other == nil {
			own.err = fn()
			f.end(key, own)
			return own.err
		}
		select {
		case <-other.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if ctx.Err() != nil || !errors.Is(other.err, context.Canceled) {
			return other.err
		}
	}
}

// begin is a flight of one's own, or the one that is under way or over.
func (f *flights[K]) begin(key K) (own, other *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other, ok := f.all[key]; ok {
		return nil, other
	}
	own = &flight{done: make(chan struct{})}
	f.all[key] = own
	return own, nil
}

func (f *flights[K]) end(key K, own *flight) {
	if own.err != nil {
		f.mu.Lock()
		delete(f.all, key)
		f.mu.Unlock()
	}
	close(own.done)
}
