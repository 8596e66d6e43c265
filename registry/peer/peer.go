// Package peer speaks to another registry by the OCI distribution protocol: an
// upstream to pull from, or a destination to push to. What it may connect to is the
// affair of the client that it is given, which is one of package remote.
//
// A peer is not trusted. What it sends is bounded and looked at: manifests are
// hashed here, and blobs are to be hashed by whoever reads them. Credentials are
// shown to the peer's own origin and to the token service that is bound to it, and
// to nobody else, whatever the peer answers; and what it answers is never followed
// in circles.
//
// Lists, referrers (by the API and by tag) and the pushing of manifests are done by
// oras-go, over the same sender as the rest; logging in and the chunked, resumed
// pushing of blobs are done here.
package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry"
	orasremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/seed-78150930/berth/registry/digest"
)

// Options say which registry, and how it is asked.
type Options struct {
	// URL is its address, such as "https://registry.example"; what it has is below
	// its path and "/v2/". The names of Docker Hub all mean the host that answers.
	URL string
	// Client sends the requests. It must be one of remote.New, since that keeps
	// what proves who asks from other origins when it is redirected.
	Client *http.Client
	// Credentials are those to log in with; nil means to ask as nobody.
	Credentials Credentials
	// Realms are hosts, with their port unless it is the scheme's own, of token
	// services that may see the credentials besides the host of URL. Those of Docker
	// Hub and GitLab are known.
	Realms []string
	// MaxManifest bounds the manifests that are taken; 0 means 4 MiB, which is as much
	// as ECR takes (Amazon ECR service quotas).
	MaxManifest int64
	// Log is told of what is refused and waited for; nil for nobody.
	Log *slog.Logger
}

// Registry is another registry. Its methods may be called side by side.
type Registry struct {
	*sender
	oras        *orasremote.Registry
	maxManifest int64

	mu           sync.Mutex
	repositories map[string]*orasremote.Repository
}

// hub is where the names of Docker Hub are answered.
const hub = "registry-1.docker.io"

var hubNames = []string{"docker.io", "index.docker.io", "registry.hub.docker.com", "www.docker.io"}

// knownRealms are the token services of registries that have them at another host
// (https://docs.docker.com/docker-hub/api/ and the answers of registry.gitlab.com).
var knownRealms = map[string]string{hub: "auth.docker.io", "registry.gitlab.com": "gitlab.com"}

// New makes a registry. It asks nothing yet.
func New(o Options) (*Registry, error) {
	base, err := parseBase(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Client == nil {
		return nil, errors.New("peer: no client")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := newSender(base, o.Client)
	s.credentials, s.log, s.realms = o.Credentials, o.Log, o.Realms
	if known, ok := knownRealms[base.Host]; ok {
		s.realms = append([]string{known}, o.Realms...)
	}
	r := &Registry{sender: s, maxManifest: cmp.Or(o.MaxManifest, maxManifest), repositories: map[string]*orasremote.Repository{}}
	r.oras = &orasremote.Registry{RepositoryOptions: orasremote.RepositoryOptions{
		Client: s, Reference: registry.Reference{Registry: base.Host}, PlainHTTP: base.Scheme == "http",
		ManifestMediaTypes: manifestTypes, MaxMetadataBytes: maxList, SkipReferrersGC: true,
		TagListMaxPages: maxPages, ReferrerListMaxPages: maxPages,
	}}
	return r, nil
}

// parseBase reads the address of a registry.
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("peer: not the address of a registry, which is like https://registry.example")
	}
	u.Host = strings.ToLower(u.Host)
	for _, name := range hubNames {
		if u.Host == name {
			u.Host = hub
		}
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// Host is the host of the registry, with its port if it has one.
func (r *Registry) Host() string { return r.base.Host }

// Limits on what is read.
const (
	maxManifest = 4 << 20  // unless Options have another
	maxList     = 16 << 20 // a page of a list
	maxPages    = 10_000
	metaTime    = 2 * time.Minute // for a request whose answer is small
)

// maxRepositories bounds what is kept of them.
const maxRepositories = 1000

// repository is oras-go's own, kept because it knows whether referrers have an API.
func (r *Registry) repository(name string) (*orasremote.Repository, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if repo, ok := r.repositories[name]; ok {
		return repo, nil
	}
	made, err := r.oras.Repository(context.Background(), name)
	if err != nil {
		return nil, fmt.Errorf("%w: %.100q is no name of a repository", ErrWrong, name)
	}
	if len(r.repositories) >= maxRepositories {
		clear(r.repositories)
	}
	repo := made.(*orasremote.Repository)
	r.repositories[name] = repo
	return repo, nil
}

// request is a request about a repository, with the scope that it needs.
func (r *Registry) request(ctx context.Context, method, repo, path string, actions ...string) (*http.Request, error) {
	ref := registry.Reference{Registry: r.base.Host, Repository: repo}
	if err := ref.ValidateRepository(); err != nil {
		return nil, fmt.Errorf("%w: %.100q is no name of a repository", ErrWrong, repo)
	}
	ctx = auth.AppendRepositoryScope(ctx, ref, actions...)
	return http.NewRequestWithContext(ctx, method, r.base.Scheme+"://"+r.base.Host+r.base.Path+"/v2/"+repo+"/"+path, nil)
}

// Ping asks whether the registry is there and takes the credentials. A registry
// that asks nobody who he is takes any.
func (r *Registry) Ping(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base.String()+"/v2/", nil)
	if err != nil {
		return err
	}
	answer, err := r.expect(req, http.StatusOK)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// reference is what a manifest is asked for by: a tag or, wherever there is one, a
// digest.
func reference(text string) (path string, d digest.Digest, err error) {
	tag, after, both := strings.Cut(text, "@")
	if both || strings.Contains(text, ":") {
		if !both {
			after = text
		}
		d, err = digest.Parse(after)
		return d.String(), d, err
	}
	ref := registry.Reference{Reference: tag}
	if err := ref.ValidateReferenceAsTag(); err != nil {
		return "", d, fmt.Errorf("%w: %.150q is neither a tag nor a digest", ErrWrong, text)
	}
	return tag, d, nil
}
