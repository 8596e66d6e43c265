package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// bySelf makes many images that differ in nothing but a number, under tags.
func bySelf(t *testing.T, s *registry.Service, path string, many int) registry.Name {
	t.Helper()
	n := create(t, s, path)
	addLayer(t, s, n, "{}")
	for i := range many {
		config := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2}`, sha256Of([]byte("{}")))
		body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[],"annotations":{"n":"%d"}}`, config, i)
		put(t, s, n, fmt.Sprint("v", i), []byte(body))
	}
	return n
}

// finite is an index that takes so many updates and no more.
type finite struct {
	storage.Index
	left int
}

var errFinite = errors.New("no more updates")

func (l *finite) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if l.left--; l.left < 0 {
		return errFinite
	}
	return l.Index.Update(ctx, fn)
}

// tagsWaiting are the tags that wait for a destination, each with how often it does.
func tagsWaiting(t *testing.T, s *registry.Service) map[string]int {
	t.Helper()
	all := map[string]int{}
	for {
		next := waiting(t, s)
		if len(next) == 0 {
			return all
		}
		for _, r := range next {
			all[r.Source.String()+":"+r.Tag.String()]++
			must(t, s.SettleReplica(t.Context(), r))
		}
	}
}

// What was there before a rule is planned once for each change of what goes, in pages
// that a stop in their midst does not lose, and without what came by replication.
func TestBackfill(t *testing.T) {
	d := registry.Destination{To: far, Remote: true, Backfill: true}
	index, blobs := memory.NewIndex(), memory.NewBlobs()
	s := open(t, registry.Options{Index: index, Blobs: blobs, Destinations: []registry.Destination{d}})
	n := bySelf(t, s, "team/app", 250)
	bySelf(t, s, "other/app", 3)
	body := manifestOf(t, s, n, sha256OfTag(t, s, n, "v0"))
	came := registry.Origin{Server: "another", At: time.Now()}
	_, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "came")}, Body: body, Origin: &came})
	must(t, err)
	must(t, s.PutReplication(alice(t), here, bringing([]string{"team/"}, far)))
	select {
	case <-s.RulesChanged():
	default:
		t.Error("nothing tells that rules were set")
	}
	if due, err := s.BackfillDue(t.Context()); err != nil || !due {
		t.Errorf("there is nothing to plan (%v)", err)
	}
	broken := openUnchecked(t, registry.Options{Index: &finite{index, 1}, Blobs: blobs, Destinations: []registry.Destination{d}})
	if err := broken.Backfill(t.Context()); !errors.Is(err, errFinite) {
		t.Fatalf("it ended with %v", err)
	}
	must(t, s.Backfill(t.Context()))
	got := tagsWaiting(t, s)
	for i := range 250 {
		if k := fmt.Sprintf("team/app:v%d", i); got[k] != 1 {
			t.Errorf("%s was planned %d times", k, got[k])
		}
	}
	if len(got) != 250 {
		t.Errorf("%d tags were planned, want 250", len(got))
	}
	if due, err := s.BackfillDue(t.Context()); err != nil || due {
		t.Errorf("there is more to plan (%v)", err)
	}
	must(t, s.Backfill(t.Context()))
	if got := tagsWaiting(t, s); len(got) != 0 {
		t.Errorf("%d tags were planned again", len(got))
	}
	must(t, s.PutReplication(alice(t), here, bringing([]string{"other/"}, far)))
	must(t, s.Backfill(t.Context()))
	if got := tagsWaiting(t, s); len(got) != 3 || got["other/app:v1"] != 1 {
		t.Errorf("by another rule were planned %v", got)
	}
}

func sha256OfTag(t *testing.T, s *registry.Service, n registry.Name, name string) (d digest.Digest) {
	t.Helper()
	img, err := s.DescribeImage(alice(t), n, tagged(t, name))
	must(t, err)
	return img.Digest
}

// What is not known to have come is planned, and what waits is not planned twice.
func TestPlanReplicas(t *testing.T) {
	s := open(t, registry.Options{Destinations: []registry.Destination{{To: far, Remote: true}}})
	before := bySelf(t, s, "team/before", 3)
	must(t, s.PutReplication(alice(t), here, bringing(nil, far)))
	bySelf(t, s, "team/app", 3)
	first := waiting(t, s)
	must(t, s.FailReplica(t.Context(), first[0], registry.FailedByPolicy, "no"))
	plan := func(only string) int {
		t.Helper()
		planned, err := s.PlanReplicas(t.Context(), here, only, far)
		must(t, err)
		return planned
	}
	if n := plan("team/app"); n != 1 {
		t.Errorf("%d were planned of a repository of which one has failed", n)
	}
	if n := plan(""); n != 3 {
		t.Errorf("%d were planned that had not been, want 3", n)
	}
	if got := tagsWaiting(t, s); len(got) != 6 {
		t.Errorf("there wait %v", got)
	}
	if n := plan(""); n != 0 {
		t.Errorf("%d were planned though all have come", n)
	}
	sameStates(t, "in the end", states(t, s, before, tagged(t, "v1")), map[registry.ID]string{far: "COMPLETE"})
	_, err := s.PlanReplicas(t.Context(), here, "team/none", far)
	wantCode(t, "a repository that is not there", err, registry.RepositoryNotFound)
}

// Only tags that are to go do, and what is about an image that goes.
func TestTagsThatGo(t *testing.T) {
	s := open(t, registry.Options{Destinations: []registry.Destination{{To: far, Remote: true, Tags: []string{"v*", "latest"}}}})
	n := create(t, s, "team/app")
	must(t, s.PutReplication(alice(t), here, bringing(nil, far)))
	img := addImage(t, s, n, "v1", "one")
	addImage(t, s, n, "dev", "two")
	body := manifestOf(t, s, n, img.Digest)
	put(t, s, n, "also", body)
	put(t, s, n, "latest", body)
	signature := fmt.Sprintf("sha256-%s.sig", img.Digest.String()[len("sha256:"):])
	put(t, s, n, signature, manifestOf(t, s, n, sha256OfTag(t, s, n, "dev")))
	want := map[string]int{"team/app:v1": 1, "team/app:latest": 1, "team/app:" + signature: 1}
	if got := tagsWaiting(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("there go %v, want %v", got, want)
	}
}

// What was deleted long ago is forgotten, and what is there is not.
func TestSweepStamps(t *testing.T) {
	now := time.Now()
	s := open(t, registry.Options{Now: func() time.Time { return now }, Destinations: []registry.Destination{{To: far, Remote: true, Deletes: true}}})
	must(t, s.PutReplication(alice(t), here, bringing(nil, far)))
	n := bySelf(t, s, "team/app", 150)
	for i := range 120 {
		_, err := s.DeleteImage(alice(t), n, tagged(t, fmt.Sprint("v", i)), nil)
		must(t, err)
	}
	late := registry.Origin{Server: "another", At: now.Add(-time.Hour)}
	body := manifestOf(t, s, n, sha256OfTag(t, s, n, "v140"))
	arrive := func(name string) bool {
		t.Helper()
		_, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, name)}, Body: body, Origin: &late})
		must(t, err)
		_, err = s.DescribeImage(alice(t), n, tagged(t, name))
		return err == nil && sha256OfTag(t, s, n, name) == sha256Of(body)
	}
	must(t, s.SweepStamps(t.Context()))
	if arrive("v1") || arrive("v130") {
		t.Error("what is older than a deletion or a move has come back")
	}
	now = now.Add(15 * 24 * time.Hour)
	must(t, s.SweepStamps(t.Context()))
	if !arrive("v1") || arrive("v130") {
		t.Error("a deletion is known for ever, or a tag that is there is not")
	}
}

// A destination of this server is told of deletions too, if that is wanted.
func TestDeletesHere(t *testing.T) {
	s := open(t, registry.Options{Destinations: []registry.Destination{{To: west, Deletes: true}}})
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	n := create(t, s, "team/app")
	one, two := addImage(t, s, n, "1", "one"), addImage(t, s, n, "2", "two")
	put(t, s, n, "also", manifestOf(t, s, n, one.Digest))
	bringAll(t, s)
	_, err := s.Untag(alice(t), n, tag(t, "also"), registry.KeepImage, nil)
	must(t, err)
	_, err = s.DeleteImage(alice(t), n, tagged(t, "2"), nil)
	must(t, err)
	bringAll(t, s)
	there := nameIn(t, west, "team/app")
	sameImage(t, s, there, one, "one", "1")
	_, err = s.DescribeImage(alice(t), there, registry.Ref{Digest: two.Digest})
	wantCode(t, "an image that was deleted", err, registry.ImageNotFound)
}
