package ociapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/credentials"
)

// link signs a link to a layer for an hour.
func (d *door) link(repo, dig string) string {
	d.t.Helper()
	query, err := d.verifier.SignLink(d.t.Context(), rootOf(account, d.key.ID, region), credentials.Link{
		Account: account, Region: region, Repository: repo, Digest: dig,
	}, d.clock().Add(time.Hour))
	must(d.t, err)
	return "/layers/" + account + "/" + region + "/" + dig + "/" + repo + "?" + query
}

func TestLayerLink(t *testing.T) {
	d := open(t)
	d.create("team/app")
	dig := d.push("team/app", "0123456789").Digest.String()
	link := d.link("team/app", dig)
	a := d.do("GET", link, as(""))
	want(t, a, 200, "")
	wantHeader(t, a, "Content-Length", "10", "Content-Type", "application/octet-stream", "Docker-Content-Digest", dig, "Accept-Ranges", "bytes")
	if a.body != "0123456789" {
		t.Errorf("pulled %q", a.body)
	}
	a = d.do("GET", link, as(""), with("Range", "bytes=2-3"))
	want(t, a, 206, "")
	if a.body != "23" {
		t.Errorf("pulled %q", a.body)
	}
	want(t, d.do("GET", link, as(""), with("Range", "bytes=10-")), 416, "RANGE_INVALID")
	want(t, d.do("GET", link, as(""), with("If-None-Match", `"`+dig+`"`)), 304, "")
	a = d.do("HEAD", link, as(""))
	want(t, a, 200, "")
	wantHeader(t, a, "Content-Length", "10")
	want(t, d.do("GET", strings.Replace(link, "sha256:", "sha256%3A", 1), as("")), 200, "")
	want(t, d.do("GET", link, as("wrong")), 200, "") // other credentials are not looked at
}

func TestLayerLinkRefused(t *testing.T) {
	d := open(t)
	d.create("team/app", "team/other")
	dig, second := d.push("team/app", "one").Digest.String(), d.push("team/app", "two").Digest.String()
	d.push("team/other", "one")
	link := d.link("team/app", dig)
	path, query, _ := strings.Cut(link, "?")
	replace := func(old, new string) string {
		if !strings.Contains(link, old) {
			t.Fatalf("%s has no %s", link, old)
		}
		return strings.Replace(link, old, new, 1)
	}
	d.unchanged(func() {
		for what, bad := range map[string]string{
			"other digest":     replace(dig, second),
			"other repository": replace("team/app", "team/other"),
			"other account":    replace(account, other),
			"other region":     replace(region, "eu-west-1"),
			"longer life":      replace("expires=", "expires=9"),
			"no signature":     strings.Split(link, "&")[0],
			"no query":         path,
			"doubled":          link + "&" + query,
			"tampered":         link[:len(link)-4] + "AAAA",
			"bad query":        link + "&%zz",
			"bad name":         replace("team/app", "Team/app"),
			"encoded slash":    replace("team/app", "team%2fapp"),
			"dots":             replace("team/app", "team/../team/app"),
			"bad digest":       replace("sha256:", "sha512:"),
			"bad account":      replace(account, "me"),
			"short":            "/layers/x?" + query,
			"bare":             "/layers/",
		} {
			a := d.do("GET", bad) // not even with a password
			a.request = what
			want(t, a, 403, "DENIED")
		}
		for _, method := range []string{"PUT", "POST", "DELETE", "PATCH", "OPTIONS"} {
			want(t, d.do(method, link, as("")), 403, "DENIED")
		}
	})
	want(t, d.do("DELETE", "/v2/team/app/blobs/"+dig), 202, "")
	want(t, d.do("GET", link, as("")), 404, "BLOB_UNKNOWN")
}

func TestLayerLinkEnds(t *testing.T) {
	d := open(t)
	d.create("team/app")
	link := d.link("team/app", d.push("team/app", "one").Digest.String())
	d.advance(time.Hour - 2*time.Second)
	want(t, d.do("GET", link, as("")), 200, "")
	d.advance(2 * time.Second)
	want(t, d.do("GET", link, as("")), 403, "DENIED")
	d.advance(-time.Hour)
	must(t, d.keys.SetActive(t.Context(), d.key.ID, false))
	want(t, d.do("GET", link, as("")), 403, "DENIED")
}

// TestLayerLinkNeedsTheRight that whoever signed it had, as long as it is used.
func TestLayerLinkNeedsTheRight(t *testing.T) {
	deny := denying{}
	d := open(t, func(s *setup) { s.authorizer = auth.AuthorizerFunc(deny.Authorize) })
	d.create("team/app")
	link := d.link("team/app", d.push("team/app", "one").Digest.String())
	want(t, d.do("GET", link, as("")), 200, "")
	deny["ecr:GetDownloadUrlForLayer "+arn("team/app")] = true
	want(t, d.do("GET", link, as("")), 403, "DENIED")
}
