package registry_test

import (
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

func TestProtection(t *testing.T) {
	s := open(t, registry.Options{Protected: []registry.Protection{
		{Repositories: []string{"team/*"}, Tags: []string{"release-*", "prod"}},
		{Repositories: []string{"whole"}},
		{Repositories: []string{"*"}, Account: "999999999999"},
		{Repositories: []string{"*"}, Region: "eu-west-1"},
	}})
	n, whole, free := create(t, s, "team/app"), create(t, s, "whole"), create(t, s, "free")
	released := addImage(t, s, n, "release-1", "released")
	put(t, s, n, "also", manifestOf(t, s, n, released.Digest))
	other := addImage(t, s, n, "other", "other")
	kept := addImage(t, s, whole, "1", "kept")
	addImage(t, s, free, "prod", "free")

	deletes := func(n registry.Name, ref registry.Ref) error {
		_, err := s.DeleteImage(alice(t), n, ref, nil)
		return err
	}
	untags := func(n registry.Name, tg string) error {
		_, err := s.Untag(alice(t), n, tag(t, tg), registry.RemoveLast, nil)
		return err
	}
	e := wantCode(t, "delete an image with a protected tag", deletes(n, registry.Ref{Digest: released.Digest}), registry.Protected)
	if e.Ref.Tag.String() != "release-1" || e.Name != n {
		t.Errorf("the refusal is about %v of %v", e.Ref, e.Name)
	}
	wantCode(t, "delete it by another tag", deletes(n, tagged(t, "also")), registry.Protected)
	wantCode(t, "remove a protected tag", untags(n, "release-1"), registry.Protected)
	wantCode(t, "delete an image of a protected repository", deletes(whole, registry.Ref{Digest: kept.Digest}), registry.Protected)
	wantCode(t, "remove a tag of a protected repository", untags(whole, "1"), registry.Protected)
	for _, n := range []registry.Name{n, whole} {
		_, err := s.DeleteRepository(alice(t), n, true)
		wantCode(t, "delete a protected repository", err, registry.Protected)
	}

	must(t, untags(n, "also"))
	must(t, deletes(n, registry.Ref{Digest: other.Digest}))
	if _, err := s.DeleteRepository(alice(t), free, true); err != nil {
		t.Error(err)
	}
	// A tag that moves leaves its image, which is protected by it no more.
	addImage(t, s, n, "release-1", "newer")
	must(t, deletes(n, registry.Ref{Digest: released.Digest}))
}

func TestProtectedImagesDoNotExpire(t *testing.T) {
	c := newClock()
	s := open(t, registry.Options{Now: c.now, Protected: []registry.Protection{{Repositories: []string{"app"}, Tags: []string{"v1", "v2"}}}})
	n := create(t, s, "app")
	for _, tg := range []string{"v1", "v2", "v3", "v4"} {
		addImage(t, s, n, tg, tg)
		c.pass(time.Minute)
	}
	trial, err := s.TryLifecycle(alice(t), n, rules(rule(1, "any", "", moreThan(1), expire)))
	must(t, err)
	keeps := 0
	for _, d := range trial.Decisions {
		if d.Kept == lifecycle.Protected {
			keeps++
		}
	}
	if len(trial.Decisions) != 3 || keeps != 2 {
		t.Errorf("decisions %+v", trial.Decisions)
	}
	_, err = s.PutLifecyclePolicy(alice(t), n, rules(rule(1, "any", "", moreThan(1), expire)))
	must(t, err)
	c.pass(2 * time.Hour)
	must(t, s.RunLifecycle(t.Context()))
	if named := tagNames(t, s, n); len(named) != 3 || !named["v3"].IsZero() {
		t.Errorf("left are %v", named)
	}
}
