package interop_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/opencontainers/go-digest"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Pushers at both doors are cut off by kill -9, again and again; what was
// acknowledged before any of the kills must be there after each of them.
func TestSDKKillDuringPushes(t *testing.T) {
	s := harness.Start(t)
	s.CreateRepository(t, "crash/oci")
	s.CreateRepository(t, "crash/json")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	l := &ledger{seeds: seed}
	for range *kills {
		c := &crash{ledger: l, server: s, door: s.OCI(t), client: s.ECR(t), left: 1 + random.Int64N(60)}
		unfinished := c.run(t)
		s.Launch()
		c.door = s.OCI(t)
		l.check(t, c.door)
		for _, w := range unfinished {
			if err := c.push(t.Context(), w); err != nil {
				t.Errorf("push again after the kill: %v", err)
			}
		}
	}
	l.check(t, s.OCI(t))
	t.Logf("%d blobs and %d images were acknowledged over %d kills", len(l.blobs), len(l.images), *kills)
}

// A crash is one round of pushes that end in a kill.
type crash struct {
	*ledger
	server *harness.Server
	door   *harness.OCI
	client *ecr.Client
	left   int64 // acknowledgements until the kill; atomic
	killed atomic.Bool
}

// A work is an image to push, and the door to push it by.
type work struct {
	repo  string // crash/oci or crash/json, by the same-named door
	tag   string
	image harness.Image
}

// run pushes at both doors until the server is killed, and returns the images
// that were cut off.
func (c *crash) run(t *testing.T) (unfinished []work) {
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, repo := range []string{"crash/oci", "crash/json", "crash/oci", "crash/json"} {
		group.Go(func() {
			w := c.pushUntilKilled(t, repo)
			mu.Lock()
			defer mu.Unlock()
			unfinished = append(unfinished, w)
		})
	}
	group.Wait()
	return unfinished
}

func (c *crash) pushUntilKilled(t *testing.T, repo string) work {
	for {
		seed := c.nextSeed()
		w := work{repo: repo, tag: fmt.Sprint(seed), image: harness.NewImage(t, harness.DockerManifest, seed, 3, 16<<10)}
		if err := c.push(t.Context(), w); err != nil {
			if !c.killed.Load() {
				t.Errorf("push to %s before the kill: %v", repo, err)
				c.kill()
			}
			return w
		}
	}
}

// push pushes an image and notes each acknowledgement as it comes.
func (c *crash) push(ctx context.Context, w work) error {
	for _, blob := range w.image.Blobs() {
		if err := c.pushBlob(ctx, w.repo, blob); err != nil {
			return err
		}
		c.noteBlob(w.repo, blob)
		c.acknowledged()
	}
	if err := c.pushManifest(ctx, w); err != nil {
		return err
	}
	c.noteImage(w)
	c.acknowledged()
	return nil
}

func (c *crash) pushBlob(ctx context.Context, repo string, blob []byte) error {
	if repo == "crash/oci" {
		return c.door.PushBlob(ctx, repo, blob)
	}
	err := uploadLayer(ctx, c.client, repo, blob)
	return unlessExists(err)
}

func (c *crash) pushManifest(ctx context.Context, w work) error {
	if w.repo == "crash/oci" {
		return c.door.PushManifest(ctx, w.repo, w.tag, w.image.MediaType, w.image.Manifest)
	}
	_, err := c.client.PutImage(ctx, &ecr.PutImageInput{
		RepositoryName: &w.repo, ImageTag: &w.tag, ImageManifest: aws.String(string(w.image.Manifest)),
	})
	return unlessExists(err)
}

// acknowledged counts, and kills the server when it is time.
func (c *crash) acknowledged() {
	if atomic.AddInt64(&c.left, -1) == 0 {
		c.kill()
	}
}

func (c *crash) kill() {
	if c.killed.CompareAndSwap(false, true) {
		c.server.Kill()
	}
}

// A ledger holds everything that a server has acknowledged.
type ledger struct {
	mu     sync.Mutex
	seeds  uint64
	blobs  []kept
	images []work
}

type kept struct {
	repo string
	blob []byte
}

func (l *ledger) nextSeed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seeds++
	return l.seeds
}

func (l *ledger) noteBlob(repo string, blob []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blobs = append(l.blobs, kept{repo, blob})
}

func (l *ledger) noteImage(w work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.images = append(l.images, w)
}

// check reads everything back, byte for byte.
func (l *ledger) check(t *testing.T, door *harness.OCI) {
	t.Helper()
	for _, k := range l.blobs {
		got, err := readBlob(t.Context(), door, k.repo, digest.FromBytes(k.blob))
		if err != nil || !bytes.Equal(got, k.blob) {
			t.Errorf("an acknowledged blob of %s: %d bytes, %v; want %d", k.repo, len(got), err, len(k.blob))
		}
	}
	for _, w := range l.images {
		for _, ref := range []string{w.tag, w.image.Digest().String()} {
			got, err := door.Manifest(t.Context(), w.repo, ref)
			if err != nil || !bytes.Equal(got, w.image.Manifest) {
				t.Errorf("the acknowledged image %s:%s: %s, %v", w.repo, ref, got, err)
			}
		}
	}
}

// What was received of an upload at /v2/ outlives a kill up to the last
// checkpoint, of which there is one in every 8 MiB.
func TestSDKUploadOutlivesKill(t *testing.T) {
	s := harness.Start(t)
	s.CreateRepository(t, "team/app")
	const sent, checkpoint = 20 << 20, 8 << 20
	content := harness.Random(70, sent+1000)
	door, ctx := s.OCI(t), t.Context()
	at, err := door.StartUpload(ctx, "team/app")
	if err != nil {
		t.Fatal(err)
	}
	if at, err = door.AppendUpload(ctx, at, bytes.NewReader(content[:sent])); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Launch()
	have, err := door.UploadSize(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	if have < sent-checkpoint || have > sent {
		t.Fatalf("after the kill the upload has %d bytes; want at least %d of %d", have, sent-checkpoint, sent)
	}
	if err := door.FinishUpload(ctx, at, digest.FromBytes(content), bytes.NewReader(content[have:])); err != nil {
		t.Fatal(err)
	}
	sameBlob(t, door, "team/app", content)
}

// A part of an upload by the JSON API is durable once it is acknowledged.
func TestSDKPartsOutliveKill(t *testing.T) {
	s := harness.Start(t)
	client, ctx := s.ECR(t), t.Context()
	createRepository(t, client, "team/app")
	content := harness.Random(71, partSize+1000)
	begun, err := client.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: aws.String("team/app")})
	if err != nil {
		t.Fatal(err)
	}
	upload := aws.ToString(begun.UploadId)
	if err := uploadPart(ctx, client, "team/app", upload, 0, content[:partSize]); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Launch()
	if err := uploadPart(ctx, client, "team/app", upload, partSize, content[partSize:]); err != nil {
		t.Fatal(err)
	}
	_, err = client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{
		RepositoryName: aws.String("team/app"), UploadId: &upload,
		LayerDigests: []string{digest.FromBytes(content).String()},
	})
	if err != nil {
		t.Fatal(err)
	}
	sameBlob(t, s.OCI(t), "team/app", content)
}

// One data folder has one process: a second is refused with the first one's id.
func TestSecondProcessRefused(t *testing.T) {
	s := harness.Start(t)
	said := s.Shell(t).Refused("berth", "serve", "--listen", "127.0.0.1:0")
	if !strings.Contains(said, fmt.Sprint(s.PID())) {
		t.Errorf("the second berth on the folder said:\n%s\nwant process id %d in it", said, s.PID())
	}
	if _, err := s.OCI(t).Manifest(t.Context(), "absent", "1.0"); !harness.IsStatus(err, http.StatusNotFound) {
		t.Errorf("the first one afterwards: %v", err)
	}
}
