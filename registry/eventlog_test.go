package registry_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
)

func TestEvents(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, registry.Options{Now: func() time.Time { return now }})
	n := create(t, s, "team/app")
	must(t, s.TagRepository(by(t, "bob"), n, map[string]string{"a": "b"}))
	l := addLayer(t, s, n, "{}")
	one, other := imageOf(t, v1.Manifest{Config: l}), indexOf(t)
	d, d2 := sha256Of(one), sha256Of(other)
	put(t, s, n, "", one)
	put(t, s, n, "a", one)
	put(t, s, n, "a", one) // says nothing
	put(t, s, n, "b", one)
	put(t, s, n, "a", other)
	_, err := s.Untag(by(t, "bob"), n, tag(t, "a"), registry.KeepImage, nil)
	must(t, err)
	put(t, s, n, "c", one)
	_, err = s.DeleteImage(by(t, "bob"), n, registry.Ref{Digest: d}, nil)
	must(t, err)
	_, err = s.DeleteImage(by(t, "bob"), n, registry.Ref{Digest: d2}, nil)
	must(t, err)
	must(t, s.DeleteLayer(alice(t), n, sha256Of([]byte("{}"))))
	_, err = s.DeleteRepository(t.Context(), n, false) // the server itself
	must(t, err)

	const image, index = v1.MediaTypeImageManifest, v1.MediaTypeImageIndex
	want := []registry.Event{
		{Kind: registry.RepositoryCreated, Actor: arn("alice")},
		{Kind: registry.RepositoryChanged, Actor: arn("bob")},
		{Kind: registry.ImagePushed, Actor: arn("alice"), Digest: d, MediaType: image},
		{Kind: registry.ImagePushed, Actor: arn("alice"), Digest: d, MediaType: image, Tag: tag(t, "a")},
		{Kind: registry.ImagePushed, Actor: arn("alice"), Digest: d, MediaType: image, Tag: tag(t, "b")},
		{Kind: registry.ImagePushed, Actor: arn("alice"), Digest: d2, MediaType: index, Tag: tag(t, "a")},
		{Kind: registry.TagRemoved, Actor: arn("bob"), Digest: d2, MediaType: index, Tag: tag(t, "a")},
		{Kind: registry.ImagePushed, Actor: arn("alice"), Digest: d, MediaType: image, Tag: tag(t, "c")},
		{Kind: registry.ImageDeleted, Actor: arn("bob"), Digest: d, MediaType: image, Tag: tag(t, "b")},
		{Kind: registry.ImageDeleted, Actor: arn("bob"), Digest: d, MediaType: image, Tag: tag(t, "c")},
		{Kind: registry.ImageDeleted, Actor: arn("bob"), Digest: d2, MediaType: index},
		{Kind: registry.LayerDeleted, Actor: arn("alice"), Digest: sha256Of([]byte("{}"))},
		{Kind: registry.RepositoryDeleted},
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		got := readEvents(t, s, limit)
		if len(got) == 0 || got[0].RepositoryID == "" {
			t.Fatalf("pages of %d: %+v", limit, got)
		}
		for i := range want {
			want[i].Sequence, want[i].At, want[i].Repository, want[i].RepositoryID = uint64(i+1), now, n, got[0].RepositoryID
		}
		if diff := cmp.Diff(want, got, asTheyAre); diff != "" {
			t.Errorf("events in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

func readEvents(t *testing.T, s *registry.Service, limit int) (all []registry.Event) {
	t.Helper()
	for after := uint64(0); ; {
		page, err := s.Events(alice(t), after, limit)
		must(t, err)
		if len(page) == 0 {
			return all
		}
		all, after = append(all, page...), page[len(page)-1].Sequence
	}
}

func TestRefusalsAreNoEvents(t *testing.T) {
	s := open(t, registry.Options{})
	n := createWith(t, s, "team/app", registry.Settings{TagRule: registry.TagRule{Mutability: registry.Immutable}})
	img := addImage(t, s, n, "1", "one")
	put(t, s, n, "all", indexOf(t, img))
	before := len(readEvents(t, s, 100))
	refused := map[string]error{"create": nil, "move a tag": nil, "delete a child": nil, "delete a used layer": nil, "delete all": nil}
	_, refused["create"] = s.CreateRepository(alice(t), n, registry.Settings{})
	_, refused["move a tag"] = s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "1")}, Body: indexOf(t)})
	_, refused["delete a child"] = s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
	refused["delete a used layer"] = s.DeleteLayer(alice(t), n, sha256Of([]byte("one")))
	_, refused["delete all"] = s.DeleteRepository(alice(t), n, false)
	for what, err := range refused {
		if registry.CodeOf(err) == "" {
			t.Errorf("%s: %v, want a refusal", what, err)
		}
	}
	if got := readEvents(t, s, 100); len(got) != before {
		t.Errorf("refusals left the events %+v", got[before:])
	}
}

func TestEventsOfRepositoriesOfOneName(t *testing.T) {
	s := open(t, registry.Options{})
	ids := map[string]bool{}
	for range 3 {
		n := create(t, s, "team/app")
		_, err := s.DeleteRepository(alice(t), n, false)
		must(t, err)
	}
	for _, e := range readEvents(t, s, 100) {
		ids[e.RepositoryID] = true
	}
	if len(ids) != 3 {
		t.Errorf("three repositories had the ids %v", fmt.Sprint(ids))
	}
}

// TestIDsOfRepositoriesAreInTheirOrder: what was made later stands behind in every
// table, and what was made at the same time has an id of its own.
func TestIDsOfRepositoriesAreInTheirOrder(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, registry.Options{Now: func() time.Time { return at }})
	create(t, s, "team/0")
	create(t, s, "team/1")
	for i := range 20 {
		at = at.Add(time.Duration(1+i*i*i) * time.Millisecond)
		create(t, s, fmt.Sprint("team/later", i))
	}
	list := readEvents(t, s, 100)
	if list[0].RepositoryID == list[1].RepositoryID {
		t.Errorf("two repositories of the same moment have the id %s", list[0].RepositoryID)
	}
	for i, e := range list[1 : len(list)-1] {
		if next := list[i+2]; e.RepositoryID >= next.RepositoryID || next.RepositoryID[14] != '7' {
			t.Errorf("%s has the id %s, %s after it %s", e.Repository, e.RepositoryID, next.Repository, next.RepositoryID)
		}
	}
}
