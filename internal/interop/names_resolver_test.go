package interop_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Amazon's resolver for containerd speaks no /v2/ at all: it pushes and pulls by
// the JSON API. Its module (github.com/awslabs/amazon-ecr-containerd-resolver)
// is not to be had from the module proxy, so a resolver makes the same calls
// here, with Amazon's SDK at Amazon's names, as it does.
type resolver struct {
	client   *ecr.Client
	http     *http.Client
	registry string // id, which goes with every call
	repo     string
}

// pulls are the media types that the resolver takes.
var pulls = []string{
	v1.MediaTypeImageManifest, harness.DockerManifest,
	v1.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.list.v2+json",
}

func TestNamesSDKResolver(t *testing.T) {
	s := harness.StartTLS(t)
	key := s.CreateKey(t, harness.OtherAccount)
	for i, image := range []harness.Image{ociImage(t, 160), harness.NewImage(t, harness.DockerManifest, 161, 2, 6<<20)} {
		r := &resolver{
			client: s.ClientAt(t, key, harness.OtherRegion, ""), http: s.HTTPClient(t),
			registry: harness.OtherAccount, repo: fmt.Sprint("team/app-", i),
		}
		createRepository(t, r.client, r.repo)
		ctx := t.Context()
		if err := r.push(ctx, "1.0", image); err != nil {
			t.Fatal(err)
		}
		if err := r.push(ctx, "1.1", image); err != nil {
			t.Errorf("push what is there: %v", err)
		}
		for _, id := range []types.ImageIdentifier{{ImageTag: aws.String("1.1")}, {ImageDigest: aws.String(image.Digest().String())}} {
			if err := r.pull(ctx, id, image); err != nil {
				t.Errorf("pull %v: %v", id, err)
			}
		}
	}
}

// push is what the resolver does to the blobs and to the manifest, which it
// first looks for.
func (r *resolver) push(ctx context.Context, tag string, m harness.Image) error {
	for _, b := range m.Blobs() {
		if err := r.pushLayer(ctx, b); err != nil {
			return fmt.Errorf("layer: %w", err)
		}
	}
	_, err := r.client.PutImage(ctx, &ecr.PutImageInput{
		RegistryId: &r.registry, RepositoryName: &r.repo, ImageTag: &tag, ImageManifest: aws.String(string(m.Manifest)),
	})
	return err
}

func (r *resolver) pushLayer(ctx context.Context, content []byte) error {
	digests := []string{digest.FromBytes(content).String()}
	there, err := r.client.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{
		RegistryId: &r.registry, RepositoryName: &r.repo, LayerDigests: digests,
	})
	if err != nil {
		return err
	}
	if len(there.Layers) != 1 {
		return fmt.Errorf("availability of one layer: %v, %v", there.Layers, there.Failures)
	}
	if there.Layers[0].LayerAvailability == types.LayerAvailabilityAvailable {
		return nil
	}
	upload, err := r.client.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RegistryId: &r.registry, RepositoryName: &r.repo})
	if err != nil {
		return err
	}
	if err := r.pushParts(ctx, upload, content); err != nil {
		return err
	}
	_, err = r.client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{
		RegistryId: &r.registry, RepositoryName: &r.repo, UploadId: upload.UploadId, LayerDigests: digests,
	})
	return err
}

// pushParts sends a layer in parts of the size that the server asked for.
func (r *resolver) pushParts(ctx context.Context, upload *ecr.InitiateLayerUploadOutput, content []byte) error {
	size := aws.ToInt64(upload.PartSize)
	for first := int64(0); first < int64(len(content)); first += size {
		part := content[first:min(first+size, int64(len(content)))]
		last := first + int64(len(part)) - 1
		got, err := r.client.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
			RegistryId: &r.registry, RepositoryName: &r.repo, UploadId: upload.UploadId,
			PartFirstByte: &first, PartLastByte: &last, LayerPartBlob: part,
		})
		if err != nil {
			return err
		}
		if aws.ToInt64(got.LastByteReceived) != last {
			return fmt.Errorf("the server has bytes up to %d, sent up to %d", aws.ToInt64(got.LastByteReceived), last)
		}
	}
	return nil
}

// pull asks for an image by tag or digest, then for each blob by its link.
func (r *resolver) pull(ctx context.Context, id types.ImageIdentifier, want harness.Image) error {
	got, err := r.client.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RegistryId: &r.registry, RepositoryName: &r.repo, ImageIds: []types.ImageIdentifier{id}, AcceptedMediaTypes: pulls,
	})
	if err != nil {
		return err
	}
	if len(got.Images) != 1 {
		return fmt.Errorf("%d images, failures %v", len(got.Images), got.Failures)
	}
	image := got.Images[0]
	if aws.ToString(image.ImageManifest) != string(want.Manifest) || aws.ToString(image.ImageManifestMediaType) != want.MediaType {
		return fmt.Errorf("a manifest of %s: %s", aws.ToString(image.ImageManifestMediaType), aws.ToString(image.ImageManifest))
	}
	for _, b := range want.Blobs() {
		if err := r.pullLayer(ctx, b); err != nil {
			return fmt.Errorf("layer: %w", err)
		}
	}
	return nil
}

// pullLayer reads a layer by its link in pieces, as the resolver does by its
// default, and holds the whole against what is wanted.
func (r *resolver) pullLayer(ctx context.Context, want []byte) error {
	link, err := r.client.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{
		RegistryId: &r.registry, RepositoryName: &r.repo, LayerDigest: aws.String(digest.FromBytes(want).String()),
	})
	if err != nil {
		return err
	}
	url := aws.ToString(link.DownloadUrl)
	if !strings.HasPrefix(url, "https://") {
		return fmt.Errorf("%s is a link without TLS", url)
	}
	const piece = 1 << 20
	var got bytes.Buffer
	for at := 0; at < len(want); at += piece {
		if err := r.readPiece(ctx, &got, url, fmt.Sprintf("bytes=%d-%d", at, min(at+piece, len(want))-1)); err != nil {
			return err
		}
	}
	if !bytes.Equal(got.Bytes(), want) {
		return fmt.Errorf("%d bytes came back that are not the %d that went in", got.Len(), len(want))
	}
	return nil
}

func (r *resolver) readPiece(ctx context.Context, into io.Writer, url, byteRange string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Range", byteRange)
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("a link with the range %s: %s", byteRange, resp.Status)
	}
	_, err = io.Copy(into, resp.Body)
	return err
}
