package ecrapi

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

func (a *API) batchCheckLayerAvailability(ctx context.Context, c *call, in *shape.BatchCheckLayerAvailabilityRequest) (*shape.BatchCheckLayerAvailabilityResponse, error) {
	if _, err := a.registry.Repository(ctx, c.repo); err != nil {
		return nil, err
	}
	out := &shape.BatchCheckLayerAvailabilityResponse{Layers: []shape.Layer{}, Failures: []shape.LayerFailure{}}
	for _, s := range distinct(in.LayerDigests) {
		d, ok := layerDigest(s)
		if !ok {
			out.Failures = append(out.Failures, shape.LayerFailure{
				LayerDigest:   s,
				FailureCode:   shape.LayerFailureCodeInvalidLayerDigest,
				FailureReason: "Invalid request parameters: layer digest should satisfy the regex '" + digestPattern + "'",
			})
			continue
		}
		layer, err := a.checkLayer(ctx, c, s, d)
		if err != nil {
			return nil, err
		}
		out.Layers = append(out.Layers, layer)
	}
	return out, nil
}

// layerDigest reads a digest. One of a kind that this registry does not have
// is well-formed, and zero; a SHA-256 of another length is not.
func layerDigest(s string) (d digest.Digest, ok bool) {
	if d, err := digest.Parse(s); err == nil {
		return d, true
	}
	algorithm, _, _ := strings.Cut(s, ":")
	_, err := digest.ParseAlgorithm(algorithm)
	return digest.Digest{}, err != nil && digestSyntax.MatchString(s)
}

// checkLayer says whether the repository has a layer; s is its digest as the
// caller wrote it. What the repository does not have is a layer that is
// unavailable, and no failure: clients take that for "not there".
func (a *API) checkLayer(ctx context.Context, c *call, s string, d digest.Digest) (shape.Layer, error) {
	absent := shape.Layer{LayerDigest: s, LayerAvailability: shape.LayerAvailabilityUnavailable}
	if d.IsZero() {
		return absent, nil
	}
	layer, err := a.registry.Layer(ctx, c.repo, d)
	if registry.CodeOf(err) == registry.LayerNotFound {
		return absent, nil
	}
	if err == nil && (layer.Damaged || layer.Doubtful) { // who sends it again heals it
		return absent, nil
	}
	there := shape.LayerAvailabilityAvailable
	if layer.Archived {
		there = shape.LayerAvailabilityArchived
	}
	return shape.Layer{
		LayerDigest:       s,
		LayerAvailability: there,
		LayerSize:         new(layer.Size),
		MediaType:         layer.MediaType,
	}, err
}

// partSize is how large ECR would like parts to be, in bytes; it is no limit
// (ECR reference, operations.md section 5).
const partSize = 10_485_760

func (a *API) initiateLayerUpload(ctx context.Context, c *call, _ *shape.InitiateLayerUploadRequest) (*shape.InitiateLayerUploadResponse, error) {
	u, err := a.registry.StartUpload(ctx, c.repo, registry.NewUpload{Durable: true})
	if err != nil {
		return nil, err
	}
	return &shape.InitiateLayerUploadResponse{UploadID: u.ID, PartSize: new(int64(partSize))}, nil
}

func (a *API) uploadLayerPart(ctx context.Context, c *call, in *shape.UploadLayerPartRequest) (*shape.UploadLayerPartResponse, error) {
	if err := a.checkPart(ctx, c, in); err != nil {
		return nil, err
	}
	u, err := a.registry.AppendUpload(ctx, c.repo, *in.UploadID, registry.Part{
		Offset: *in.PartFirstByte, Length: in.LayerPartBlob.Size, Body: in.LayerPartBlob, Whole: true,
	})
	if err != nil {
		return nil, err
	}
	return &shape.UploadLayerPartResponse{
		RegistryID:       c.id.Account,
		RepositoryName:   c.repo.String(),
		UploadID:         u.ID,
		LastByteReceived: new(u.Offset - 1),
	}, nil
}

// checkPart refuses a part whose length is not what its first and last byte
// make.
func (a *API) checkPart(ctx context.Context, c *call, in *shape.UploadLayerPartRequest) error {
	want := *in.PartLastByte - *in.PartFirstByte + 1
	if want == in.LayerPartBlob.Size {
		return nil
	}
	u, err := a.registry.Upload(ctx, c.repo, *in.UploadID)
	if err != nil {
		return err
	}
	f := except(shape.InvalidLayerPartException, "Length of the layer part is %d instead of %d", in.LayerPartBlob.Size, want)
	f.addUpload(c.repo, u.ID, u.Offset)
	return f
}

func (a *API) completeLayerUpload(ctx context.Context, c *call, in *shape.CompleteLayerUploadRequest) (*shape.CompleteLayerUploadResponse, error) {
	finish := registry.Finish{Parts: true}
	for _, s := range in.LayerDigests {
		if d, err := digest.Parse(s); err == nil { // no other can be that of the bytes
			finish.Digests = append(finish.Digests, d)
		}
	}
	layer, err := a.registry.FinishUpload(ctx, c.repo, *in.UploadID, finish)
	if registry.CodeOf(err) == registry.UploadNotFound {
		return nil, a.completedBefore(ctx, c, finish.Digests, err)
	}
	if err != nil {
		return nil, err
	}
	if layer.Existed {
		return nil, layerExists(c, layer.Digest)
	}
	return &shape.CompleteLayerUploadResponse{
		RegistryID:     c.id.Account,
		RepositoryName: c.repo.String(),
		UploadID:       *in.UploadID,
		LayerDigest:    layer.Digest.String(),
	}, nil
}

// completedBefore is the answer where an upload is gone: that its layer exists
// if it does. A client whose first answer was lost asks again, and takes that
// for success.
func (a *API) completedBefore(ctx context.Context, c *call, digests []digest.Digest, gone error) error {
	for _, d := range digests {
		layer, err := a.registry.Layer(ctx, c.repo, d)
		if err == nil && !layer.Damaged {
			return layerExists(c, d)
		}
		if err != nil && registry.CodeOf(err) != registry.LayerNotFound {
			return err
		}
	}
	return gone
}

func layerExists(c *call, d digest.Digest) error {
	return except(shape.LayerAlreadyExistsException,
		"The layer with digest '%s' already exists in the repository with name '%s' in the registry with id '%s'", d, c.repo, c.id.Account)
}

// linkLife is how long the URL of a layer is good for, as ECR's (ECR
// reference, operations.md section 5).
const linkLife = time.Hour

func (a *API) getDownloadURLForLayer(ctx context.Context, c *call, in *shape.GetDownloadUrlForLayerRequest) (*shape.GetDownloadUrlForLayerResponse, error) {
	d, err := digest.Parse(*in.LayerDigest)
	if err != nil {
		if _, missing := a.registry.Repository(ctx, c.repo); missing != nil {
			return nil, missing
		}
		return nil, except(shape.LayersNotFoundException, "%s", wording.LayerNotFound(c.repo, *in.LayerDigest))
	}
	layer, err := a.registry.ReadableLayer(ctx, c.repo, d)
	if err != nil {
		return nil, err
	}
	if !layer.Referenced {
		return nil, except(shape.LayerInaccessibleException,
			"The layer with digest '%s' is not accessible in the repository with name '%s' in the registry with id '%s' because no image uses it",
			d, c.repo, c.id.Account)
	}
	link, err := a.link(ctx, c, d)
	if err != nil {
		return nil, err
	}
	return &shape.GetDownloadUrlForLayerResponse{DownloadURL: link, LayerDigest: d.String()}, nil
}

// link is a URL that opens a layer to whoever has it.
func (a *API) link(ctx context.Context, c *call, d digest.Digest) (string, error) {
	query, err := a.credentials.SignLink(ctx, c.by, credentials.Link{
		Account: c.id.Account, Region: c.id.Region, Repository: c.repo.String(), Digest: d.String(),
	}, a.now().Add(linkLife))
	if err != nil {
		return "", fmt.Errorf("sign link: %w", err)
	}
	path := url.URL{Path: "/layers/" + c.id.Account + "/" + c.id.Region + "/" + d.String() + "/" + c.repo.String(), RawQuery: query}
	return c.site.AbsoluteURL(path.String()), nil
}
