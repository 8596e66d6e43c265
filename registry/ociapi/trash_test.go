package ociapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// withTrash keeps what is deleted for an hour.
func withTrash(o *setup) { o.registry.TrashWindow = time.Hour }

// TestTrash: nothing of a deleted image is there any more, its layers can neither be
// read nor mounted, and a client that pushes it again succeeds.
func TestTrash(t *testing.T) {
	for what, compat := range map[string]func(*setup){"oci": func(*setup) {}, "as ECR": likeECR} {
		t.Run(what, func(t *testing.T) {
			d := open(t, withTrash, compat)
			d.create("team/app", "team/other")
			m := d.image("team/app", nil, "one")
			want(t, d.put("team/app", "1.0", "", m), 201, "")
			blob, manifest := "/v2/team/app/blobs/"+sha256Of("one").String(), "/v2/team/app/manifests/"+sha256Of(m).String()
			want(t, d.do("GET", blob), 200, "")
			_, err := d.service.DeleteImage(d.ctx(), name(t, "team/app"), registry.Ref{Digest: sha256Of(m)}, nil)
			must(t, err)

			for _, path := range []string{blob, manifest, "/v2/team/app/manifests/1.0"} {
				for _, method := range []string{"HEAD", "GET"} {
					if a := d.do(method, path); a.status != 404 {
						t.Errorf("%s: %d %s", a.request, a.status, a.body)
					}
				}
			}
			for _, from := range []string{"&from=team/app", ""} {
				a := d.do("POST", "/v2/team/other/blobs/uploads/?mount="+sha256Of("one").String()+from)
				if a.status != 202 || !strings.Contains(a.header.Get("Location"), "/v2/team/other/blobs/uploads/") {
					t.Errorf("%s: %d, Location %q", a.request, a.status, a.header.Get("Location"))
				}
			}

			want(t, d.put("team/app", "1.0", "", d.image("team/app", nil, "one")), 201, "")
			want(t, d.do("GET", blob), 200, "")
			want(t, d.do("GET", manifest), 200, "")
		})
	}
}

// A mount from a repository that was deleted begins an upload.
func TestMountFromATrashedRepository(t *testing.T) {
	d := open(t, withTrash)
	d.create("team/from", "team/app")
	digest := d.push("team/from", "shared").Digest.String()
	_, err := d.service.DeleteRepository(d.ctx(), name(t, "team/from"), true)
	must(t, err)
	for _, from := range []string{"&from=team/from", ""} {
		want(t, d.do("POST", "/v2/team/app/blobs/uploads/?mount="+digest+from), 202, "")
	}
}

// TestProtected: what is protected is denied, and the detail says what protects it.
func TestProtected(t *testing.T) {
	d := open(t, func(o *setup) {
		o.registry.Protected = []registry.Protection{{Repositories: []string{"team/*"}, Tags: []string{"prod"}}, {Repositories: []string{"whole"}}}
	})
	d.create("team/app", "whole")
	m := d.image("team/app", nil, "one")
	for _, tag := range []string{"prod", "other"} {
		want(t, d.put("team/app", tag, "", m), 201, "")
	}
	w := d.image("whole", nil, "two")
	want(t, d.put("whole", "1.0", "", w), 201, "")
	for path, expected := range map[string]map[string]string{
		"/v2/team/app/manifests/" + sha256Of(m).String(): {"protected": "tag", "repository": "team/app", "tag": "prod"},
		"/v2/team/app/manifests/prod":                    {"protected": "tag", "repository": "team/app", "tag": "prod"},
		"/v2/whole/manifests/" + sha256Of(w).String():    {"protected": "repository", "repository": "whole"},
		"/v2/whole/manifests/1.0":                        {"protected": "repository", "repository": "whole"},
	} {
		a := d.do("DELETE", path)
		want(t, a, 403, "DENIED")
		var body struct {
			Errors []struct {
				Message string
				Detail  map[string]string
			}
		}
		must(t, json.Unmarshal([]byte(a.body), &body))
		if got := body.Errors[0]; len(got.Detail) != len(expected) || got.Detail["tag"] != expected["tag"] || got.Detail["protected"] != expected["protected"] ||
			got.Detail["repository"] != expected["repository"] || !strings.Contains(got.Message, "protected from deletion") {
			t.Errorf("%s: %+v, want the detail %v", a.request, got, expected)
		}
		want(t, d.do("GET", path), 200, "")
	}
	want(t, d.do("DELETE", "/v2/team/app/manifests/other"), 202, "")
	want(t, d.put("team/app", "prod", "", d.image("team/app", nil, "newer")), 201, "")
	want(t, d.do("DELETE", "/v2/team/app/manifests/"+sha256Of(m).String()), 202, "")
}
