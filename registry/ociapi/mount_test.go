package ociapi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth"
)

// denying lets everyone do all but what it lists: actions, or actions on the
// ARN of a repository.
type denying map[string]bool

func (d denying) Authorize(_ context.Context, c auth.Check) error {
	if d[c.Action] || d[c.Action+" "+c.Resource] {
		return &auth.Denied{Check: c, Reason: "because no identity-based policy allows the " + c.Action + " action"}
	}
	return nil
}

func arn(repo string) string { return "arn:aws:ecr:" + region + ":" + account + ":repository/" + repo }

func TestMount(t *testing.T) {
	for what, from := range map[string]string{"with from": "&from=team/from", "without from": ""} {
		t.Run(what, func(t *testing.T) {
			d := open(t)
			d.create("team/from", "team/app")
			dig := d.push("team/from", "shared").Digest.String()
			a := d.do("POST", "/v2/team/app/blobs/uploads/?mount="+dig+from)
			want(t, a, 201, "")
			wantHeader(t, a, "Location", base+"/v2/team/app/blobs/"+dig, "Docker-Content-Digest", dig)
			if got := d.do("GET", "/v2/team/app/blobs/"+dig); got.body != "shared" {
				t.Errorf("pulled %d %q", got.status, got.body)
			}
			want(t, d.do("DELETE", "/v2/team/from/blobs/"+dig), 202, "")
			want(t, d.do("GET", "/v2/team/app/blobs/"+dig), 200, "")
			want(t, d.do("POST", "/v2/team/app/blobs/uploads/?mount="+dig+"&from=team/app"), 201, "")
		})
	}
}

// TestMountWithoutRight: whatever keeps a mount from being made, an ordinary
// upload begins, and the answer does not tell the reason.
func TestMountWithoutRight(t *testing.T) {
	deny := denying{}
	d := open(t, func(s *setup) { s.authorizer = auth.AuthorizerFunc(deny.Authorize) })
	d.create("team/from", "team/secret", "team/hidden", "team/gone", "team/app")
	for _, repo := range []string{"secret", "hidden"} {
		d.push("team/"+repo, "theirs")
	}
	d.push("team/from", "another")
	gone := d.push("team/gone", "gone").Digest.String()
	_, err := d.service.DeleteRepository(d.ctx(), name(t, "team/gone"), true)
	must(t, err)
	deny["ecr:GetDownloadUrlForLayer "+arn("team/secret")] = true
	deny["ecr:BatchCheckLayerAvailability "+arn("team/hidden")] = true

	theirs := sha256Of("theirs").String()
	tests := []string{
		"?mount=" + theirs + "&from=team/secret",
		"?mount=" + theirs + "&from=team/hidden",
		"?mount=" + theirs, // only unreadable copies exist
		"?mount=" + theirs + "&from=team/from",
		"?mount=" + theirs + "&from=team/none",
		"?mount=" + gone + "&from=team/gone",
		"?mount=" + gone,
		"?mount=" + theirs + "&from=",
		"?mount=" + theirs + "&from=../../etc",
		"?mount=" + theirs + "&from=%2e%2e%2fsecret",
		"?mount=" + theirs + "&from=team/secret%00",
		"?mount=" + theirs + "&from=Team/Secret",
		"?mount=" + theirs + "&from=" + strings.Repeat("a", 5000),
		"?mount=" + theirs + "&from=" + other + "/" + region + "/team/secret",
		"?mount=" + theirs + "&from=" + account + "/eu-west-1/team/secret",
	}
	d.unchanged(func() {
		for _, query := range tests {
			a := d.do("POST", "/v2/team/app/blobs/uploads/"+query)
			want(t, a, 202, "")
			id := a.header.Get("Docker-Upload-UUID")
			wantHeader(t, a, "Location", base+"/v2/team/app/blobs/uploads/"+id, "Range", "0-0", "Docker-Content-Digest", "")
			a.header.Del("Date")
			if a.body != "" || len(a.header) != 5 { // the three, the version and Content-Length
				t.Errorf("%s: body %q, headers %v", query, a.body, a.header)
			}
		}
	})
	want(t, d.do("HEAD", "/v2/team/app/blobs/"+theirs), 404, "")
}

// TestMountByPath: clients that name the registry in the path name it in from
// too.
func TestMountByPath(t *testing.T) {
	d := open(t)
	d.create("team/from", "team/app")
	dig := d.push("team/from", "shared").Digest.String()
	prefix := account + "/" + region + "/"
	a := d.do("POST", "/v2/"+prefix+"team/app/blobs/uploads/?mount="+dig+"&from="+prefix+"team/from")
	want(t, a, 201, "")
	wantHeader(t, a, "Location", base+"/v2/"+prefix+"team/app/blobs/"+dig)
}

// undecided cannot say about some actions.
type undecided map[string]bool

func (u undecided) Authorize(_ context.Context, c auth.Check) error {
	if u[c.Action] {
		return context.DeadlineExceeded
	}
	return nil
}

func TestMountUndecided(t *testing.T) {
	d := open(t, func(s *setup) {
		s.authorizer = auth.AuthorizerFunc(undecided{"ecr:GetDownloadUrlForLayer": true}.Authorize)
	})
	d.create("team/from", "team/app")
	dig := d.push("team/from", "shared").Digest.String()
	want(t, d.do("POST", "/v2/team/app/blobs/uploads/?mount="+dig+"&from=team/from"), 202, "")
	if !strings.Contains(d.log.String(), "context deadline exceeded") {
		t.Errorf("log %q", d.log)
	}
}
