// Package heal brings damaged layers and manifests back from other registries that
// hold the same repositories. It asks for them by digest, and the domain hashes what
// comes, so that none of them need be trusted.
package heal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// Place is a registry that holds the same repositories.
type Place struct {
	// URL is its address, such as "https://replica.example"; repositories are below
	// its path and "/v2/".
	URL string
	// User and Password are sent with each request, unless User is "".
	User     string
	Password accounts.Secret
}

// Sources asks places one after the other. It is a registry.HealSource.
type Sources struct {
	client *http.Client
	places []Place
}

// New makes a source of places, which the client asks.
func New(client *http.Client, places []Place) (*Sources, error) {
	for _, p := range places {
		if u, err := url.Parse(p.URL); err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return nil, fmt.Errorf("heal-from: %q is no address of a registry", p.URL)
		}
	}
	return &Sources{client, places}, nil
}

// maxManifest bounds the manifests that are taken.
const maxManifest = 64 << 20

// manifestTypes are those that are asked for. By digest a registry has one anyway.
const manifestTypes = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*"

// OpenLayer implements registry.HealSource.
func (s *Sources) OpenLayer(ctx context.Context, n registry.Name, d digest.Digest) (io.ReadCloser, error) {
	return s.get(ctx, n, "blobs", d)
}

// Manifest implements registry.HealSource.
func (s *Sources) Manifest(ctx context.Context, n registry.Name, d digest.Digest) ([]byte, error) {
	body, err := s.get(ctx, n, "manifests", d)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, maxManifest))
}

// get is the first answer that has the bytes. The error tells of all places.
func (s *Sources) get(ctx context.Context, n registry.Name, kind string, d digest.Digest) (io.ReadCloser, error) {
	failed := []error{errors.New("no registry has it")}
	for _, p := range s.places {
		body, err := s.ask(ctx, p, "/v2/"+n.String()+"/"+kind+"/"+d.String())
		if err == nil {
			return body, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

func (s *Sources) ask(ctx context.Context, p Place, path string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.URL, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", manifestTypes)
	r.Header.Set("Accept-Encoding", "identity")
	if p.User != "" {
		r.SetBasicAuth(p.User, p.Password.Reveal())
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s answers %s", p.URL, answer.Status), answer.Body.Close())
	}
	return answer.Body, nil
}
