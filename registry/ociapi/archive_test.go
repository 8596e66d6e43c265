package ociapi_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
)

// move changes the storage class of what a tag names.
func (d *door) move(repo, tag string, class registry.StorageClass) {
	d.t.Helper()
	parsed, err := registry.ParseTag(tag)
	must(d.t, err)
	_, err = d.service.SetStorageClass(d.ctx(), name(d.t, repo), registry.Ref{Tag: parsed}, class)
	must(d.t, err)
}

// An archived image, or one on its way back, is not there for those who pull, like
// its layers and referrers; a push of it works as if it were not there at all.
func TestArchivedImages(t *testing.T) {
	for mode, change := range map[string]func(*setup){"oci": func(*setup) {}, "ecr": likeECR} {
		t.Run(mode, func(t *testing.T) {
			d := open(t, change, func(o *setup) { o.registry.RestoreTime = time.Hour })
			d.create("team/app")
			m := d.image("team/app", nil, "one")
			want(t, d.put("team/app", "1.0", imageType, m), 201, "")
			want(t, d.put("team/app", "2.0", imageType, d.image("team/app", nil, "two")), 201, "")
			subject := v1.Descriptor{MediaType: imageType, Digest: sha256Of(m).OCI(), Size: int64(len(m))}
			d.refer("team/app", subject, "text/signature", nil)

			d.move("team/app", "1.0", registry.ArchiveClass)
			d.hidden(m)
			d.move("team/app", "1.0", registry.StandardClass)
			d.hidden(m)

			d.push("team/app", "one")
			want(t, d.put("team/app", "1.0", imageType, m), 201, "")
			want(t, d.do("GET", "/v2/team/app/manifests/1.0"), 200, "")
			want(t, d.do("GET", "/v2/team/app/blobs/"+sha256Of("one").String()), 200, "")
			if _, x := d.referrers("/v2/team/app/referrers/" + subject.Digest.String()); len(x.Manifests) != 1 {
				t.Errorf("after a push there are %d referrers, want 1", len(x.Manifests))
			}
			d.move("team/app", "1.0", registry.ArchiveClass)
			want(t, d.do("DELETE", "/v2/team/app/manifests/"+subject.Digest.String()), 202, "")
		})
	}
}

// hidden fails the test unless 1.0 of team/app, whose layer is one, is out of sight
// and 2.0 is not.
func (d *door) hidden(m string) {
	d.t.Helper()
	digest := sha256Of(m).String()
	for _, path := range []string{"manifests/1.0", "manifests/" + digest, "blobs/" + sha256Of("one").String()} {
		code := "MANIFEST_UNKNOWN"
		if path[0] == 'b' {
			code = "BLOB_UNKNOWN"
		}
		want(d.t, d.do("GET", "/v2/team/app/"+path), 404, code)
		want(d.t, d.do("HEAD", "/v2/team/app/"+path), 404, "")
	}
	want(d.t, d.do("GET", "/v2/team/app/manifests/2.0"), 200, "")
	want(d.t, d.do("GET", "/v2/team/app/blobs/"+sha256Of("{}").String()), 200, "") // the config of both
	if a := d.do("GET", "/v2/team/app/tags/list"); !slices.Contains([]string{
		`{"name":"team/app","tags":["2.0"]}` + "\n", `{"name":"` + account + `/team/app","tags":["2.0"]}` + "\n",
	}, a.body) {
		d.t.Errorf("tags: %s", a.body)
	}
	if _, x := d.referrers("/v2/team/app/referrers/" + digest); len(x.Manifests) != 0 {
		d.t.Errorf("referrers of an archived image: %v", x.Manifests)
	}
}

// A link that was given out before does not open an archived layer.
func TestArchivedLayerByLink(t *testing.T) {
	d := open(t)
	d.create("team/app")
	d.tag("team/app", "1.0", "one")
	link := d.link("team/app", sha256Of("one").String())
	want(t, d.do("GET", link, as("")), 200, "")
	d.move("team/app", "1.0", registry.ArchiveClass)
	if a := d.do("GET", link, as("")); a.status != 404 {
		t.Errorf("%s: %d %s", a.request, a.status, a.body)
	}
}

// What is read at the door is noted, and so is what was denied, with who it was.
func TestReadsAreNoted(t *testing.T) {
	d := open(t, func(o *setup) {
		o.registry.ReadEvents = true
		o.authorizer = auth.AuthorizerFunc(denying{"ecr:PutImage": true}.Authorize)
	})
	d.create("team/app")
	img, err := d.service.PutImage(d.ctx(), name(t, "team/app"), registry.Push{Body: []byte(indexOf(t))})
	must(t, err)
	path := "/v2/team/app/manifests/" + img.Image.Digest.String()
	want(t, d.do("GET", path), 200, "")
	want(t, d.do("PUT", path, with("Content-Type", indexType), body(indexOf(t))), 403, "DENIED")
	must(t, d.service.FlushPulls(t.Context()))
	list, err := d.service.Events(t.Context(), 0, 100)
	must(t, err)
	got := map[registry.EventKind]string{}
	for _, e := range list[2:] {
		got[e.Kind] = e.Actor + " " + string(e.Detail)
	}
	root := rootOf(account, d.key.ID, region).ARN
	if diff := cmp.Diff(map[registry.EventKind]string{
		registry.ImagePulled: root + " ",
		registry.AccessDenied: root + ` {"Action":"ecr:PutImage","Resource":"` + arn("team/app") +
			`","Reason":"no identity-based policy allows the ecr:PutImage action"}`,
	}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A page of tags may be empty where archived images have them, and links to the next.
func TestTagsBehindArchivedOnes(t *testing.T) {
	d := open(t)
	d.create("team/app")
	body := []byte(indexOf(t))
	for i := range 2 {
		push := registry.Push{Body: body}
		for j := range 600 {
			tag, err := registry.ParseTag(fmt.Sprintf("a%d.%d", i, j))
			must(t, err)
			push.Tags = append(push.Tags, tag)
		}
		_, err := d.service.PutImage(d.ctx(), name(t, "team/app"), push)
		must(t, err)
		d.move("team/app", push.Tags[0].String(), registry.ArchiveClass)
		body = append(body, ' ')
	}
	d.tag("team/app", "b", "one")
	a, l := d.list("/v2/team/app/tags/list?n=1")
	if len(l.Tags) != 0 || nextOf(t, a) == "" {
		t.Errorf("the first page has %q, and the link %q", l.Tags, a.header.Get("Link"))
	}
	for _, query := range []string{"", "?n=1", "?n=7"} {
		if got := d.follow("/v2/team/app/tags/list" + query); !slices.Equal(got, []string{"b"}) {
			t.Errorf("%s: tags %q", query, got)
		}
	}
}
