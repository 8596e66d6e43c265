package ociapi_test

import (
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
)

const replicaOf = "Berth-Origin"

// originAt is the header of a replica that another server got at a time.
func originAt(at time.Time) string {
	return registry.Origin{Server: "another-server", At: at}.String()
}

// What comes with an origin is a push like any other, that may come too late.
func TestOrigins(t *testing.T) {
	d := open(t)
	d.create("team/app")
	older, newer := d.image("team/app", nil, "older"), d.image("team/app", nil, "newer")
	now := d.clock()
	put := func(content string, at time.Time) answer {
		return d.do("PUT", "/v2/team/app/manifests/1", with("Content-Type", imageType), with(replicaOf, originAt(at)), body(content))
	}
	a := put(newer, now)
	want(t, a, 201, "")
	if a.header.Get(replicaOf) == "" {
		t.Error("nothing says that the origin was heeded")
	}
	want(t, put(older, now.Add(-time.Second)), 201, "")
	if got := d.do("GET", "/v2/team/app/manifests/1"); got.body != newer {
		t.Error("an older move has moved the tag")
	}
	want(t, d.do("GET", "/v2/team/app/manifests/"+sha256Of(older).String()), 200, "")
	want(t, d.do("DELETE", "/v2/team/app/manifests/1", with(replicaOf, originAt(now.Add(-time.Minute)))), 202, "")
	if got := d.do("GET", "/v2/team/app/manifests/1"); got.body != newer {
		t.Error("an older deletion has removed the tag")
	}
	want(t, d.do("DELETE", "/v2/team/app/manifests/1", with(replicaOf, originAt(now.Add(time.Second)))), 202, "")
	want(t, d.do("GET", "/v2/team/app/manifests/1"), 404, "MANIFEST_UNKNOWN")
	want(t, put(newer, now), 201, "")
	want(t, d.do("GET", "/v2/team/app/manifests/1"), 404, "MANIFEST_UNKNOWN")
	want(t, d.put("team/app", "1", imageType, newer), 201, "") // whoever is here has the last word
	if got := d.do("GET", "/v2/team/app/manifests/1"); got.body != newer {
		t.Error("a push here does not count")
	}
	d.unchanged(func() {
		for _, text := range []string{"none", "no-time ", "server yesterday", "a/b " + now.Format(time.RFC3339Nano)} {
			want(t, d.do("PUT", "/v2/team/app/manifests/1", with("Content-Type", imageType), with(replicaOf, text), body(older)), 400, "UNSUPPORTED")
		}
		want(t, put(older, now.Add(25*time.Hour)), 400, "UNSUPPORTED")
	})
}

// An origin lets nobody do what he may not do without one.
func TestOriginsBypassNothing(t *testing.T) {
	d := open(t)
	_, err := d.service.CreateRepository(d.ctx(), name(t, "team/app"), registry.Settings{TagRule: registry.TagRule{Mutability: registry.Immutable}})
	must(t, err)
	one, two := d.image("team/app", nil, "one"), d.image("team/app", nil, "two")
	want(t, d.put("team/app", "1", imageType, one), 201, "")
	later := with(replicaOf, originAt(d.clock().Add(time.Hour)))
	want(t, d.do("PUT", "/v2/team/app/manifests/1", with("Content-Type", imageType), later, body(two)), 409, "TAG_INVALID")
	if got := d.do("GET", "/v2/team/app/manifests/1"); got.body != one {
		t.Error("an immutable tag has moved")
	}
}

// Who may not replicate images pushes as if there were no origin: nothing is too late,
// and a repository that is missing is not made.
func TestOriginsOfThoseWhoMayNot(t *testing.T) {
	d := governed(t)
	d.create("team/app")
	pusher := d.user(account, "pusher", statements(allow("ecr:*", "*"), deny(allow("ecr:ReplicateImage", "*"))))
	replicator := d.user(account, "replicator", statements(allow("ecr:*", "*")))
	one, two := d.image("team/app", nil, "one"), d.image("team/app", nil, "two")
	want(t, d.put("team/app", "1", imageType, one), 201, "")
	before := with(replicaOf, originAt(d.clock().Add(-time.Hour)))
	a := d.do("PUT", "/v2/team/app/manifests/1", with("Content-Type", imageType), before, pusher, body(two))
	want(t, a, 201, "")
	wantHeader(t, a, replicaOf, "")
	if got := d.do("GET", "/v2/team/app/manifests/1"); got.body != two {
		t.Error("a push without the right to replicate was taken for a replica")
	}
	want(t, d.do("POST", "/v2/team/missing/blobs/uploads/", before, pusher), 404, "NAME_UNKNOWN")
	want(t, d.do("POST", "/v2/team/missing/blobs/uploads/", before, replicator), 202, "")
	want(t, d.do("DELETE", "/v2/team/app/manifests/1", before, pusher), 202, "")
	want(t, d.do("GET", "/v2/team/app/manifests/1"), 404, "MANIFEST_UNKNOWN")
}
