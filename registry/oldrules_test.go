package registry

import (
	"context"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
)

// PutByOldRules stores an image that the rules of today refuse.
func PutByOldRules(ctx context.Context, s *Service, name Name, mediaType string, body []byte) error {
	return s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		m, err := manifest.Reread(mediaType, body)
		if err != nil {
			return err
		}
		_, err = s.put(ctx, tx, pushing{repo: repo, manifest: m, digest: digest.FromBytes(digest.SHA256, body), Push: Push{Body: body}})
		return err
	})
}

// FinishRestores does at once what Run does about images on their way back.
func FinishRestores(ctx context.Context, s *Service) error { return s.finishRestores(ctx) }

// Tidy does at once what Run does in the background after a removal.
func Tidy(ctx context.Context, s *Service) error {
	if err := s.clearDropped(ctx); err != nil {
		return err
	}
	return s.deleteCondemned(ctx)
}
