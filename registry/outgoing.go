package registry

import (
	"context"
	"fmt"
	"io"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
)

// Outgoing is an image that is to be sent to another server.
type Outgoing struct {
	Digest    digest.Digest
	MediaType string
	Body      []byte // of the manifest, held against its digest
	Manifest  manifest.Manifest
}

// OutgoingImage reads the image of a replica, or one that it is a list of, without its
// being a pull. ok is false if the image is not there any more or the replica is not
// waiting any more, of which nothing is left then. Nothing is read of one that was
// Deleted, whose word is to be sent all the same.
func (s *Service) OutgoingImage(ctx context.Context, r Replica, d digest.Digest) (out Outgoing, ok bool, err error) {
	err = s.view(ctx, func(rd storage.Reader) error {
		out, ok, err = r.outgoing(rd, d)
		return err
	})
	if err = s.noteManifest(ctx, err); err != nil || ok || d != r.Digest {
		return out, ok, err
	}
	return out, false, s.update(ctx, func(tx storage.Tx) error {
		_, _, _, err := r.source(tx)
		return err
	})
}

func (r Replica) outgoing(rd storage.Reader, d digest.Digest) (out Outgoing, ok bool, err error) {
	if waiting, err := replicas.Has(rd, r.key()...); err != nil || !waiting || r.Deleted {
		return out, waiting, err
	}
	repo, err := find(rd, r.Source)
	if CodeOf(err) == RepositoryNotFound || err == nil && repo.row.ID != r.RepositoryID {
		return out, false, nil
	}
	if err != nil {
		return out, false, err
	}
	img, err := repo.image(rd, Ref{Digest: d})
	if CodeOf(err) == ImageNotFound {
		return out, false, nil
	}
	if err != nil {
		return out, false, err
	}
	out = Outgoing{Digest: d, MediaType: img.row.MediaType}
	if out.Body, err = repo.manifest(rd, img); err != nil {
		return out, false, err
	}
	if out.Manifest, err = manifest.Reread(out.MediaType, out.Body); err != nil {
		return out, false, fmt.Errorf("manifest %s of %s was taken once: %w", d, repo.name, err)
	}
	return out, true, nil
}

// OutgoingLayer opens a layer of an image that is to be sent, from an offset on. There
// is none of what the repository does not hold, which is foreign or optional: ok is
// false then.
func (s *Service) OutgoingLayer(ctx context.Context, r Replica, d digest.Digest, from int64) (size int64, body io.ReadCloser, ok bool, err error) {
	l, open, err := s.OpenLayer(ctx, r.Source, d)
	if CodeOf(err) == LayerNotFound {
		return 0, nil, false, nil
	}
	if err != nil {
		return 0, nil, false, err
	}
	if _, err := open.Seek(from, io.SeekStart); err != nil {
		_ = open.Close() // of what was not read
		return 0, nil, false, fmt.Errorf("layer %s of %s: %w", d, r.Source, err)
	}
	return l.Size, open, true, nil
}

// Layers are the layers and the config of the image, each once.
func (o Outgoing) Layers() (list []manifest.Descriptor) {
	seen := map[digest.Digest]bool{}
	for _, l := range blobsOf(o.Manifest) {
		if !seen[l.Digest] {
			seen[l.Digest] = true
			list = append(list, l)
		}
	}
	return list
}
