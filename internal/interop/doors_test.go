package interop_test

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/opencontainers/go-digest"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// An image that went in by the JSON API alone is pulled by docker and crane.
func TestSDKPushDockerPull(t *testing.T) {
	s := harness.Start(t)
	client := s.ECR(t)
	createRepository(t, client, "team/app")
	image := dockerImage(t, 40)
	putImage(t, client, "team/app", "1.0", image)

	sh := s.Shell(t)
	sh.UseDocker()
	ref := s.Host + "/team/app:1.0"
	logIn(t, s, sh, "docker", "login")
	sh.Run("docker", "pull", ref)
	if got, want := sh.Run("docker", "image", "inspect", "--format", "{{.Id}}", ref), digest.FromBytes(image.Config).String(); got != want {
		t.Errorf("docker pulled %s, want %s", got, want)
	}
}

func TestSDKPushCranePull(t *testing.T) {
	s := harness.Start(t)
	client := s.ECR(t)
	createRepository(t, client, "team/app")
	image := ociImage(t, 41)
	putImage(t, client, "team/app", "1.0", image)

	sh := s.Shell(t)
	ref := s.Host + "/team/app:1.0"
	logIn(t, s, sh, "crane", "auth", "login")
	if got := sh.Run("crane", "manifest", ref); got != string(image.Manifest) {
		t.Errorf("crane manifest: %s, want %s", got, image.Manifest)
	}
	for _, blob := range image.Blobs() {
		got := sh.Run("crane", "blob", s.Host+"/team/app@"+digest.FromBytes(blob).String())
		if got != strings.TrimSuffix(string(blob), "\n") {
			t.Errorf("crane blob: %d bytes that differ from the %d that were uploaded", len(got), len(blob))
		}
	}
	sh.Run("crane", "validate", "--remote", ref)
}

// putImage pushes an image by the JSON API alone.
func putImage(t *testing.T, client *ecr.Client, repo, tag string, m harness.Image) {
	t.Helper()
	ctx := t.Context()
	for _, blob := range m.Blobs() {
		if err := uploadLayer(ctx, client, repo, blob); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.PutImage(ctx, &ecr.PutImageInput{
		RepositoryName: &repo, ImageTag: &tag,
		ImageManifest: aws.String(string(m.Manifest)), ImageManifestMediaType: &m.MediaType,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The parts before the last are of 5 MiB, since CompleteLayerUpload takes none
// smaller.
const partSize = 5 << 20

// An upload that begins with a POST at /v2/ goes on and ends by the JSON API.
func TestSDKFinishesUploadOfOCI(t *testing.T) {
	s := harness.Start(t)
	client, door, ctx := s.ECR(t), s.OCI(t), t.Context()
	createRepository(t, client, "team/app")
	content := harness.Random(42, 2*partSize+1234)
	at, err := door.StartUpload(ctx, "team/app")
	if err != nil {
		t.Fatal(err)
	}
	if at, err = door.AppendUpload(ctx, at, bytes.NewReader(content[:partSize])); err != nil {
		t.Fatal(err)
	}
	location, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	upload := path.Base(location.Path)
	for from := int64(partSize); from < int64(len(content)); from += partSize {
		part := content[from:min(from+partSize, int64(len(content)))]
		if err := uploadPart(ctx, client, "team/app", upload, from, part); err != nil {
			t.Fatal(err)
		}
	}
	_, err = client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{
		RepositoryName: aws.String("team/app"), UploadId: &upload,
		LayerDigests: []string{digest.FromBytes(content).String()},
	})
	if err != nil {
		t.Fatal(err)
	}
	sameBlob(t, door, "team/app", content)
}

// An upload that InitiateLayerUpload began goes on and ends at /v2/.
func TestSDKUploadFinishedAtOCI(t *testing.T) {
	s := harness.Start(t)
	client, door, ctx := s.ECR(t), s.OCI(t), t.Context()
	createRepository(t, client, "team/app")
	content := harness.Random(43, 2*partSize+1234)
	begun, err := client.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: aws.String("team/app")})
	if err != nil {
		t.Fatal(err)
	}
	upload := aws.ToString(begun.UploadId)
	if err := uploadPart(ctx, client, "team/app", upload, 0, content[:partSize]); err != nil {
		t.Fatal(err)
	}
	at, err := door.AppendUpload(ctx, "team/app/blobs/uploads/"+upload, bytes.NewReader(content[partSize:2*partSize]))
	if err != nil {
		t.Fatal(err)
	}
	if err := door.FinishUpload(ctx, at, digest.FromBytes(content), bytes.NewReader(content[2*partSize:])); err != nil {
		t.Fatal(err)
	}
	sameBlob(t, door, "team/app", content)
}

// sameBlob reads a blob back and compares it.
func sameBlob(t *testing.T, door *harness.OCI, repo string, want []byte) {
	t.Helper()
	got, err := readBlob(t.Context(), door, repo, digest.FromBytes(want))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("blob %s came back as %d other bytes", digest.FromBytes(want), len(got))
	}
}

func readBlob(ctx context.Context, door *harness.OCI, repo string, d digest.Digest) ([]byte, error) {
	blob, err := door.Blob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(blob)
}
