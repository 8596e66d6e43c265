package ociapi_test

import (
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/ociapi"
)

const someDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestParseRoute(t *testing.T) {
	tests := []struct{ path, kind, repo, ref string }{
		{"/v2", "root", "", ""},
		{"/v2/", "root", "", ""},
		{"/v2/_catalog", "catalog", "_catalog", ""},
		{"/v2/123456789012/us-east-1/_catalog", "catalog", "123456789012/us-east-1/_catalog", ""},
		{"/v2/team/app/tags/list", "tags", "team/app", ""},
		{"/v2/team/app/manifests/1.4", "manifests", "team/app", "1.4"},
		{"/v2/team/app/blobs/" + someDigest, "blobs", "team/app", someDigest},
		{"/v2/team/app/blobs/uploads/", "uploads", "team/app", ""},
		{"/v2/team/app/blobs/uploads", "uploads", "team/app", ""},
		{"/v2/team/app/blobs/uploads/1-2", "upload", "team/app", "1-2"},
		{"/v2/team/app/referrers/" + someDigest, "referrers", "team/app", someDigest},

		// Repositories whose names look like something else.
		{"/v2/a/tags/tags/list", "tags", "a/tags", ""},
		{"/v2/tags/list/tags/list", "tags", "tags/list", ""},
		{"/v2/a/tags/list/manifests/x", "manifests", "a/tags/list", "x"},
		{"/v2/manifests/b/manifests/x", "manifests", "manifests/b", "x"},
		{"/v2/manifests/manifests/x", "manifests", "manifests", "x"},
		{"/v2/manifests/manifests/manifests", "manifests", "manifests", "manifests"},
		{"/v2/x/manifests/y/tags/list", "tags", "x/manifests/y", ""},
		{"/v2/x/manifests/list", "manifests", "x", "list"},
		{"/v2/x/manifests/tags", "manifests", "x", "tags"},
		{"/v2/x/blobs/uploads/y/manifests/z", "manifests", "x/blobs/uploads/y", "z"},
		{"/v2/x/blobs/uploads/y/blobs/uploads/", "uploads", "x/blobs/uploads/y", ""},
		{"/v2/x/blobs/uploads/y/blobs/uploads/z", "upload", "x/blobs/uploads/y", "z"},
		{"/v2/x/blobs/uploads/y/tags/list", "tags", "x/blobs/uploads/y", ""},
		{"/v2/blobs/uploads/blobs/uploads/", "uploads", "blobs/uploads", ""},
		{"/v2/blobs/uploads/manifests/x", "manifests", "blobs/uploads", "x"},
		{"/v2/blobs/blobs/uploads/uploads", "upload", "blobs", "uploads"},
		{"/v2/uploads/blobs/" + someDigest, "blobs", "uploads", someDigest},
		{"/v2/x/uploads/manifests/y", "manifests", "x/uploads", "y"},
		{"/v2/x/referrers/y/referrers/" + someDigest, "referrers", "x/referrers/y", someDigest},
		{"/v2/v2/tags/list", "tags", "v2", ""},
		{"/v2/v2/v2/manifests/v2", "manifests", "v2/v2", "v2"},
		{"/v2/_catalog/tags/list", "tags", "_catalog", ""}, // refused as a name

		// What is never cleaned or decoded; no such name is a repository's.
		{"/v2//a/tags/list", "tags", "/a", ""},
		{"/v2/a//tags/list", "tags", "a/", ""},
		{"/v2/a/../b/tags/list", "tags", "a/../b", ""},
		{"/v2/a%2fb/tags/list", "tags", "a%2fb", ""},
		{"/v2/a%2Fb/manifests/x", "manifests", "a%2Fb", "x"},
	}
	for _, tt := range tests {
		kind, repo, ref, ok := ociapi.ParseRoute(tt.path)
		if !ok || kind != tt.kind || repo != tt.repo || ref != tt.ref {
			t.Errorf("ParseRoute(%q) = %q, %q, %q, %v; want %q, %q, %q", tt.path, kind, repo, ref, ok, tt.kind, tt.repo, tt.ref)
		}
	}
}

func TestNoRoute(t *testing.T) {
	d := open(t)
	for _, path := range []string{
		"/v2/x", "/v2/team/app", "/v2/team/app/", "/v2/team/app/tags", "/v2/team/app/tags/", "/v2/team/app/tags/list/",
		"/v2/team/app/manifests", "/v2/team/app/manifests/", "/v2/team/app/manifests/a/b", "/v2/team/app/blobs",
		"/v2/team/app/blobs/", "/v2/team/app/blobs/a/b", "/v2/team/app/blobs/uploads/a/", "/v2/team/app/blobs/uploads//",
		"/v2/team/app/referrers/", "/v2/_catalog/", "/v2/a/_catalog", "/v2//", "/v2/%2f", "/V2/", "/v2%2f", "/v1/_ping",
		"/v2/team/app/Tags/list", "/v2/team%2ftags%2flist", "/v2/team/app/tags%2flist", "/v2/123456789012/us-east-1/x/_catalog",
		"/v2/123456789012/nowhere/_catalog", "/v2/..", "/v2/../v2/_catalog/..",
	} {
		d.unchanged(func() {
			want(t, d.do("GET", path), 404, "UNSUPPORTED")
		})
	}
}

// badNames are names that no repository has, escaped as they come.
var badNames = []string{
	"Team/app", "x", strings.Repeat("a", 257), "team/", "/team", "team//app", "team/../app", "..", ".", "team/.", "./team",
	"%2e%2e/team", "team%2fapp", "team%2Fapp", "team%5capp", `team\app`, "team%00", "team%0d%0aX-Evil:1", "team%20", "team+app", "team%3Aapp",
	"team:app", "team@app", "te%61m", "team__/app", "-team", "team-", "te..am", "te%C3%A4m", "\u0442eam", "%E2%80%8Bteam", "con.", "aux%20", "team%252fapp",
	"_catalog", "team/_catalog", "~team", "team;x=1", "team%3fx", "team%23x",
}

func TestBadNames(t *testing.T) {
	d := open(t)
	d.create("team/app")
	d.unchanged(func() {
		for _, bad := range badNames {
			for range 2 { // the same answer every time
				want(t, d.do("GET", "/v2/"+bad+"/tags/list"), 400, "NAME_INVALID")
				want(t, d.do("POST", "/v2/"+bad+"/blobs/uploads/"), 400, "NAME_INVALID")
				want(t, d.do("PUT", "/v2/"+bad+"/manifests/latest", body("{}")), 400, "NAME_INVALID")
				want(t, d.do("GET", "/v2/"+bad+"/blobs/"+someDigest), 400, "NAME_INVALID")
				want(t, d.do("GET", "/v2/"+bad+"/referrers/"+someDigest), 400, "NAME_INVALID")
				want(t, d.do("DELETE", "/v2/"+bad+"/blobs/uploads/x"), 400, "NAME_INVALID")
			}
		}
		want(t, d.do("GET", "/v2/tags/list"), 400, "NAME_INVALID")
	})
}

// TestNamesLikeRoutes: repositories with the oddest names can be used.
func TestNamesLikeRoutes(t *testing.T) {
	names := []string{
		"a/tags", "manifests/b", "x/blobs/uploads/y", "tags/list", "v2", "x/referrers/y", "blobs/uploads", "blobs",
		"x/manifests/y", "123456789012/us-east-1", "con", "aux/nul", strings.Repeat("a", 256),
	}
	d := open(t)
	d.create(names...)
	for _, repo := range names {
		m := d.tag(repo, "latest", "layer of "+repo)
		if a := d.do("GET", "/v2/"+repo+"/manifests/latest"); a.body != m {
			t.Errorf("%s: pulled %d %q", repo, a.status, a.body)
		}
		if _, l := d.list("/v2/" + repo + "/tags/list"); l.Name != repo || len(l.Tags) != 1 {
			t.Errorf("%s: lists %+v", repo, l)
		}
		d.referrers("/v2/" + repo + "/referrers/" + sha256Of(m).String())
		path := d.start(repo)
		want(t, d.do("PATCH", path, body("x")), 202, "")
		want(t, d.do("DELETE", path), 204, "")
		want(t, d.do("DELETE", "/v2/"+repo+"/manifests/latest"), 202, "")
	}
}

func FuzzParseRoute(f *testing.F) {
	for _, bad := range badNames {
		f.Add("/v2/" + bad + "/tags/list")
	}
	for _, p := range []string{"/v2", "/v2/", "/v2/_catalog", "/v2/a/manifests/b", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/b", "/v2/blobs/uploads"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		kind, repo, ref, ok := ociapi.ParseRoute(path)
		if !ok || repo == "" {
			return // refused, or a name that is
		}
		rebuilt := map[string]string{
			"catalog": "/v2/" + repo, "tags": "/v2/" + repo + "/tags/list",
			"manifests": "/v2/" + repo + "/manifests/" + ref, "blobs": "/v2/" + repo + "/blobs/" + ref,
			"uploads": "/v2/" + repo + "/blobs/uploads/", "upload": "/v2/" + repo + "/blobs/uploads/" + ref,
			"referrers": "/v2/" + repo + "/referrers/" + ref,
		}[kind]
		// The path that the parts make is that path, or the one way to write it
		// that is left: without the final slash, with an encoded colon.
		plain := strings.NewReplacer("%3A", ":", "%3a", ":").Replace
		if plain(rebuilt) != plain(path) && rebuilt != path+"/" {
			t.Errorf("%q was read as %s %q %q", path, kind, repo, ref)
		}
		if again, repo2, ref2, ok := ociapi.ParseRoute(rebuilt); !ok || again != kind || repo2 != repo || ref2 != ref {
			t.Errorf("%q was read as %s %q %q, and that as %s %q %q", path, kind, repo, ref, again, repo2, ref2)
		}
		if strings.Contains(ref, "/") {
			t.Errorf("%q has the reference %q", path, ref)
		}
	})
}
