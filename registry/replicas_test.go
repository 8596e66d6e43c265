package registry_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage/memory"
)

// waiting lists all replicas that may be brought next.
func waiting(t testing.TB, s *registry.Service) (all []registry.Replica) {
	t.Helper()
	to, _, err := s.ReplicaDestinations(t.Context())
	must(t, err)
	for _, id := range to {
		for after := (registry.Lane{}); ; {
			page, more, err := s.Replicas(t.Context(), id, after, 2)
			must(t, err)
			all = append(all, page...)
			if !more {
				break
			}
			after = page[len(page)-1].Lane()
		}
	}
	return all
}

// bringAll brings replicas to their destinations until none waits.
func bringAll(t testing.TB, s *registry.Service) {
	t.Helper()
	for range 1000 {
		next := waiting(t, s)
		if len(next) == 0 {
			return
		}
		for _, r := range next {
			must(t, s.ReceiveReplica(context.Background(), r))
		}
	}
	t.Fatal("there is no end to what is to be replicated")
}

// states are those of an image's ways, by region and account.
func states(t testing.TB, s *registry.Service, n registry.Name, ref registry.Ref) map[registry.ID]string {
	t.Helper()
	list, err := s.ReplicationStatuses(alice(t), n, ref)
	must(t, err)
	all := map[registry.ID]string{}
	for _, status := range list {
		all[status.To] = string(status.State) + status.FailureCode
	}
	return all
}

func sameStates(t testing.TB, what string, got, want map[registry.ID]string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// sameImage fails the test unless a repository has the image, under the tags, with
// its layers.
func sameImage(t testing.TB, s *registry.Service, n registry.Name, want registry.Image, layer string, tags ...string) {
	t.Helper()
	got, err := s.DescribeImage(alice(t), n, registry.Ref{Digest: want.Digest})
	must(t, err)
	named := []string{}
	for _, tg := range got.Tags {
		named = append(named, tg.String())
	}
	if diff := cmp.Diff(tags, named, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("tags in %s (-want +got):\n%s", n.ARN(), diff)
	}
	if got.MediaType != want.MediaType || got.Size != want.Size || got.ArtifactType != want.ArtifactType || got.Subject != want.Subject {
		t.Errorf("image in %s is %+v, want %+v", n.ARN(), got, want)
	}
	if layer != "" && readLayer(t, s, n, sha256Of([]byte(layer))) != layer {
		t.Errorf("layer %q in %s has other bytes", layer, n.ARN())
	}
}

func TestReplicate(t *testing.T) {
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Blobs: blobs})
	n, other := create(t, s, "team/app"), create(t, s, "other/app")
	before := addImage(t, s, n, "before", "before")
	must(t, s.PutReplication(alice(t), here, bringing([]string{"team", "none"}, west)))
	one := addImage(t, s, n, "1", "one")
	put(t, s, n, "also", manifestOf(t, s, n, one.Digest))
	left := addImage(t, s, other, "1", "left")
	stored := blobCount(t, blobs)

	sameStates(t, "before", states(t, s, n, registry.Ref{Digest: before.Digest}), nil)
	sameStates(t, "no filter matches", states(t, s, other, registry.Ref{Digest: left.Digest}), nil)
	sameStates(t, "waiting", states(t, s, n, tagged(t, "1")), map[registry.ID]string{west: "IN_PROGRESS"})
	bringAll(t, s)
	sameStates(t, "done", states(t, s, n, tagged(t, "also")), map[registry.ID]string{west: "COMPLETE"})
	sameImage(t, s, nameIn(t, west, "team/app"), one, "one", "1", "also")
	if names := repositoryNames(t, s, west); !cmp.Equal(names, []string{"team/app"}) {
		t.Errorf("the destination has the repositories %q", names)
	}
	if n := blobCount(t, blobs); n != stored {
		t.Errorf("%d blobs, %d before", n, stored)
	}
	_, err := s.Image(alice(t), nameIn(t, west, "team/app"), registry.Ref{Digest: before.Digest})
	wantCode(t, "an image of before", err, registry.ImageNotFound)
}

// manifestOf reads a manifest.
func manifestOf(t testing.TB, s *registry.Service, n registry.Name, d digest.Digest) []byte {
	t.Helper()
	_, body, err := s.Manifest(alice(t), n, registry.Ref{Digest: d})
	must(t, err)
	return body
}

func repositoryNames(t testing.TB, s *registry.Service, id registry.ID) (names []string) {
	t.Helper()
	page, _, err := s.Repositories(alice(t), id, "", 1000, registry.Sight{})
	must(t, err)
	for _, r := range page {
		names = append(names, r.Name.String())
	}
	return names
}

// What is done twice, as after a kill whose outcome was lost, is seen once.
func TestReplicasComeOnce(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	img := addImage(t, s, n, "1", "one")
	r := waiting(t, s)[0]
	for range 3 {
		must(t, s.ReceiveReplica(t.Context(), r))
		must(t, s.FailReplica(t.Context(), r, registry.FailedByFault, "too late"))
	}
	sameStates(t, "state", states(t, s, n, tagged(t, "1")), map[registry.ID]string{west: "COMPLETE"})
	want := []registry.Event{{
		Kind: registry.ImageReplicated, Repository: nameIn(t, west, "team/app"), Digest: img.Digest, MediaType: img.MediaType, Tag: tag(t, "1"),
		Detail: json.RawMessage(`{"source-account":"000000000000","source-region":"us-east-1",` +
			`"destination-account":"000000000000","destination-region":"us-west-2","result":"SUCCESS"}`),
	}}
	if diff := cmp.Diff(want, replicationEvents(t, s), asTheyAre, withoutPlace); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// withoutPlace leaves out of events when and in which repository they were.
var withoutPlace = cmpopts.IgnoreFields(registry.Event{}, "Sequence", "At", "RepositoryID")

// replicationEvents are those of images that came to a destination or did not.
func replicationEvents(t *testing.T, s *registry.Service) (list []registry.Event) {
	t.Helper()
	for _, e := range readEvents(t, s, 100) {
		if e.Kind == registry.ImageReplicated || e.Kind == registry.ReplicationFailed {
			list = append(list, e)
		}
	}
	return list
}

func TestNoChainedReplication(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	east := registry.ID{Account: here.Account, Region: "eu-west-1"}
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	must(t, s.PutReplication(alice(t), west, bringing(nil, east, here)))
	addImage(t, s, n, "1", "one")
	bringAll(t, s)
	sameStates(t, "at the destination", states(t, s, nameIn(t, west, "team/app"), tagged(t, "1")), nil)
	if names := repositoryNames(t, s, east); names != nil {
		t.Errorf("the third registry has the repositories %q", names)
	}
}

func TestReplicationOfMovingTags(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	one := addImage(t, s, n, "latest", "one")
	two := addImage(t, s, n, "latest", "two")
	put(t, s, n, "latest", manifestOf(t, s, n, one.Digest))
	put(t, s, n, "2", manifestOf(t, s, n, two.Digest))
	_, err := s.Untag(alice(t), n, tag(t, "2"), registry.KeepImage, nil) // is not replicated
	must(t, err)
	bringAll(t, s)
	want := map[string]digest.Digest{"latest": one.Digest, "2": two.Digest}
	if diff := cmp.Diff(want, tagNames(t, s, nameIn(t, west, "team/app")), asTheyAre); diff != "" {
		t.Errorf("tags at the destination (-want +got):\n%s", diff)
	}
}

func TestReplicationIntoImmutableTags(t *testing.T) {
	s := open(t, registry.Options{})
	n, there := create(t, s, "team/app"), nameIn(t, west, "team/app")
	_, err := s.CreateRepository(alice(t), there, registry.Settings{TagRule: registry.TagRule{Mutability: registry.Immutable}})
	must(t, err)
	kept := addImage(t, s, there, "1", "kept")
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	img := addImage(t, s, n, "1", "one")
	put(t, s, n, "2", manifestOf(t, s, n, img.Digest))
	bringAll(t, s)
	sameStates(t, "state", states(t, s, n, tagged(t, "1")), map[registry.ID]string{west: "COMPLETE"})
	sameImage(t, s, there, kept, "kept", "1")
	sameImage(t, s, there, img, "one", "2")
	if list := replicationEvents(t, s); len(list) != 2 || !list[0].Tag.IsZero() || list[1].Tag != tag(t, "2") {
		t.Errorf("events %+v, want one without a tag and one with the second", list)
	}
}

// Children that were there before the rules come before their list.
func TestReplicationOfLists(t *testing.T) {
	s := open(t, registry.Options{})
	n, there := create(t, s, "team/app"), nameIn(t, west, "team/app")
	one, two := addImage(t, s, n, "", "one"), addImage(t, s, n, "two", "two")
	inner := put(t, s, n, "", indexOf(t, two))
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	list := put(t, s, n, "all", indexOf(t, one, inner))
	signature := put(t, s, n, "", imageOf(t, v1.Manifest{
		Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, "signed")}, ArtifactType: "application/signature",
		Subject: &v1.Descriptor{MediaType: list.MediaType, Digest: list.Digest.OCI(), Size: list.ManifestSize},
	}))
	bringAll(t, s)
	sameImage(t, s, there, one, "one")
	sameImage(t, s, there, two, "two") // the list needs the image, not its tag
	sameImage(t, s, there, inner, "")
	sameImage(t, s, there, list, "", "all")
	sameImage(t, s, there, signature, "signed")
	for _, img := range []registry.Image{one, two, inner, list, signature} {
		sameStates(t, "state", states(t, s, n, registry.Ref{Digest: img.Digest}), map[registry.ID]string{west: "COMPLETE"})
	}
	order := []digest.Digest{}
	for _, e := range replicationEvents(t, s) {
		order = append(order, e.Digest)
	}
	if len(order) != 5 || order[4] != list.Digest || order[3] != inner.Digest {
		t.Errorf("images came in the order %v, want the list %s last", order, list.Digest)
	}
}

func TestReplicationOfSparseLists(t *testing.T) {
	s := open(t, registry.Options{SparseIndexes: true})
	n, there := create(t, s, "team/app"), nameIn(t, west, "team/app")
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	one := addImage(t, s, n, "", "one")
	absent := registry.Image{MediaType: v1.MediaTypeImageManifest, Digest: sha256Of([]byte("absent")), ManifestSize: 6}
	list := put(t, s, n, "all", indexOf(t, one, absent))
	bringAll(t, s)
	sameImage(t, s, there, list, "", "all")
}

func TestReplicationByTemplate(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	_, err := s.CreateTemplate(alice(t), west, registry.Template{Prefix: "team", AppliedFor: []registry.Cause{registry.ForReplication},
		Settings: registry.Settings{TagRule: registry.TagRule{Mutability: registry.Immutable}, ResourceTags: map[string]string{"by": "template"}}})
	must(t, err)
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	addImage(t, s, n, "1", "one")
	bringAll(t, s)
	repo, err := s.Repository(alice(t), nameIn(t, west, "team/app"))
	must(t, err)
	if repo.TagRule.Mutability != registry.Immutable || repo.ResourceTags["by"] != "template" {
		t.Errorf("the repository is made as %+v", repo.Settings)
	}
}

// What is gone at the source is not brought, and nothing waits for it.
func TestReplicationOfWhatIsGone(t *testing.T) {
	for what, remove := range map[string]func(*registry.Service, registry.Name, registry.Ref) error{
		"image": func(s *registry.Service, n registry.Name, ref registry.Ref) error {
			_, err := s.DeleteImage(alice(t), n, ref, nil)
			return err
		},
		"repository": func(s *registry.Service, n registry.Name, _ registry.Ref) error {
			_, err := s.DeleteRepository(alice(t), n, true)
			return err
		},
		"repository, cleared away": func(s *registry.Service, n registry.Name, _ registry.Ref) error {
			if _, err := s.DeleteRepository(alice(t), n, true); err != nil {
				return err
			}
			return registry.Tidy(alice(t), s)
		},
	} {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
		img := addImage(t, s, n, "1", "one")
		r := waiting(t, s)[0]
		must(t, remove(s, n, registry.Ref{Digest: img.Digest}))
		must(t, s.FailReplica(t.Context(), r, registry.FailedByFault, "gone"))
		must(t, s.ReceiveReplica(t.Context(), r))
		bringAll(t, s)
		if list := replicationEvents(t, s); list != nil {
			t.Errorf("%s: events %+v", what, list)
		}
		if what == "image" {
			put(t, s, n, "2", imageOf(t, v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, "one")}}))
			bringAll(t, s)
			sameImage(t, s, nameIn(t, west, "team/app"), img, "one", "2")
		}
	}
}

// What comes back from the archive is replicated with its tags and with what refers
// to it, and brings it back at the destination; going into the archive is not
// replicated.
func TestReplicationOfWhatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{RestoreTime: time.Minute})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		n, there := create(t, s, "team/app"), nameIn(t, west, "team/app")
		img := addImage(t, s, n, "1", "one")
		put(t, s, n, "2", manifestOf(t, s, n, img.Digest))
		body := manifestOf(t, s, n, img.Digest)
		signature := referrerOf(t, s, n, img, "signed")
		ref := registry.Ref{Digest: img.Digest}
		setClass(t, s, n, img, registry.ArchiveClass)
		must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
		must(t, s.PutReplication(alice(t), west, bringing(nil, registry.ID{Account: here.Account, Region: "eu-west-1"})))

		setClass(t, s, n, img, registry.StandardClass)
		sameStates(t, "on its way back", states(t, s, n, ref), nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		bringAll(t, s)
		sameImage(t, s, there, img, "one", "1", "2")
		sameImage(t, s, there, signature, "signed")

		setClass(t, s, n, img, registry.ArchiveClass)
		bringAll(t, s)
		if got := statusOf(t, s, there, img); got != registry.Active {
			t.Errorf("the copy of an archived image is %s", got)
		}
		setClass(t, s, there, img, registry.ArchiveClass)
		put(t, s, n, "1", body)
		bringAll(t, s)
		if got := statusOf(t, s, there, img); got != registry.Active {
			t.Errorf("the copy of an image that came back is %s", got)
		}
		sameStates(t, "copy", states(t, s, there, ref), nil)
		stop()
		must(t, <-done)
	})
}

// A list whose images do not come fails, and says so.
func TestReplicationOfListsWithoutTheirImages(t *testing.T) {
	s := open(t, registry.Options{})
	n, there := create(t, s, "team/app"), nameIn(t, west, "team/app")
	_, err := s.CreateRepository(alice(t), there, registry.Settings{})
	must(t, err)
	one := addImage(t, s, n, "", "one")
	s.Configure(registry.Options{Limits: registry.Limits{Images: 2}})
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	put(t, s, n, "all", indexOf(t, one))
	s.Configure(registry.Options{Limits: registry.Limits{Images: 1}})
	addImage(t, s, there, "", "in the way")
	bringAll(t, s)
	sameStates(t, "list", states(t, s, n, tagged(t, "all")), map[registry.ID]string{west: "FAILEDReferencedImagesNotFound"})
	sameStates(t, "image", states(t, s, n, registry.Ref{Digest: one.Digest}), map[registry.ID]string{west: "FAILEDLimitExceeded"})
}

// A copy is the destination's own: it stays when the source goes, bytes and all.
func TestCopiesStay(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	img := addImage(t, s, n, "1", "one")
	bringAll(t, s)
	_, err := s.DeleteRepository(alice(t), n, true)
	must(t, err)
	must(t, registry.Tidy(alice(t), s))
	sameImage(t, s, nameIn(t, west, "team/app"), img, "one", "1")
}
