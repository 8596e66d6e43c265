package registry_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

// plan reads a whole plan, each entry as its kind, where it is, its bytes and holders, in order.
func plan(t testing.TB, s *registry.Service) (list []string) {
	t.Helper()
	var from registry.PlanPlace
	for more := true; more; {
		var part []registry.Doomed
		var err error
		part, from, more, err = s.PlanCollection(t.Context(), from)
		must(t, err)
		for _, d := range part {
			if d.Why == "" || d.Since.IsZero() {
				t.Errorf("a plan without a reason or a time: %+v", d)
			}
			list = append(list, fmt.Sprintf("%s in %q, %d bytes, %d holders: %s", d.Kind, d.Repository, d.Bytes, d.Holders, d.Why))
		}
	}
	slices.Sort(list)
	return list
}

// TestPlanIsWhatCollectionTakes has something of each kind in a store: a plan names it
// and changes nothing, and after the collection there is nothing to plan.
func TestPlanIsWhatCollectionTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs(), TrashWindow: 24 * time.Hour}
		before := open(t, o)
		n, other := create(t, before, "team/app"), create(t, before, "team/other")
		addImage(t, before, n, "1", "used")
		addImage(t, before, n, "2", "trashed")
		addLayer(t, before, n, "loose")
		addLayer(t, before, other, "loose")
		_, err := before.DeleteImage(alice(t), n, tagged(t, "2"), nil)
		must(t, err)
		send(t, before, n, start(t, before, n), "lost") // and dies before a checkpoint
		u, err := before.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
		must(t, err)
		_, err = before.AppendUpload(alice(t), n, u.ID, whole(0, "forgotten"))
		must(t, err)
		addLayer(t, before, n, "given up")
		must(t, before.DeleteLayer(alice(t), n, sha256Of([]byte("given up"))))

		s := open(t, o) // without the janitor
		time.Sleep(25 * time.Hour)
		want := []string{
			`condemned in "", 2 bytes, 0 holders: it was given up, and its bytes are to be deleted`, // a config that was there
			`condemned in "", 5 bytes, 0 holders: it was given up, and its bytes are to be deleted`, // "loose", the second time
			`condemned in "", 8 bytes, 0 holders: it was given up, and its bytes are to be deleted`,
			`layer in "team/app", 5 bytes, 2 holders: no image uses it`,
			`layer in "team/other", 5 bytes, 2 holders: no image uses it`,
			`orphan in "", 4 bytes, 0 holders: no row owns it`,
			`trash in "team/app", 401 bytes, 0 holders: it has lain in the trash for its time`,
			`upload in "", 9 bytes, 0 holders: it has expired`,
		}
		for range 2 {
			if diff := cmp.Diff(want, plan(t, s)); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
		}
		if got := collect(t, s); got.Layers != 2 || got.Orphans != 1 || got.Uploads != 1 {
			t.Errorf("the pass took %+v", got)
		}
		if got := holds(t, s, n, "used", "{}", "trashed", "loose"); !slices.Equal(got, []string{"used", "{}"}) {
			t.Errorf("the repository has %q", got)
		}
		if got := plan(t, s); got != nil {
			t.Errorf("after the pass the plan is %q", got)
		}
		if got := blobCount(t, o.Blobs); got != 2 {
			t.Errorf("the store keeps %d blobs, want the two of the image", got)
		}
	})
}

// TestPlanInParts goes from part to part, and begins at no other place.
func TestPlanInParts(t *testing.T) {
	const layers = 2_100 // more than a part
	s := openUnchecked(t, registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()})
	n := create(t, s, "team/app")
	addLayers(t, s, n, layers)
	part, next, more, err := s.PlanCollection(t.Context(), registry.PlanPlace{})
	must(t, err)
	if len(part) != 2_000 || !more || len(next.After) == 0 {
		t.Errorf("the first part has %d entries and ends at %q", len(part), next)
	}
	if got := len(plan(t, s)); got != layers {
		t.Errorf("all parts have %d entries, want %d", got, layers)
	}
	_, _, _, err = s.PlanCollection(t.Context(), registry.PlanPlace{Stage: "elsewhere"})
	wantCode(t, "a plan from nowhere", err, registry.PageInvalid)
}

// TestDeletedRepositoriesArePlanned has a repository deleted whose layers nobody has
// cleared away yet.
func TestDeletedRepositoriesArePlanned(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addImage(t, s, n, "1", "used")
	_, err := s.DeleteRepository(alice(t), n, true)
	must(t, err)
	want := []string{
		`layer in "team/app", 2 bytes, 1 holders: its repository was deleted`,
		`layer in "team/app", 4 bytes, 1 holders: its repository was deleted`,
	}
	if diff := cmp.Diff(want, plan(t, s)); diff != "" {
		t.Errorf("the plan (-want +got):\n%s", diff)
	}
	collect(t, s)
	if got := plan(t, s); got != nil {
		t.Errorf("after the pass the plan is %q", got)
	}
}
