package interop_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/opencontainers/go-digest"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// The whole life of an image through Amazon's SDK, as far as the SDK goes, and
// through the distribution protocol with the password that it gives.
func TestSDK(t *testing.T) {
	s := harness.Start(t)
	client, ctx := s.ECR(t), t.Context()
	createRepository(t, client, "team/app")
	image := ociImage(t, 30)
	door := s.OCI(t)
	if err := door.PushImage(ctx, "team/app", "1.0", image); err != nil {
		t.Fatal(err)
	}

	images, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("team/app")})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(images.ImageDetails[0].ImageDigest); got != image.Digest().String() {
		t.Errorf("DescribeImages: %s, want %s", got, image.Digest())
	}
	ids := []types.ImageIdentifier{{ImageTag: aws.String("1.0")}, {ImageTag: aws.String("absent")}}
	batch, err := client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: ids})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(batch.Images[0].ImageManifest); got != string(image.Manifest) {
		t.Errorf("BatchGetImage: %s, want %s", got, image.Manifest)
	}
	if got := batch.Failures[0].FailureCode; got != types.ImageFailureCodeImageNotFound {
		t.Errorf("BatchGetImage of a missing tag: %s", got)
	}
	fetchLayer(t, client, "team/app", image.Layers[0])

	if _, err := client.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: aws.String("team/app"), ImageIds: ids[:1]}); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"1.0", image.Digest().String()} {
		if _, err := door.Manifest(ctx, "team/app", ref); !harness.IsStatus(err, http.StatusNotFound) {
			t.Errorf("pull of %s after BatchDeleteImage: %v, want not found", ref, err)
		}
	}
}

// fetchLayer follows the link of GetDownloadUrlForLayer, whole and in part,
// without credentials.
func fetchLayer(t *testing.T, client *ecr.Client, repo string, layer harness.Layer) {
	t.Helper()
	link, err := client.GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{
		RepositoryName: &repo, LayerDigest: aws.String(layer.Digest().String()),
	})
	if err != nil {
		t.Fatal(err)
	}
	url := aws.ToString(link.DownloadUrl)
	if status, got := fetch(t, url, ""); status != http.StatusOK || !bytes.Equal(got, layer.Gzip) {
		t.Errorf("the layer's link: %d and %d bytes, want %d", status, len(got), len(layer.Gzip))
	}
	if status, got := fetch(t, url, "bytes=100-199"); status != http.StatusPartialContent || !bytes.Equal(got, layer.Gzip[100:200]) {
		t.Errorf("the layer's link with a Range: %d and %d bytes, want bytes 100 to 199", status, len(got))
	}
}

func fetch(t *testing.T, url, byteRange string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func TestSDKPaginators(t *testing.T) {
	s := harness.Start(t)
	client, ctx := s.ECR(t), t.Context()
	want := []string{"a", "b", "c", "d", "e"}
	door := s.OCI(t)
	for i, name := range want {
		createRepository(t, client, "page/"+name)
		if err := door.PushImage(ctx, "page/a", name, ociImage(t, uint64(31+i))); err != nil {
			t.Fatal(err)
		}
	}

	var repos []string
	byRepo := ecr.NewDescribeRepositoriesPaginator(client, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(2)})
	pages := walk(t, byRepo.HasMorePages, func() error {
		page, err := byRepo.NextPage(ctx)
		for _, r := range pageOf(page, err).Repositories {
			repos = append(repos, aws.ToString(r.RepositoryName)[len("page/"):])
		}
		return err
	})
	samePages(t, "DescribeRepositories", repos, want, pages)

	var tags []string
	byTag := ecr.NewListImagesPaginator(client, &ecr.ListImagesInput{RepositoryName: aws.String("page/a"), MaxResults: aws.Int32(2)})
	pages = walk(t, byTag.HasMorePages, func() error {
		page, err := byTag.NextPage(ctx)
		for _, id := range pageOf(page, err).ImageIds {
			tags = append(tags, aws.ToString(id.ImageTag))
		}
		return err
	})
	samePages(t, "ListImages", tags, want, pages)

	tags = nil
	byImage := ecr.NewDescribeImagesPaginator(client, &ecr.DescribeImagesInput{RepositoryName: aws.String("page/a"), MaxResults: aws.Int32(2)})
	pages = walk(t, byImage.HasMorePages, func() error {
		page, err := byImage.NextPage(ctx)
		for _, image := range pageOf(page, err).ImageDetails {
			tags = append(tags, image.ImageTags...)
		}
		return err
	})
	samePages(t, "DescribeImages", tags, want, pages)
}

// walk calls next until there are no more pages, and counts them.
func walk(t *testing.T, more func() bool, next func() error) (pages int) {
	t.Helper()
	for more() {
		if err := next(); err != nil {
			t.Fatal(err)
		}
		pages++
	}
	return pages
}

// pageOf is a page that may be read even where there is none for an error.
func pageOf[T any](page *T, err error) *T {
	if err != nil {
		return new(T)
	}
	return page
}

func samePages(t *testing.T, operation string, got, want []string, pages int) {
	t.Helper()
	slices.Sort(got)
	if !slices.Equal(got, want) || pages < 3 {
		t.Errorf("%s two at a time gave %q in %d pages, want %q in 3", operation, got, pages, want)
	}
}

// A program that takes its settings from the environment, as most do, needs no
// line changed: the variables of `berth env` are enough, for STS too.
func TestSDKEnvironment(t *testing.T) {
	s := harness.Start(t)
	for name, value := range s.Env(t) {
		t.Setenv(name, value)
	}
	ctx := t.Context()
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		t.Fatal(err)
	}
	who, err := sts.NewFromConfig(settings).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	made := createRepository(t, ecr.NewFromConfig(settings), "team/app")
	if got, want := aws.ToString(made.RegistryId), aws.ToString(who.Account); got != want {
		t.Errorf("the repository is in registry %s, the caller in account %s", got, want)
	}
	if got, want := aws.ToString(made.RepositoryUri), s.Host+"/team/app"; got != want {
		t.Errorf("repositoryUri %q, want %q, the host that was called", got, want)
	}
}

// The SDK tells exceptions apart by type, which it finds by their names.
func TestSDKExceptions(t *testing.T) {
	s := harness.Start(t)
	client, ctx := s.ECR(t), t.Context()
	createRepository(t, client, "team/app")
	door := s.OCI(t)
	image := ociImage(t, 37)
	if err := door.PushImage(ctx, "team/app", "1.0", image); err != nil {
		t.Fatal(err)
	}

	_, err := client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("team/app")})
	wantException[*types.RepositoryAlreadyExistsException](t, err)
	_, err = client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("absent")})
	wantException[*types.RepositoryNotFoundException](t, err)
	_, err = client.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("absent")}},
	})
	wantException[*types.ImageNotFoundException](t, err)
	_, err = client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("team/app")})
	wantException[*types.RepositoryNotEmptyException](t, err)
	_, err = client.PutImage(ctx, &ecr.PutImageInput{
		RepositoryName: aws.String("team/app"), ImageTag: aws.String("1.0"), ImageManifest: aws.String(string(image.Manifest)),
	})
	wantException[*types.ImageAlreadyExistsException](t, err)
	_, err = client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{
		RepositoryName: aws.String("team/app"), UploadId: aws.String("00000000-0000-0000-0000-000000000000"),
		LayerDigests: []string{digest.FromString("a layer that is nowhere").String()},
	})
	wantException[*types.UploadNotFoundException](t, err)
}

func wantException[E error](t *testing.T, err error) {
	t.Helper()
	if want := *new(E); !errors.As(err, &want) {
		t.Errorf("got %v, want %T", err, want)
	}
}

// createRepository makes a repository and returns it.
func createRepository(t *testing.T, client *ecr.Client, name string) *types.Repository {
	t.Helper()
	made, err := client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return made.Repository
}

// unlessExists forgives the answer to something that is there already, as it
// may be when a push is made again.
func unlessExists(err error) error {
	var layer *types.LayerAlreadyExistsException
	var image *types.ImageAlreadyExistsException
	if errors.As(err, &layer) || errors.As(err, &image) {
		return nil
	}
	return err
}

// uploadLayer pushes content by the JSON API alone, in parts of the size that
// the server asks for.
func uploadLayer(ctx context.Context, client *ecr.Client, repo string, content []byte) error {
	begun, err := client.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: &repo})
	if err != nil {
		return err
	}
	size := int(aws.ToInt64(begun.PartSize))
	for at := 0; at < len(content); at += size {
		part := content[at:min(at+size, len(content))]
		if err := uploadPart(ctx, client, repo, aws.ToString(begun.UploadId), int64(at), part); err != nil {
			return err
		}
	}
	_, err = client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{
		RepositoryName: &repo, UploadId: begun.UploadId, LayerDigests: []string{digest.FromBytes(content).String()},
	})
	return err
}

// uploadPart sends one part and checks what the server says it has.
func uploadPart(ctx context.Context, client *ecr.Client, repo, upload string, at int64, part []byte) error {
	last := at + int64(len(part)) - 1
	done, err := client.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
		RepositoryName: &repo, UploadId: &upload,
		PartFirstByte: &at, PartLastByte: &last, LayerPartBlob: part,
	})
	if err != nil {
		return err
	}
	if got := aws.ToInt64(done.LastByteReceived); got != last {
		return fmt.Errorf("UploadLayerPart: last byte received %d, want %d", got, last)
	}
	return nil
}
