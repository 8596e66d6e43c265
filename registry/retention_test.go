package registry_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

const day = 24 * time.Hour

// history fills a repository with images of several ages, by name: the order of
// names is that of their ages, the oldest first.
func history(t testing.TB, s *registry.Service, n registry.Name) map[string]registry.Image {
	t.Helper()
	all := map[string]registry.Image{}
	add := func(key, tagName string) {
		all[key] = addImage(t, s, n, tagName, key)
		time.Sleep(day)
	}
	add("a old beta", "beta-1")
	add("b old prod", "prod-1")
	add("c child", "")
	all["d index"] = put(t, s, n, "multi", indexOf(t, all["c child"]))
	all["e signature"] = referrerOf(t, s, n, all["b old prod"], "signature of b")
	time.Sleep(day)
	add("f untagged", "")
	add("g beta", "beta-2")
	add("h prod", "prod-2")
	return all
}

// threeRules expires old prod images, archives old beta ones, and expires what has no
// tag.
var threeRules = rules(
	rule(1, "tagged", `"tagPrefixList": ["prod"],`, moreThan(1), expire),
	rule(5, "tagged", `"tagPatternList": ["beta*"],`, moreThan(1), archive),
	rule(7, "untagged", "", sincePushed(1), expire),
)

// left are the names of the images that are there, with their status if it is not
// the usual one.
func left(t testing.TB, s *registry.Service, n registry.Name, all map[string]registry.Image) (names []string) {
	t.Helper()
	page, _, err := s.Images(alice(t), n, registry.ImageFilter{Status: registry.AnyStatus}, "", 1000)
	must(t, err)
	for _, img := range page {
		for key, was := range all {
			if was.Digest == img.Digest {
				if img.Status != registry.Active {
					key += " " + string(img.Status)
				}
				names = append(names, key)
			}
		}
	}
	slices.Sort(names)
	return names
}

// audits are what the events of a kind say: what was done, and what was not.
func audits(t testing.TB, s *registry.Service, kind registry.EventKind, all map[string]registry.Image) (done, failed []string) {
	t.Helper()
	page, err := s.Events(alice(t), 0, 100_000)
	must(t, err)
	key := func(a registry.LifecycleAction) string {
		for key, img := range all {
			if img.Digest == a.Image.Digest {
				return fmt.Sprintf("%s %s by %d", key, strings.ToLower(string(a.Action)), a.Rule)
			}
		}
		return a.Image.Digest.String()
	}
	for _, e := range page {
		if e.Kind != kind {
			continue
		}
		var d registry.LifecycleDetail
		must(t, json.Unmarshal(e.Detail, &d))
		if e.Actor != "" || d.RepositoryName != e.Repository.String() || len(d.Actions)+len(d.Failures) > 10 {
			t.Errorf("event %+v: %s", e, e.Detail)
		}
		for _, a := range d.Actions {
			done = append(done, key(a))
		}
		for _, f := range d.Failures {
			failed = append(failed, key(f.LifecycleAction)+": "+f.Code)
		}
	}
	return done, failed
}

func TestRunLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{EventRetention: 1000 * day})
		n := createWith(t, s, "team/app", registry.Settings{TagRule: registry.TagRule{Mutability: registry.Immutable}})
		all := history(t, s, n)
		_, err := s.PutLifecyclePolicy(alice(t), n, threeRules)
		must(t, err)
		everything := left(t, s, n, all)
		must(t, s.RunLifecycle(alice(t)))
		if diff := cmp.Diff(everything, left(t, s, n, all)); diff != "" {
			t.Errorf("a new policy acts at once (-want +got):\n%s", diff)
		}
		time.Sleep(time.Hour)
		must(t, s.RunLifecycle(alice(t)))
		want := []string{"a old beta ARCHIVED", "c child", "d index", "g beta", "h prod"}
		if diff := cmp.Diff(want, left(t, s, n, all)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		done, failed := audits(t, s, registry.LifecycleRun, all)
		if diff := cmp.Diff([]string{"b old prod expire by 1", "a old beta transition by 5", "f untagged expire by 7", "e signature expire by 1"}, done); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"c child expire by 7: ImageReferencedByManifestList"}, failed); diff != "" {
			t.Errorf("not done (-want +got):\n%s", diff)
		}
		p, err := s.LifecyclePolicy(alice(t), n)
		must(t, err)
		if !p.EvaluatedAt.Equal(time.Now()) || p.Version != 1 {
			t.Errorf("policy %+v, want it evaluated now, %v", p, time.Now())
		}
		checkImageEvents(t, s, all)
	})
}

// checkImageEvents: what the server did to images are events of the usual kinds.
func checkImageEvents(t *testing.T, s *registry.Service, all map[string]registry.Image) {
	t.Helper()
	page, err := s.Events(alice(t), 0, 1000)
	must(t, err)
	var got []string
	for _, e := range page {
		if e.Actor == "" && e.Kind != registry.LifecycleRun {
			got = append(got, fmt.Sprint(e.Kind, " ", e.Tag))
		}
	}
	want := []string{"image-deleted prod-1", "storage-class-changed beta-1", "image-deleted ", "image-deleted "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestLifecycleAudit: the record has ECR's form, and rules of which it tells alone.
func TestLifecycleAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		pushed := time.Now()
		img := addImage(t, s, n, "beta-1", "old")
		time.Sleep(day)
		addImage(t, s, n, "beta-2", "young")
		_, err := s.PutLifecyclePolicy(alice(t), n, threeRules)
		must(t, err)
		time.Sleep(time.Hour)
		must(t, s.RunLifecycle(alice(t)))
		var got map[string]any
		page, err := s.Events(alice(t), 0, 1000)
		must(t, err)
		must(t, json.Unmarshal(page[len(page)-1].Detail, &got))
		id, _ := got["lifecycleEventPolicy"].(map[string]any)["policyId"].(string)
		var want map[string]any
		must(t, json.Unmarshal(fmt.Appendf(nil, `{
			"repositoryName": "team/app",
			"lifecycleEventPolicy": {
				"lifecycleEventRules": [{"rulePriority": 5, "action": "transition", "lifecycleEventSelection": {
					"tagStatus": "Tagged", "tagPrefixList": [], "tagPatternList": ["beta*"], "countType": "Image count more than", "countNumber": 1}}],
				"lastEvaluatedAt": 0, "policyVersion": 1, "policyId": %q},
			"lifecycleEventImageActions": [{"rulePriority": 5, "action": "TRANSITION",
				"reason": "number 2 from the youngest on, and rule 5 archives all but the first 1",
				"lifecycleEventImage": {"digest": %q, "tagStatus": "Tagged", "tagList": ["beta-1"], "pushedAt": %d}}],
			"lifecycleEventFailureDetails": []}`, id, img.Digest, pushed.UnixMilli()), &want))
		if diff := cmp.Diff(want, got); diff != "" || len(id) != 36 {
			t.Errorf("detail (-want +got):\n%s", diff)
		}
	})
}

// TestLifecycleRunsAreSpaced: a repository is let alone for an interval, and what
// must stay is recorded once a day.
func TestLifecycleRunsAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{LifecycleInterval: 10 * time.Minute, EventRetention: 1000 * day})
		n := create(t, s, "team/app")
		child := addImage(t, s, n, "", "child")
		put(t, s, n, "multi", indexOf(t, child))
		time.Sleep(2 * day)
		_, err := s.PutLifecyclePolicy(alice(t), n, rules(rule(1, "untagged", "", sincePushed(1), expire)))
		must(t, err)
		runs := 0
		last := time.Time{}
		for range 3 * 24 * 60 { // three days
			time.Sleep(time.Minute)
			must(t, s.RunLifecycle(alice(t)))
			p, err := s.LifecyclePolicy(alice(t), n)
			must(t, err)
			if !p.EvaluatedAt.Equal(last) {
				last = p.EvaluatedAt
				runs++
			}
		}
		if runs != 3*24*6 {
			t.Errorf("%d runs in three days, want one every ten minutes", runs)
		}
		if done, failed := audits(t, s, registry.LifecycleRun, map[string]registry.Image{"child": child}); len(done) > 0 || len(failed) != 3 {
			t.Errorf("done %v, not done %v; want the child to be recorded on each day", done, failed)
		}
	})
}

// TestLifecycleChildrenGoLater: an index goes first, what it named in a later run.
func TestLifecycleChildrenGoLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		all := map[string]registry.Image{"child": addImage(t, s, n, "", "child")}
		all["index"] = put(t, s, n, "", indexOf(t, all["child"]))
		_, err := s.PutLifecyclePolicy(alice(t), n, rules(rule(1, "untagged", "", sincePushed(1), expire)))
		must(t, err)
		time.Sleep(2 * day)
		for _, want := range [][]string{{"child"}, nil} {
			must(t, s.RunLifecycle(alice(t)))
			if diff := cmp.Diff(want, left(t, s, n, all)); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
			time.Sleep(time.Hour)
		}
	})
}

// TestLifecycleArchive: what was archived long ago goes, what is on its way back
// does not, and pulls keep images out of the archive.
func TestLifecycleArchive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{RestoreTime: time.Hour})
		n := create(t, s, "team/app")
		all := map[string]registry.Image{}
		for _, key := range []string{"gone", "pulled", "returning"} {
			all[key] = addImage(t, s, n, key, key)
		}
		_, err := s.PutLifecyclePolicy(alice(t), n, rules(
			rule(1, "any", "", since("Pulled", 10), archive),
			rule(2, "any", `"storageClass": "archive",`, since("Transitioned", 90), expire),
		))
		must(t, err)
		time.Sleep(9 * day)
		_, _, err = s.Manifest(alice(t), n, tagged(t, "pulled"))
		must(t, err)
		time.Sleep(2 * day)
		must(t, s.RunLifecycle(alice(t)))
		if diff := cmp.Diff([]string{"gone ARCHIVED", "pulled", "returning ARCHIVED"}, left(t, s, n, all)); diff != "" {
			t.Errorf("after 11 days (-want +got):\n%s", diff)
		}
		time.Sleep(91 * day)
		setClass(t, s, n, all["returning"], registry.StandardClass)
		must(t, s.RunLifecycle(alice(t)))
		if diff := cmp.Diff([]string{"pulled ARCHIVED", "returning ACTIVATING"}, left(t, s, n, all)); diff != "" {
			t.Errorf("after 102 days (-want +got):\n%s", diff)
		}
	})
}

// TestReferrersStayWithTheirSubject: what was to follow an image that stays, stays.
func TestReferrersStayWithTheirSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index := &meddling{Index: memory.NewIndex()}
		s := open(t, registry.Options{Index: index})
		n := create(t, s, "team/app")
		all := map[string]registry.Image{"img": addImage(t, s, n, "tmp", "one")}
		all["signature"] = referrerOf(t, s, n, all["img"], "signature")
		for _, action := range []string{expire, archive} {
			_, err := s.PutLifecyclePolicy(alice(t), n, rules(rule(1, "tagged", `"tagPrefixList": ["tmp"],`, sincePushed(1), action)))
			must(t, err)
			time.Sleep(2 * day)
			index.beforeUpdate(1, func() { put(t, s, n, "multi", indexOf(t, all["img"])) })
			must(t, s.RunLifecycle(alice(t)))
			if diff := cmp.Diff([]string{"img", "signature"}, left(t, s, n, all)); diff != "" {
				t.Errorf("%s: left (-want +got):\n%s", action, diff)
			}
			_, err = s.DeleteImage(alice(t), n, tagged(t, "multi"), nil)
			must(t, err)
		}
		time.Sleep(day)
		must(t, s.RunLifecycle(alice(t)))
		if diff := cmp.Diff([]string{"img ARCHIVED", "signature ARCHIVED"}, left(t, s, n, all)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		done, _ := audits(t, s, registry.LifecycleRun, all)
		if diff := cmp.Diff([]string{"img transition by 1", "signature transition by 1"}, done); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
	})
}

// TestOneRepositoryFails: what cannot be run keeps no other from its run.
func TestOneRepositoryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index := memory.NewIndex()
		s := open(t, registry.Options{Index: index, LifecycleExtensions: true})
		a, b := create(t, s, "team/a"), create(t, s, "team/b")
		own := `{"rules": [` + rule(1, "any", "", moreThan(1), expire) + `], "berth": {"keep": [{"tagPatternList": ["keep"]}]}}`
		_, err := s.PutLifecyclePolicy(alice(t), a, own)
		must(t, err)
		_, err = s.PutLifecyclePolicy(alice(t), b, keepOne)
		must(t, err)
		addImage(t, s, b, "1", "one")
		time.Sleep(time.Minute)
		addImage(t, s, b, "2", "two")
		s.Configure(registry.Options{}) // without extensions
		time.Sleep(time.Hour)
		must(t, s.RunLifecycle(alice(t)))
		if names := tagNames(t, s, b); len(names) != 1 {
			t.Errorf("tags left: %v", names)
		}
		if p, err := s.LifecyclePolicy(alice(t), a); err != nil || !p.EvaluatedAt.IsZero() {
			t.Errorf("a policy that cannot be read: %+v, %v", p, err)
		}
		if due, err := s.LifecycleDue(alice(t)); due || err != nil {
			t.Errorf("due at once again: %v, %v", due, err)
		}
		s.Configure(registry.Options{LifecycleExtensions: true})
		addImage(t, s, a, "keep", "one")
		time.Sleep(time.Hour)
		addImage(t, s, a, "2", "two")
		must(t, s.RunLifecycle(alice(t)))
		if names := tagNames(t, s, a); len(names) != 2 {
			t.Errorf("tags left by a keep-rule: %v", names)
		}
		if _, failed := audits(t, s, registry.LifecycleRun, nil); len(failed) != 1 || !strings.HasSuffix(failed[0], ": ImageKeptByKeepRule") {
			t.Errorf("recorded %v", failed)
		}
	})
}
