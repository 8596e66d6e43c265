package registry_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

var errBroken = errors.New("broken disk")

// brokenIndex fails one read or write of all that its transactions do: the one
// that finds left at zero.
type brokenIndex struct {
	storage.Index
	left int // below zero: none fails
}

func (x *brokenIndex) next() error {
	x.left--
	if x.left == 0 {
		return errBroken
	}
	return nil
}

func (x *brokenIndex) View(ctx context.Context, fn func(storage.Reader) error) error {
	return x.Index.View(ctx, func(r storage.Reader) error { return fn(brokenReader{x, r}) })
}

func (x *brokenIndex) Update(ctx context.Context, fn func(storage.Tx) error) error {
	return x.Index.Update(ctx, func(tx storage.Tx) error { return fn(brokenTx{brokenReader{x, tx}, tx}) })
}

type brokenReader struct {
	x *brokenIndex
	r storage.Reader
}

func (b brokenReader) Get(key string) ([]byte, error) {
	if err := b.x.next(); err != nil {
		return nil, err
	}
	return b.r.Get(key)
}

func (b brokenReader) Scan(r storage.Range) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		if err := b.x.next(); err != nil {
			yield(storage.Entry{}, err)
			return
		}
		b.r.Scan(r)(yield)
	}
}

type brokenTx struct {
	brokenReader
	tx storage.Tx
}

func (b brokenTx) Put(key string, value []byte) error {
	if err := b.x.next(); err != nil {
		return err
	}
	return b.tx.Put(key, value)
}

func (b brokenTx) Delete(key string) error {
	if err := b.x.next(); err != nil {
		return err
	}
	return b.tx.Delete(key)
}

// operation is something that a service can do.
type operation struct {
	what string
	do   func(ctx context.Context, s *registry.Service) error
}

// subjects are what operations work on.
type subjects struct {
	name, other registry.Name
	back        registry.Name // what other comes back from the trash as
	layer       digest.Digest // of the bytes "one"
	image       []byte        // its manifest
	index       []byte        // one of that image
	outer       []byte        // one of that index
	schema1     []byte        // a manifest of Docker schema 1
	signed1     []byte        // the same, signed
	latest      registry.Tag
	fallback    registry.Tag    // that of the image's subject
	upload      registry.Upload // the one under way
}

func newSubjects(t *testing.T) *subjects {
	layer := descriptor(v1.MediaTypeImageLayer, []byte("one"))
	subject := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: layer.Digest, Size: 1}
	body := imageOf(t, v1.Manifest{Config: layer, Layers: []v1.Descriptor{layer}, Subject: &subject})
	img := registry.Image{MediaType: v1.MediaTypeImageManifest, Digest: sha256Of(body), ManifestSize: int64(len(body))}
	index := indexOf(t, img)
	inner := registry.Image{MediaType: v1.MediaTypeImageIndex, Digest: sha256Of(index), ManifestSize: int64(len(index))}
	doc, signed := schema1("1.0", "alice", "one")
	return &subjects{
		schema1: doc, signed1: signed,
		name: name(t, "team/app"), other: name(t, "team/other"), back: name(t, "team/back"), latest: tag(t, "latest"),
		fallback: tag(t, "sha256-"+layer.Digest.Encoded()),
		layer:    sha256Of([]byte("one")), image: body, index: index, outer: indexOf(t, img, inner),
	}
}

// building operations come first, those for reading next, removing ones last:
// in that order all succeed.
func (x *subjects) building() []operation {
	put := func(body []byte, tags ...registry.Tag) func(context.Context, *registry.Service) error {
		return func(ctx context.Context, s *registry.Service) error {
			_, err := s.PutImage(ctx, x.name, registry.Push{Tags: tags, Body: body})
			return err
		}
	}
	return []operation{
		{"CreateRepository", func(ctx context.Context, s *registry.Service) error {
			_, err := s.CreateRepository(ctx, x.name, registry.Settings{})
			return err
		}},
		{"TagRepository", func(ctx context.Context, s *registry.Service) error {
			return s.TagRepository(ctx, x.name, map[string]string{"a": "b"})
		}},
		{"StartUpload", func(ctx context.Context, s *registry.Service) (err error) {
			x.upload, err = s.StartUpload(ctx, x.name, registry.NewUpload{Durable: true})
			return err
		}},
		{"AppendUpload", func(ctx context.Context, s *registry.Service) error {
			_, err := s.AppendUpload(ctx, x.name, x.upload.ID, whole(0, "one"))
			return err
		}},
		{"FinishUpload", func(ctx context.Context, s *registry.Service) error {
			_, err := s.FinishUpload(ctx, x.name, x.upload.ID, registry.Finish{Digests: []digest.Digest{x.layer}, Parts: true})
			return err
		}},
		{"StartUpload, creating", func(ctx context.Context, s *registry.Service) (err error) {
			x.upload, err = s.StartUpload(ctx, x.other, registry.NewUpload{MayCreate: true})
			return err
		}},
		{"CancelUpload", func(ctx context.Context, s *registry.Service) error {
			return s.CancelUpload(ctx, x.other, x.upload.ID)
		}},
		{"Mount", func(ctx context.Context, s *registry.Service) error {
			_, err := s.Mount(ctx, x.other, x.layer, registry.Mount{MayRead: anyone})
			return err
		}},
		{"PutImage", put(x.image, x.latest)},
		{"PutReplication", func(ctx context.Context, s *registry.Service) error {
			return s.PutReplication(ctx, here, bringing([]string{"team/"}, west, abroad))
		}},
		{"PutImage, moving a tag", put(x.index, x.latest)},
		{"PutImage, nothing new", put(x.image)},
		{"PutImage, several tags", put(x.outer, x.latest, x.fallback)},
		{"PutImage, moving a tag back", put(x.index, x.latest)},
		{"PutImage, schema 1", put(x.signed1)},
		{"PutImage, schema 1 again", put(x.signed1)},
		{"PutAccountSetting", func(ctx context.Context, s *registry.Service) error {
			return s.PutAccountSetting(ctx, here, registry.BlobMounting, registry.Enabled)
		}},
		{"PutAccountSetting, the scope", func(ctx context.Context, s *registry.Service) error {
			return s.PutAccountSetting(ctx, here, registry.RegistryPolicyScope, "V2")
		}},
		{"SetRepositoryPolicy", func(ctx context.Context, s *registry.Service) error {
			_, err := s.SetRepositoryPolicy(ctx, x.name, openPolicy, false)
			return err
		}},
		{"PutRegistryPolicy", func(ctx context.Context, s *registry.Service) error {
			_, err := s.PutRegistryPolicy(ctx, here, openRegistryPolicy)
			return err
		}},
		{"PutAccountSetting, the scope under a policy", func(ctx context.Context, s *registry.Service) error {
			return s.PutAccountSetting(ctx, here, registry.RegistryPolicyScope, "V1")
		}},
		{"PutScanning", func(ctx context.Context, s *registry.Service) error {
			_, err := s.PutScanning(ctx, here, onPush("team"))
			return err
		}},
		{"PutSigning", func(ctx context.Context, s *registry.Service) error {
			return s.PutSigning(ctx, here, registry.Signing{Rules: []registry.SigningRule{{Profile: profile, Filters: []string{"none"}}}})
		}},
		{"CreatePullThroughRule", func(ctx context.Context, s *registry.Service) error {
			_, err := s.CreatePullThroughRule(ctx, here, registry.PullThroughRule{Prefix: "hub", UpstreamHost: "registry-1.docker.io", Credential: secret})
			return err
		}},
		{"UpdatePullThroughRule", func(ctx context.Context, s *registry.Service) error {
			_, err := s.UpdatePullThroughRule(ctx, here, "hub", registry.PullThroughChange{Credential: new(secret)})
			return err
		}},
		{"SetStorageClass, archive", func(ctx context.Context, s *registry.Service) error {
			_, err := s.SetStorageClass(ctx, x.name, registry.Ref{Tag: x.fallback}, registry.ArchiveClass)
			return err
		}},
		{"SetStorageClass, restore", func(ctx context.Context, s *registry.Service) error {
			_, err := s.SetStorageClass(ctx, x.name, registry.Ref{Tag: x.fallback}, registry.StandardClass)
			return err
		}},
		{"bring back", registry.FinishRestores},
		{"PutLifecyclePolicy", func(ctx context.Context, s *registry.Service) error {
			_, err := s.PutLifecyclePolicy(ctx, x.name, keepTwo)
			return err
		}},
		{"PutLifecyclePolicy, again", func(ctx context.Context, s *registry.Service) error {
			_, err := s.PutLifecyclePolicy(ctx, x.name, keepTwo)
			return err
		}},
		{"StartLifecyclePreview", func(ctx context.Context, s *registry.Service) error {
			_, err := s.StartLifecyclePreview(ctx, x.name, keepOne)
			return err
		}},
		{"RunPreviews", func(ctx context.Context, s *registry.Service) error { return s.RunPreviews(ctx) }},
		{"RunLifecycle", func(ctx context.Context, s *registry.Service) error { return s.RunLifecycle(ctx) }},
		{"CreateTemplate", func(ctx context.Context, s *registry.Service) error {
			_, err := s.CreateTemplate(ctx, here, registry.Template{Prefix: "team"})
			return err
		}},
		{"UpdateTemplate", func(ctx context.Context, s *registry.Service) error {
			_, err := s.UpdateTemplate(ctx, here, "team", registry.TemplateChange{Description: new("ours")})
			return err
		}},
		{"DeleteTemplate", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeleteTemplate(ctx, here, "team")
			return err
		}},
		{"ExcludePulls", func(ctx context.Context, s *registry.Service) error {
			_, err := s.ExcludePulls(ctx, here, "arn:aws:iam::000000000000:user/ci")
			return err
		}},
		{"IncludePulls", func(ctx context.Context, s *registry.Service) error {
			return s.IncludePulls(ctx, here, "arn:aws:iam::000000000000:user/ci")
		}},
		{"FlushPulls", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Manifest(ctx, x.name, registry.Ref{Tag: x.latest})
			return errors.Join(err, s.FlushPulls(ctx))
		}},
		{"Mount, as ECR does", func(ctx context.Context, s *registry.Service) error {
			_, err := s.Mount(ctx, x.other, x.layer, registry.Mount{From: x.name, MayRead: anyone, AsECR: true})
			return err
		}},
	}
}

// replicating brings to a registry what the building operations have pushed.
func replicating(to registry.ID, images int) []operation {
	return slices.Repeat([]operation{{"ReceiveReplica", func(ctx context.Context, s *registry.Service) error {
		page, _, err := s.Replicas(ctx, to, registry.Lane{}, 1)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return errors.New("nothing is to be replicated")
		}
		return s.ReceiveReplica(ctx, page[0])
	}}}, images)
}

// pushingAgain has replication that failed tried again.
func (x *subjects) pushingAgain() []operation {
	return []operation{{"PutImage, replicating again", func(ctx context.Context, s *registry.Service) error {
		_, err := s.PutImage(ctx, x.name, registry.Push{Body: x.index})
		return err
	}}}
}

func (x *subjects) reading() []operation {
	img := registry.Ref{Digest: sha256Of(x.image)}
	return []operation{
		{"Ready", func(ctx context.Context, s *registry.Service) error { return s.Ready(ctx) }},
		{"Layer", func(ctx context.Context, s *registry.Service) error {
			_, err := s.Layer(ctx, x.name, x.layer)
			return err
		}},
		{"OpenLayer", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.OpenLayer(ctx, x.other, x.layer)
			return err
		}},
		{"DescribeImage", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DescribeImage(ctx, x.name, img)
			return err
		}},
		{"Manifest", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Manifest(ctx, x.name, img)
			return err
		}},
		{"Images", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Images(ctx, x.name, registry.ImageFilter{}, "", 9)
			return err
		}},
		{"ImageIDs", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.ImageIDs(ctx, x.name, registry.ImageFilter{}, "", 9)
			return err
		}},
		{"Tags", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Tags(ctx, x.name, "", 9)
			return err
		}},
		{"Referrers", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Referrers(ctx, x.name, x.layer, registry.ReferrerFilter{}, "", 9)
			return err
		}},
		{"AccountSetting", func(ctx context.Context, s *registry.Service) error {
			_, err := s.AccountSetting(ctx, here, registry.BlobMounting)
			return err
		}},
		{"Scanning", func(ctx context.Context, s *registry.Service) error { _, err := s.Scanning(ctx, here); return err }},
		{"RepositoryScanning", func(ctx context.Context, s *registry.Service) error {
			_, err := s.RepositoryScanning(ctx, x.name)
			return err
		}},
		{"StartScan", func(ctx context.Context, s *registry.Service) error {
			_, err := s.StartScan(ctx, x.name, img)
			return unless(registry.ImageNotScannable, err)
		}},
		{"ScanFindings", func(ctx context.Context, s *registry.Service) error {
			_, err := s.ScanFindings(ctx, x.name, img, "", 9)
			return unless(registry.ScanNotFound, err)
		}},
		{"RepositoryPolicy", func(ctx context.Context, s *registry.Service) error {
			_, err := s.RepositoryPolicy(ctx, x.name)
			return err
		}},
		{"RegistryPolicy", func(ctx context.Context, s *registry.Service) error {
			_, err := s.RegistryPolicy(ctx, here)
			return err
		}},
		{"LifecyclePolicy", func(ctx context.Context, s *registry.Service) error {
			_, err := s.LifecyclePolicy(ctx, x.name)
			return err
		}},
		{"LifecycleFacts", func(ctx context.Context, s *registry.Service) error {
			_, err := s.LifecycleFacts(ctx, x.name)
			return err
		}},
		{"LifecycleDue", func(ctx context.Context, s *registry.Service) error { _, err := s.LifecycleDue(ctx); return err }},
		{"LifecyclePreview", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.LifecyclePreview(ctx, x.name, registry.PreviewFilter{}, "", 9)
			return err
		}},
		{"LifecyclePreview, of an image", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.LifecyclePreview(ctx, x.name, registry.PreviewFilter{Images: []registry.Ref{img}}, "", 9)
			return err
		}},
		{"PreviewsDue", func(ctx context.Context, s *registry.Service) error { _, err := s.PreviewsDue(ctx); return err }},
		{"Signing", func(ctx context.Context, s *registry.Service) error { _, err := s.Signing(ctx, here); return err }},
		{"SigningStatuses", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.SigningStatuses(ctx, x.name, img)
			return err
		}},
		{"Unsigned", func(ctx context.Context, s *registry.Service) error { _, _, err := s.Unsigned(ctx, 9); return err }},
		{"UnsignedCount", func(ctx context.Context, s *registry.Service) error { _, err := s.UnsignedCount(ctx); return err }},
		{"SignaturesOf", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.SignaturesOf(ctx, x.name, img.Digest, "", 9)
			return err
		}},
		{"PullThroughRules", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.PullThroughRules(ctx, here, "", 9)
			return err
		}},
		{"ValidatePullThroughRule", func(ctx context.Context, s *registry.Service) error {
			return unless(registry.NotAvailable, second(s.ValidatePullThroughRule(ctx, here, "hub")))
		}},
		{"Replication", func(ctx context.Context, s *registry.Service) error {
			_, err := s.Replication(ctx, here)
			return err
		}},
		{"ReplicationStatuses", func(ctx context.Context, s *registry.Service) error {
			_, err := s.ReplicationStatuses(ctx, x.name, img)
			return err
		}},
		{"ReplicaDestinations", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.ReplicaDestinations(ctx)
			return err
		}},
		{"AwaitReplicas", func(ctx context.Context, s *registry.Service) error { return s.AwaitReplicas(ctx, 0) }},
		{"Repositories", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Repositories(ctx, here, "", 9, registry.Sight{})
			return err
		}},
		{"Events", func(ctx context.Context, s *registry.Service) error { _, err := s.Events(ctx, 0, 9); return err }},
	}
}

func (x *subjects) removing() []operation {
	remove := func(body []byte) func(context.Context, *registry.Service) error {
		return func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeleteImage(ctx, x.name, registry.Ref{Digest: sha256Of(body)}, nil)
			return err
		}
	}
	return []operation{
		{"Untag", func(ctx context.Context, s *registry.Service) error {
			_, err := s.Untag(ctx, x.name, x.latest, registry.KeepImage, nil)
			return err
		}},
		{"DeleteImage, an index of an index", remove(x.outer)},
		{"DeleteImage, an index", remove(x.index)},
		{"PutImage, tagging", func(ctx context.Context, s *registry.Service) error {
			_, err := s.PutImage(ctx, x.name, registry.Push{Tags: []registry.Tag{x.latest}, Body: x.image})
			return err
		}},
		{"DeleteImage", remove(x.image)},
		{"Trash", func(ctx context.Context, s *registry.Service) error {
			_, _, err := s.Trash(ctx, registry.TrashFilter{}, "", 10)
			return err
		}},
		{"RestoreImage", func(ctx context.Context, s *registry.Service) error {
			_, err := s.RestoreImage(ctx, x.name, registry.Ref{Digest: sha256Of(x.image)})
			return err
		}},
		{"DeleteImage, again", remove(x.image)},
		{"DeleteImage, schema 1", remove(x.schema1)},
		{"DeleteLayer, which the trash uses", func(ctx context.Context, s *registry.Service) error {
			return s.DeleteLayer(ctx, x.name, x.layer)
		}},
		{"DeleteLayer, again", func(ctx context.Context, s *registry.Service) error {
			return unless(registry.LayerNotFound, s.DeleteLayer(ctx, x.name, x.layer))
		}},
		{"DeleteRepositoryPolicy", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeleteRepositoryPolicy(ctx, x.name)
			return err
		}},
		{"DeleteRegistryPolicy", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeleteRegistryPolicy(ctx, here)
			return err
		}},
		{"DeleteLifecyclePolicy", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeleteLifecyclePolicy(ctx, x.name)
			return err
		}},
		{"DeleteSigning", func(ctx context.Context, s *registry.Service) error { _, err := s.DeleteSigning(ctx, here); return err }},
		{"DeletePullThroughRule", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeletePullThroughRule(ctx, here, "hub")
			return err
		}},
		{"DeleteRepository", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeleteRepository(ctx, x.other, true)
			return err
		}},
		{"RestoreRepository", func(ctx context.Context, s *registry.Service) error {
			_, err := s.RestoreRepository(ctx, x.other, x.back)
			return err
		}},
		{"DeleteRepository, again", func(ctx context.Context, s *registry.Service) error {
			_, err := s.DeleteRepository(ctx, x.back, true)
			return err
		}},
		{"EmptyTrash", func(ctx context.Context, s *registry.Service) error {
			_, err := s.EmptyTrash(ctx, registry.TrashFilter{})
			return err
		}},
		{"clear away", registry.Tidy},
	}
}

// unless is err, or nil if that is the refusal with the code that is right.
func unless(right registry.Code, err error) error {
	switch registry.CodeOf(err) {
	case right:
		return nil
	case "":
		if err == nil {
			return fmt.Errorf("not refused, want %q", right)
		}
	}
	return err
}

func TestEveryFaultIsAFault(t *testing.T) {
	rows := memory.NewIndex()
	index := &brokenIndex{Index: rows, left: -1}
	s := open(t, registry.Options{Index: index, CreateOnPush: registry.CreateAlways, LifecycleInterval: 1, RestoreTime: 1, TrashWindow: time.Hour})
	x := newSubjects(t)
	for _, op := range slices.Concat(x.building(), replicating(west, 9), replicating(abroad, 4), x.pushingAgain(), x.reading(), x.removing()) {
		for n := 1; ; n++ {
			before := rows.Last()
			index.left = n
			err := op.do(alice(t), s)
			reached := index.left <= 0
			index.left = -1
			if !reached { // it did with less than n reads and writes
				if err != nil {
					t.Fatalf("%s without a fault: %v", op.what, err)
				}
				break
			}
			if !errors.Is(err, errBroken) || registry.CodeOf(err) != "" {
				t.Fatalf("%s with fault %d: %v, want the fault itself", op.what, n, err)
			}
			if n == 1 || rows.Last() != before { // a part of it was committed
				checkRows(t, s)
			}
		}
	}
}

// Nobody opens an upload while those that there are cannot be counted.
func TestUploadsThatCannotBeCounted(t *testing.T) {
	index := &brokenIndex{Index: memory.NewIndex(), left: 1 << 30}
	o := registry.Options{Index: index, Blobs: memory.NewBlobs()}
	n := create(t, open(t, o), "team/app")
	s := open(t, o)
	index.left = 1 // the repository is found
	if _, err := s.StartUpload(alice(t), n, registry.NewUpload{}); !errors.Is(err, errBroken) {
		t.Errorf("StartUpload: %v", err)
	}
	index.left = 1 << 30
	start(t, s, n)
}
