package sign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

const (
	// maxEnvelope bounds what is read of a signature that is there: ours have some
	// thousand bytes.
	maxEnvelope = 256 << 10
	// signaturePage is how many signatures of an image are looked at in one go.
	signaturePage = 100
)

// find looks for a signature of the image that the signer made. The annotation says
// which may be, and the envelope whether it is: anybody who may push could have written
// the former.
func (w *Worker) find(ctx context.Context, img registry.Image, s *signer) (d digest.Digest, found bool, err error) {
	want := s.thumbprints()
	for after, more := "", true; more; more = after != "" {
		var page []registry.Signature
		if page, after, err = w.registry.SignaturesOf(ctx, img.Name, img.Digest, after, signaturePage); err != nil {
			return d, false, err
		}
		for _, sig := range page {
			if sig.Annotations[thumbprintsKey] != want || len(sig.Envelopes) != 1 {
				continue
			}
			envelope, err := w.read(ctx, img.Name, sig.Envelopes[0])
			if err != nil {
				return d, false, err
			}
			if s.made(envelope, subjectOf(img)) {
				return sig.Digest, true, nil
			}
		}
	}
	return d, false, nil
}

// read is the envelope of a signature, nil if it is not to be had.
func (w *Worker) read(ctx context.Context, name registry.Name, of manifest.Descriptor) ([]byte, error) {
	if of.MediaType != envelopeType || of.Size > maxEnvelope {
		return nil, nil
	}
	_, r, err := w.registry.OpenLayer(ctx, name, of.Digest)
	if registry.CodeOf(err) != "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	envelope, err := io.ReadAll(io.LimitReader(r, maxEnvelope))
	return envelope, errors.Join(err, r.Close())
}

// descriptor is what a manifest says of a layer.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// artifact is the manifest of a signature: an image manifest of OCI (image-spec,
// manifest.md, "Guidelines for Artifact Usage"). Registries that take the type of an
// artifact from its config find it there.
type artifact struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Subject       subject           `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// emptyConfig is the config of a signature (Notary Project, signature-specification.md,
// "Storage").
var emptyConfig = []byte("{}")

// store puts a signature beside the image that it is of.
func (w *Worker) store(ctx context.Context, img registry.Image, s *signer, envelope []byte, at time.Time) (digest.Digest, error) {
	m := artifact{
		SchemaVersion: 2, MediaType: manifest.MediaTypeOCIManifest, ArtifactType: registry.SignatureType, Subject: subjectOf(img),
		Config: describe(registry.SignatureType, emptyConfig), Layers: []descriptor{describe(envelopeType, envelope)},
		Annotations: map[string]string{thumbprintsKey: s.thumbprints(), "org.opencontainers.image.created": at.UTC().Format(time.RFC3339)},
	}
	body, err := json.Marshal(m)
	if err != nil {
		return digest.Digest{}, err
	}
	for _, content := range [][]byte{emptyConfig, envelope} {
		if err := w.upload(ctx, img.Name, content); err != nil {
			return digest.Digest{}, err
		}
	}
	done, err := w.registry.PutImage(ctx, img.Name, registry.Push{MediaType: m.MediaType, Body: body})
	return done.Image.Digest, err
}

func describe(mediaType string, content []byte) descriptor {
	return descriptor{mediaType, digest.FromBytes(digest.SHA256, content).String(), int64(len(content))}
}

// upload puts a layer into the repository, unless it is there.
func (w *Worker) upload(ctx context.Context, name registry.Name, content []byte) error {
	d := digest.FromBytes(digest.SHA256, content)
	_, err := w.registry.PresentLayer(ctx, name, d)
	if registry.CodeOf(err) == "" {
		return err
	}
	u, err := w.registry.StartUpload(ctx, name, registry.NewUpload{})
	if err != nil {
		return err
	}
	_, err = w.registry.AppendUpload(ctx, name, u.ID, registry.Part{Offset: -1, Length: int64(len(content)), Body: bytes.NewReader(content)})
	if err == nil {
		_, err = w.registry.FinishUpload(ctx, name, u.ID, registry.Finish{Digests: []digest.Digest{d}})
	}
	if err != nil { // what is left of it expires
		_ = w.registry.CancelUpload(ctx, name, u.ID)
	}
	return err
}
