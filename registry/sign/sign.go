// Package sign is the worker that signs images. Which image is to be signed with which
// profile is noted by package registry, in the transaction of the push, as rows that go
// only in the one that notes what became of it: so a server that is killed at any point
// forgets nothing. This package has the profiles' keys, makes the signatures, in the form
// of the Notary Project, and stores each as any client would: two layers and a manifest
// that refers to the image. Work that is done twice finds the signature that is there.
package sign

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

// Registry is what a Worker needs of registry.Service, whose methods say what
// they do.
type Registry interface {
	Unsigned(ctx context.Context, limit int) (list []registry.Unsigned, next time.Time, err error)
	AwaitUnsigned(ctx context.Context) error
	ToSign(ctx context.Context, u registry.Unsigned) (registry.Image, error)
	NoteSigned(ctx context.Context, u registry.Unsigned, signature digest.Digest) error
	FailSigning(ctx context.Context, u registry.Unsigned, code, reason string) error
	RetrySigning(ctx context.Context, u registry.Unsigned, rest time.Duration) error

	SignaturesOf(ctx context.Context, name registry.Name, subject digest.Digest, after string, limit int) (page []registry.Signature, next string, err error)
	OpenLayer(ctx context.Context, name registry.Name, d digest.Digest) (registry.Layer, io.ReadSeekCloser, error)
	PresentLayer(ctx context.Context, name registry.Name, d digest.Digest) (registry.Layer, error)
	StartUpload(ctx context.Context, name registry.Name, n registry.NewUpload) (registry.Upload, error)
	AppendUpload(ctx context.Context, name registry.Name, id string, p registry.Part) (registry.Upload, error)
	FinishUpload(ctx context.Context, name registry.Name, id string, f registry.Finish) (registry.Layer, error)
	CancelUpload(ctx context.Context, name registry.Name, id string) error
	PutImage(ctx context.Context, name registry.Name, p registry.Push) (registry.Pushed, error)
}

// Options are what New needs.
type Options struct {
	Registry Registry // required
	Keyring  *Keyring // required
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log takes what fails; nil means nowhere.
	Log *slog.Logger
}

// Worker signs images. Run it once.
type Worker struct {
	registry Registry
	keyring  *Keyring
	now      func() time.Time
	log      *slog.Logger

	signed, failed atomic.Int64
}

const (
	workers = 4  // images that are signed at the same time
	round   = 32 // images that are looked up at once
	// maxTries is after how many an image is given up that met a fault of this
	// server's, which takes about six minutes.
	maxTries = 10
	// firstRest doubles with each try up to longestRest.
	firstRest, longestRest = time.Second, 2 * time.Minute
)

// New makes a worker.
func New(o Options) (*Worker, error) {
	if o.Registry == nil || o.Keyring == nil {
		return nil, errors.New("sign: a registry and a keyring are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{registry: o.Registry, keyring: o.Keyring, now: o.Now, log: o.Log}, nil
}

// Figures are what has been done since the start.
type Figures struct {
	Signed, Failed int64
}

// Figures are what has been done. What its pusher may not have signed was never begun.
func (w *Worker) Figures() Figures { return Figures{w.signed.Load(), w.failed.Load()} }

// Run works until ctx ends, and then returns nil. What fails is logged and tried
// again.
func (w *Worker) Run(ctx context.Context) error {
	ctx = auth.WithPrincipal(ctx, auth.Principal{}) // the server itself
	for ctx.Err() == nil {
		list, next, err := w.registry.Unsigned(ctx, round)
		switch {
		case err != nil:
		case len(list) > 0:
			err = w.signAll(ctx, list)
		default:
			err = w.await(ctx, next)
		}
		if err != nil && ctx.Err() == nil {
			if !storage.Refuses(err) { // of which its keepers tell
				w.log.Error("sign images", "error", err)
			}
			pause(ctx, firstRest)
		}
	}
	return nil
}

// await returns when an image is to be signed, or it is the time of the next one that
// rests.
func (w *Worker) await(ctx context.Context, next time.Time) error {
	if !next.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, next.Sub(w.now()))
		defer cancel()
	}
	err := w.registry.AwaitUnsigned(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// signAll signs some images, several at a time, and begins none after the end of ctx.
// The error is one that kept an outcome from being noted.
func (w *Worker) signAll(ctx context.Context, list []registry.Unsigned) error {
	free, errs := make(chan struct{}, workers), make([]error, len(list))
	var under sync.WaitGroup
	for i, u := range list {
		free <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		under.Go(func() {
			errs[i] = w.sign(ctx, u)
			<-free
		})
	}
	under.Wait()
	return errors.Join(errs...)
}

// sign signs one image, or gives it up, or lets it rest. The error is one that kept that
// from being noted, and a store that takes no writes, which counts as no try.
func (w *Worker) sign(ctx context.Context, u registry.Unsigned) error {
	d, err := w.signature(ctx, u)
	if err == nil {
		if err = w.registry.NoteSigned(ctx, u, d); err == nil {
			w.signed.Add(1)
		}
		return err
	}
	if ctx.Err() != nil || storage.Refuses(err) {
		return err
	}
	f := failureOf(err)
	if f == nil {
		w.log.Error("sign an image", "repository", u.Repository.ARN(), "digest", u.Digest.String(), "profile", u.Profile, "try", u.Tries+1, "error", err)
		if u.Tries+1 < maxTries {
			return w.registry.RetrySigning(ctx, u, rest(u.Tries))
		}
		f = &failure{registry.UnsignedByFault, "The server failed to sign the image, and its log says why"}
	}
	if err = w.registry.FailSigning(ctx, u, f.code, f.reason); err == nil {
		w.failed.Add(1)
	}
	return err
}

// signature is the digest of the image's signature: one that is there, or a new one.
func (w *Worker) signature(ctx context.Context, u registry.Unsigned) (digest.Digest, error) {
	img, err := w.registry.ToSign(ctx, u)
	if err != nil {
		return digest.Digest{}, err
	}
	p, err := w.keyring.signer(ctx, u.Profile)
	if err != nil {
		return digest.Digest{}, err
	}
	if d, ok, err := w.find(ctx, img, p); err != nil || ok {
		return d, err
	}
	at := w.now()
	envelope, err := p.envelope(subjectOf(img), at)
	if err != nil {
		return digest.Digest{}, &failure{registry.UnsignedByProfile, "The signing profile cannot sign: " + err.Error()}
	}
	return w.store(ctx, img, p, envelope, at)
}

// rest is how long an image is left alone after so many tries before the last one.
func rest(tries int) time.Duration { return min(firstRest<<min(tries, 16), longestRest) }

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// failure says why an image is not signed, for good.
type failure struct{ code, reason string }

func (f *failure) Error() string { return f.code + ": " + f.reason }

// failureOf is why an image is not signed, for good; nil for a fault that may pass.
func failureOf(err error) *failure {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	switch code := registry.CodeOf(err); code {
	case "", registry.LayersMissing: // layers that went again between their upload and the manifest
		return nil
	case registry.RepositoryNotFound, registry.ImageNotFound:
		return &failure{registry.UnsignedByRemoval, "The repository was deleted before the image was signed"}
	case registry.TooManyImages, registry.TooManyInRegistry, registry.QuotaExceeded, registry.TooManyUploads:
		return &failure{registry.UnsignedByLimit, err.Error()}
	default:
		return &failure{registry.UnsignedByRefusal, err.Error()}
	}
}
