package ociapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth"
)

// nobodyReads lets nobody read one repository, and root do everything.
func nobodyReads(open string) auth.Authorizer {
	return auth.AuthorizerFunc(func(ctx context.Context, c auth.Check) error {
		if c.Principal.Kind != auth.Anonymous {
			return auth.RootOnly{}.Authorize(ctx, c)
		}
		if c.Resource == arn(open) && (c.Action == "ecr:BatchGetImage" || c.Action == "ecr:GetDownloadUrlForLayer" || c.Action == "ecr:PutImage") {
			return nil
		}
		return &auth.Denied{Check: c, Reason: "because no resource-based policy allows the " + c.Action + " action"}
	})
}

func TestAnonymous(t *testing.T) {
	for _, on := range []bool{false, true} {
		d := open(t, func(s *setup) { s.authorizer, s.anonymous, s.names.Account = nobodyReads("team/open"), on, account })
		d.create("team/open", "team/shut")
		layer := d.push("team/open", "bytes").Digest.String()
		d.push("team/shut", "bytes")
		d.unchanged(func() {
			for _, tt := range []struct {
				method, path string
				status       int // where nobody is answered
			}{
				{"GET", "/v2/team/open/blobs/" + layer, 200},
				{"GET", "/v2/" + account + "/" + region + "/team/open/blobs/" + layer, 200},
				{"GET", "/v2/team/open/manifests/none", 404},
				{"HEAD", "/v2/team/open/blobs/" + layer, 401}, // its action is another
				{"GET", "/v2/", 401},
				{"GET", "/v2/_catalog", 401},
				{"GET", "/v2/team/open/tags/list", 401},
				{"GET", "/v2/team/shut/blobs/" + layer, 401},
				{"GET", "/v2/team/shut/manifests/none", 401},
				{"GET", "/v2/team/none/blobs/" + layer, 401},
				{"GET", "/v2/team/none/manifests/none", 401},
				{"HEAD", "/v2/team/shut/manifests/v1", 401},
				{"HEAD", "/v2/team/shut/blobs/" + layer, 401},
				{"GET", "/v2/team/shut/tags/list", 401},
				{"GET", "/v2/team/shut/referrers/" + layer, 401},
				{"GET", "/v2/team/open/blobs/uploads/1-2", 401},
				{"POST", "/v2/team/open/blobs/uploads/?from=team/shut&mount=" + layer, 401},
				{"PUT", "/v2/team/open/manifests/v1", 401},
				{"POST", "/v2/team/open/blobs/uploads/", 401},
				{"DELETE", "/v2/team/open/manifests/" + layer, 401},
			} {
				empty := d.do(tt.method, tt.path, func(r *http.Request) { r.SetBasicAuth("", "") })
				a := d.do(tt.method, tt.path, as(""))
				if a.status != empty.status {
					t.Errorf("%s %s, answered %t: %d with empty credentials, %d without", tt.method, tt.path, on, empty.status, a.status)
				}
				want := tt.status
				if !on {
					want = 401
				}
				if a.status != want {
					t.Errorf("%s %s, answered %t: %d, want %d", tt.method, tt.path, on, a.status, want)
				}
				if challenge := a.header.Get("Www-Authenticate"); (want == 401) != strings.HasPrefix(challenge, "Basic ") {
					t.Errorf("%s %s, answered %t: challenge %q", tt.method, tt.path, on, challenge)
				}
				if a.header.Get("Set-Cookie") != "" || a.header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s %s: %v", tt.method, tt.path, a.header)
				}
			}
		})
	}
}

// What is refused to nobody tells nothing of what is there.
func TestAnonymousSeesNoDifference(t *testing.T) {
	d := open(t, func(s *setup) { s.authorizer, s.anonymous, s.names.Account = nobodyReads("team/open"), true, account })
	d.create("team/shut")
	layer := d.push("team/shut", "bytes").Digest.String()
	for _, path := range []string{"blobs/" + layer, "manifests/v1", "tags/list", "referrers/" + layer} {
		there, absent := d.do("GET", "/v2/team/shut/"+path, as("")), d.do("GET", "/v2/team/gone/"+path, as(""))
		if there.status != absent.status || there.body != absent.body || there.header.Get("Content-Length") != absent.header.Get("Content-Length") {
			t.Errorf("%s: %d %s and %d %s", path, there.status, there.body, absent.status, absent.body)
		}
	}
}
