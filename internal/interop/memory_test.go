package interop_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/opencontainers/go-digest"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// memoryBound is how far one layer, however large, may move the server's
// anonymous memory.
const memoryBound = 64 << 20

// The layer is made as it is sent and hashed as it comes back: neither end
// holds it. Both doors take it in and the first gives it out.
func TestSDKMemoryStaysFlat(t *testing.T) {
	tests := []struct {
		name string
		push func(context.Context, *testing.T, *harness.Server, digest.Digest) error
	}{
		{"OCI", pushStream},
		{"JSON", pushParts},
	}
	want := digestOf(t, harness.RandomStream(60))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := harness.Start(t)
			s.CreateRepository(t, "team/large")
			door := s.OCI(t)
			gauge := harness.Watch(t, s.PID())
			if err := tt.push(t.Context(), t, s, want); err != nil {
				t.Fatal(err)
			}
			blob, err := door.Blob(t.Context(), "team/large", want)
			if err != nil {
				t.Fatal(err)
			}
			defer blob.Close()
			if got := digestOf(t, blob); got != want {
				t.Errorf("the layer came back as %s, want %s", got, want)
			}
			if more, err := io.Copy(io.Discard, blob); more != 0 || err != nil {
				t.Errorf("after the layer came %d bytes more, %v", more, err)
			}
			peak := gauge.Peak(t)
			t.Logf("a layer of %s moved anonymous memory from %s to at most %s, by %s",
				mib(*layerSize), mib(gauge.Before), mib(peak), mib(peak-gauge.Before))
			if moved := peak - gauge.Before; moved >= memoryBound {
				t.Errorf("anonymous memory moved by %s, want less than %s", mib(moved), mib(memoryBound))
			}
		})
	}
}

// pushStream pushes the layer in one PATCH of unknown length, as docker does.
func pushStream(ctx context.Context, t *testing.T, s *harness.Server, d digest.Digest) error {
	door := s.OCI(t)
	at, err := door.StartUpload(ctx, "team/large")
	if err != nil {
		return err
	}
	if at, err = door.AppendUpload(ctx, at, io.LimitReader(harness.RandomStream(60), *layerSize)); err != nil {
		return err
	}
	return door.FinishUpload(ctx, at, d, nil)
}

// pushParts pushes the layer by the JSON API, in parts of the size that the
// server asks for.
func pushParts(ctx context.Context, t *testing.T, s *harness.Server, d digest.Digest) error {
	client, repo := s.ECR(t), "team/large"
	begun, err := client.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: &repo})
	if err != nil {
		return err
	}
	stream, part := harness.RandomStream(60), make([]byte, aws.ToInt64(begun.PartSize))
	for at := int64(0); at < *layerSize; at += int64(len(part)) {
		part = part[:min(int64(len(part)), *layerSize-at)]
		if _, err := io.ReadFull(stream, part); err != nil {
			return err
		}
		if err := uploadPart(ctx, client, repo, aws.ToString(begun.UploadId), at, part); err != nil {
			return err
		}
	}
	_, err = client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{
		RepositoryName: &repo, UploadId: begun.UploadId, LayerDigests: []string{d.String()},
	})
	return err
}

// digestOf hashes the first layerSize bytes of r, which must have as many.
func digestOf(t *testing.T, r io.Reader) digest.Digest {
	t.Helper()
	h := sha256.New()
	if _, err := io.CopyN(h, r, *layerSize); err != nil {
		t.Fatal(err)
	}
	return digest.NewDigest(digest.SHA256, h)
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
