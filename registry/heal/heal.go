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

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// Place is a registry that holds the same repositories.
type Place struct {
	// URL is its address, such as "https://replica.example"; repositories are below
	// its path and "/v2/".
	URL string
	// User and Password are those to log in with, unless User is "".
	User     string
	Password accounts.Secret
}

// Sources asks places one after the other. It is a registry.HealSource.
type Sources struct{ places []*peer.Registry }

// maxManifest bounds the manifests that are taken: what was stored once fits, even if
// less may be pushed now.
const maxManifest = 64 << 20

// New makes a source of places, which the client asks.
func New(client *http.Client, places []Place) (*Sources, error) {
	s := &Sources{}
	for _, p := range places {
		o := peer.Options{URL: p.URL, Client: client, MaxManifest: maxManifest}
		if p.User != "" {
			o.Credentials = peer.Static(p.User, p.Password)
		}
		place, err := peer.New(o)
		if err != nil {
			return nil, fmt.Errorf("heal-from: %q is no address of a registry", p.URL)
		}
		s.places = append(s.places, place)
	}
	return s, nil
}

// OpenLayer implements registry.HealSource.
func (s *Sources) OpenLayer(ctx context.Context, n registry.Name, d digest.Digest) (io.ReadCloser, error) {
	return first(s, func(place *peer.Registry) (io.ReadCloser, error) {
		body, _, err := place.OpenBlob(ctx, n.String(), d, 0)
		return body, err
	})
}

// Manifest implements registry.HealSource.
func (s *Sources) Manifest(ctx context.Context, n registry.Name, d digest.Digest) ([]byte, error) {
	return first(s, func(place *peer.Registry) ([]byte, error) {
		m, err := place.Manifest(ctx, n.String(), d.String())
		return m.Body, err
	})
}

// first is the first answer that has the bytes. The error tells of all places.
func first[T any](s *Sources, ask func(*peer.Registry) (T, error)) (T, error) {
	failed := []error{errors.New("no registry has it")}
	for _, place := range s.places {
		found, err := ask(place)
		if err == nil {
			return found, nil
		}
		failed = append(failed, err)
	}
	var none T
	return none, errors.Join(failed...)
}
