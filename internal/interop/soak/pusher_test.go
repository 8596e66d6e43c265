package soak_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Each client has so many tags that stay until it moves or deletes them itself. What
// it pushes under other tags is its policy's to expire.
const tagsOfEach = 8

// lifecyclePolicy leaves alone what has a tag that stays.
const lifecyclePolicy = `{"rules":[
	{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPrefixList":["old-"],"countType":"imageCountMoreThan","countNumber":3},"action":{"type":"expire"}},
	{"rulePriority":2,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]}`

// Images of seeds below common are pushed by all clients, so that layers come, are
// shared and go in many repositories at once. Those with old tags are other ones.
const common = 24

// pusher is a client with a repository of its own, so that it knows what is there.
type pusher struct {
	repo   string
	random *rand.Rand
	client *ecr.Client
	door   *harness.OCI
	kept   map[string]uint64 // seeds of images by tags that stay
	old    int
	t      testing.TB

	pushed, pulled, deleted, again atomic.Int64
}

func newPusher(t *testing.T, k *soak, i int) *pusher {
	p := &pusher{
		repo: fmt.Sprintf("soak/%02d", i), random: rand.New(rand.NewPCG(*seed, uint64(i))), t: t,
		client: k.server.ClientBy(k.seen.client(), k.key, "us-east-1", k.server.URL()), door: k.door, kept: map[string]uint64{},
	}
	_, err := p.client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &p.repo})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.client.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: &p.repo, LifecyclePolicyText: aws.String(lifecyclePolicy)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// work does one thing after the other until ctx ends. What was begun is ended: who
// is cut off does not know what became of it.
func (p *pusher) work(ctx context.Context, t *testing.T) {
	background := context.WithoutCancel(ctx)
	for ctx.Err() == nil && !t.Failed() {
		var err error
		switch n := p.random.IntN(20); {
		case n < 8:
			err = p.push(background, fmt.Sprintf("keep-%d", p.random.IntN(tagsOfEach)), p.seed(0))
		case n < 11:
			p.old++
			err = p.push(background, fmt.Sprintf("old-%d", p.old), p.seed(common))
		case n < 14:
			err = p.delete(background)
		default:
			err = p.pull(background)
		}
		if err != nil {
			t.Errorf("%s: %v", p.repo, err)
		}
	}
}

// seed is that of one of the common images from a number on, or of one of its own.
func (p *pusher) seed(from uint64) uint64 {
	if p.random.IntN(3) > 0 {
		return from + p.random.Uint64N(common)
	}
	return p.random.Uint64()>>9 | 1<<40
}

func (p *pusher) image(seed uint64) harness.Image {
	return harness.NewImage(p.t, v1.MediaTypeImageManifest, seed, 3, 1<<10<<(seed%7))
}

// push pushes an image as clients do: again from the start if a layer was collected
// before the manifest came.
func (p *pusher) push(ctx context.Context, tag string, seed uint64) error {
	m := p.image(seed)
	err := p.door.PushImage(ctx, p.repo, tag, m)
	for range 3 {
		if !harness.IsStatus(err, http.StatusNotFound) && !harness.IsStatus(err, http.StatusBadRequest) {
			break
		}
		p.again.Add(1)
		err = p.door.PushImage(ctx, p.repo, tag, m)
	}
	if err != nil {
		return err
	}
	p.pushed.Add(1)
	if tag[0] == 'k' {
		p.kept[tag] = seed
	}
	return nil
}

// some is any of the tags that stay, "" if there is none.
func (p *pusher) some() string {
	if len(p.kept) == 0 {
		return ""
	}
	for {
		tag := fmt.Sprintf("keep-%d", p.random.IntN(tagsOfEach))
		if _, ok := p.kept[tag]; ok {
			return tag
		}
	}
}

// delete deletes an image by one of its tags or with all of them, by either door.
func (p *pusher) delete(ctx context.Context) error {
	tag := p.some()
	if tag == "" {
		return nil
	}
	gone := p.kept[tag]
	id := types.ImageIdentifier{ImageTag: &tag}
	whole := p.random.IntN(2) == 0
	if whole {
		id = types.ImageIdentifier{ImageDigest: aws.String(p.image(gone).Digest().String())}
	}
	out, err := p.client.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &p.repo, ImageIds: []types.ImageIdentifier{id}})
	if err != nil {
		return err
	}
	if len(out.Failures) > 0 {
		return fmt.Errorf("delete %s: %s", tag, aws.ToString(out.Failures[0].FailureReason))
	}
	p.deleted.Add(1)
	for other, seed := range p.kept {
		if other == tag || whole && seed == gone {
			delete(p.kept, other)
		}
	}
	return nil
}

func (p *pusher) pull(ctx context.Context) error {
	tag := p.some()
	if tag == "" {
		return nil
	}
	p.pulled.Add(1)
	return p.check(ctx, p.door, tag)
}

// check pulls an image whole, and holds it against what was pushed.
func (p *pusher) check(ctx context.Context, door *harness.OCI, tag string) error {
	want := p.image(p.kept[tag])
	got, err := door.Manifest(ctx, p.repo, tag)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want.Manifest) {
		return fmt.Errorf("%s is another image than was pushed last", tag)
	}
	for i, b := range want.Blobs() {
		r, err := door.Blob(ctx, p.repo, digestOf(b))
		if err != nil {
			return fmt.Errorf("blob %d of %s: %w", i, tag, err)
		}
		bytesGot, err := io.ReadAll(r)
		if r.Close(); err != nil || !bytes.Equal(bytesGot, b) {
			return fmt.Errorf("blob %d of %s: %d bytes of %d came, %w", i, tag, len(bytesGot), len(b), err)
		}
	}
	return nil
}

func (p *pusher) checkAll(ctx context.Context, t *testing.T, door *harness.OCI) {
	for tag := range p.kept {
		if err := p.check(ctx, door, tag); err != nil {
			t.Errorf("%s at the end: %v", p.repo, err)
		}
	}
}
