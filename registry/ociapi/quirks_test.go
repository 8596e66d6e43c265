package ociapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/ociapi"
)

// told is an answer in a line: status, code and first message of a refusal, or
// its text.
func told(a answer) string {
	var e envelope
	if strictJSON(a.body, &e) != nil || len(e.Errors) == 0 {
		return strings.TrimSpace(fmt.Sprint(a.status, " ", a.body))
	}
	return fmt.Sprintf("%d %s: %s", a.status, e.Errors[0].Code, e.Errors[0].Message)
}

// plays have a scene for each quirk, and what is seen in it in both modes. A
// trailing "…" stands for any end.
var plays = map[string]struct {
	play     func(*door) string
	oci, ecr string
}{
	"bare challenge": {
		func(d *door) string { return told(d.do("GET", "/v2/", as(""))) },
		"401 UNAUTHORIZED: log in…",
		"401 Not Authorized",
	},
	"password refusals": {
		func(d *door) string {
			bad := told(d.do("GET", "/v2/", as("nonsense")))
			d.advance(13 * time.Hour)
			return told(d.do("GET", "/v2/")) + " / " + bad
		},
		"401 UNAUTHORIZED: log in with the user AWS and a password from GetAuthorizationToken / 401 UNAUTHORIZED…",
		"403 DENIED: Your authorization token has expired. Reauthenticate and try again. / 400 DENIED: Your Authorization Token is invalid.",
	},
	"code mapping": {
		func(d *door) string {
			m := indexOf(d.t, "absent")
			return told(d.put("app", "1", v1.MediaTypeImageIndex, m))
		},
		"400 MANIFEST_BLOB_UNKNOWN: blob unknown to registry",
		"404 MANIFEST_BLOB_UNKNOWN: Images with digests '[" + sha256Of("absent").String() +
			"]' required for pushing image into repository with name 'app' in the registry with id '" + account + "' do not exist",
	},
	"bad parameters": {
		func(d *door) string { return told(d.do("GET", "/v2/app/blobs/sha256:abc")) },
		"400 DIGEST_INVALID: …",
		"405 UNSUPPORTED: Invalid parameter at 'digest' failed to satisfy constraint: '…",
	},
	"bare not found": {
		func(d *door) string {
			return told(d.do("GET", "/v2/app/nothing")) + " / " + told(d.do("PATCH", "/v2/app/tags/list"))
		},
		"404 UNSUPPORTED: no resource of the registry has this path / 405 UNSUPPORTED: …",
		"404 404 page not found / 404 404 page not found",
	},
	"absolute URLs": {
		func(d *door) string {
			at := d.do("POST", "/v2/app/blobs/uploads/", toHost("stranger.example")).header.Get("Location")
			before, _, _ := strings.Cut(at, "/v2/")
			return before
		},
		"",
		"http://127.0.0.1:5000",
	},
	"bounded pages": {
		func(d *door) string {
			var seen []string
			for _, n := range []string{"", "?n=0", "?n=1000", "?n=1001"} {
				seen = append(seen, told(d.do("GET", "/v2/_catalog"+n)))
			}
			return strings.Join(seen, " / ")
		},
		`200 {"repositories":["app"]} / 200 {"repositories":[]} / 200 {"repositories":["app"]} / 200 {"repositories":["app"]}`,
		`200 {"repositories":["app"]} / 405 UNSUPPORTED: Invalid parameter at 'maxResults' failed to satisfy constraint: ` +
			`'Member must have value greater than or equal to 1' / 200 {"repositories":["app"]} / 405 UNSUPPORTED: Invalid parameter at ` +
			`'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to 1000'`,
	},
	"opaque places": {
		func(d *door) string {
			d.tag("app", "a", "1")
			d.tag("app", "b", "2")
			page := d.do("GET", "/v2/app/tags/list?n=1")
			_, link, _ := strings.Cut(page.header.Get("Link"), "last=")
			last, _, _ := strings.Cut(link, "&")
			return last + " / " + told(d.do("GET", "/v2/app/tags/list?n=1&last="+last)) + " / " + told(d.do("GET", "/v2/app/tags/list?last=b"))
		},
		`a / 200 {"name":"app","tags":["b"]} / 200 {"name":"app","tags":[]}`,
		`AWE / 200 {"name":"app","tags":["b"]} / 405 UNSUPPORTED: Invalid parameter at 'NextToken' failed to satisfy constraint: 'Invalid next token provided'`,
	},
	"tags as text": {
		func(d *door) string { return d.do("GET", "/v2/app/tags/list").header.Get("Content-Type") },
		"application/json",
		"text/plain; charset=utf-8",
	},
	"patch creates": {
		func(d *door) string { return told(d.do("PATCH", d.start("app"), body("bytes"))) },
		"202", "201",
	},
	"no upload UUID": {
		func(d *door) string {
			a := d.do("POST", "/v2/app/blobs/uploads/")
			id := a.header.Get("Docker-Upload-Uuid")
			return fmt.Sprint(id != "" && strings.HasSuffix(a.header.Get("Location"), id))
		},
		"true", "false",
	},
	"no upload status": {
		func(d *door) string { return told(d.do("GET", d.start("app"))) },
		"204", "404 404 page not found",
	},
	"no whole upload": {
		func(d *door) string {
			return told(d.do("POST", "/v2/app/blobs/uploads/?digest="+sha256Of("bytes").String(), body("bytes")))
		},
		"201", "202",
	},
	"part rules": {
		func(d *door) string {
			chunks, empty := d.start("app"), d.start("app")
			d.do("PATCH", chunks, body("by"))
			d.do("PATCH", chunks, body("tes"))
			return told(d.do("PUT", chunks+"?digest="+sha256Of("bytes").String())) + " / " +
				strings.ReplaceAll(told(d.do("PUT", empty+"?digest="+sha256Of("").String())), uploadID(empty), "ID")
		},
		"201 / 201",
		"400 BLOB_UPLOAD_INVALID: All layer parts except the last part should be at least 5MB / 400 BLOB_UPLOAD_INVALID: The upload with id 'ID' " +
			"in the repository with name 'app' in registry with id '" + account + "' cannot be completed because it does not have any parts",
	},
	"mount by setting": {playMounts, "201 201 201 / 201 201 201", "202 202 202 / 202 202 201"},
	"last tag takes image": {
		func(d *door) string {
			m := d.tag("app", "1", "layer")
			want(d.t, d.do("DELETE", "/v2/app/manifests/1"), 202, "")
			return told(d.do("HEAD", "/v2/app/manifests/"+sha256Of(m).String()))
		},
		"200", "404",
	},
	"kept blobs": {
		func(d *door) string {
			upload := d.start("app")
			want(d.t, d.do("PUT", upload+"?digest="+sha256Of("bytes").String(), body("bytes")), 201, "")
			blob := "/v2/app/blobs/" + sha256Of("bytes").String()
			return told(d.do("DELETE", blob)) + " / " + told(d.do("HEAD", blob))
		},
		"202 / 404", "404 404 page not found / 200",
	},
	"bounded tags": {
		func(d *door) string { return told(d.put("app", "more", v1.MediaTypeImageIndex, d.tagged("app", 1000))) },
		"201",
		"405 UNSUPPORTED: Adding tag 'more' to an image in the repository with name 'app'…",
	},
}

func uploadID(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// playMounts mounts with the account setting off and on: a layer from nowhere
// in particular, one that no image uses, and one that an image uses.
func playMounts(d *door) string {
	d.create("from", "to/0", "to/1")
	loose, used := sha256Of("loose"), sha256Of("used")
	for _, content := range []string{"loose", "used", "{}"} {
		want(d.t, d.do("PUT", d.start("from")+"?digest="+sha256Of(content).String(), body(content)), 201, "")
	}
	m := marshal(d.t, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: sha256Of("{}").OCI(), Size: 2},
		Layers: []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: used.OCI(), Size: 4}},
	})
	want(d.t, d.put("from", "1", v1.MediaTypeImageManifest, m), 201, "")
	var seen []string
	for i, value := range []string{registry.Disabled, registry.Enabled} {
		must(d.t, d.service.PutAccountSetting(d.ctx(), here, registry.BlobMounting, value))
		start := fmt.Sprintf("/v2/to/%d/blobs/uploads/?mount=", i)
		seen = append(seen, fmt.Sprint(
			d.do("POST", start+used.String()).status,
			d.do("POST", start+loose.String()+"&from=from").status,
			d.do("POST", start+used.String()+"&from=from").status))
	}
	return strings.Join(seen, " / ")
}

func TestQuirks(t *testing.T) {
	if !ociapi.QuirksInOrder() {
		t.Fatal("the table does not have each quirk in its place")
	}
	for _, q := range ociapi.Quirks() {
		p, ok := plays[q.Name]
		if !ok {
			t.Errorf("nobody plays the quirk %q", q.Name)
			continue
		}
		for compat, expected := range map[ociapi.Compat]string{"": p.oci, ociapi.OCI: p.oci, ociapi.ECR: p.ecr} {
			d := open(t, func(o *setup) { o.compat = compat })
			d.create("app")
			begin, cut := strings.CutSuffix(expected, "…")
			if got := p.play(d); got != expected && !(cut && strings.HasPrefix(got, begin)) {
				t.Errorf("%s with compat %q:\ngot  %s\nwant %s", q.Name, compat, got, expected)
			}
		}
	}
	if len(plays) != len(ociapi.Quirks()) {
		t.Errorf("%d plays of %d quirks", len(plays), len(ociapi.Quirks()))
	}
}

func TestNoSuchCompat(t *testing.T) {
	d := build(t)
	names, err := endpoint.New(endpoint.Options{})
	must(t, err)
	_, err = ociapi.New(ociapi.Options{
		Registry: d.service, Credentials: d.verifier, Authorizer: auth.RootOnly{}, Names: names, Compat: "ecs",
	})
	if err == nil {
		t.Error(`the compat "ecs" is taken`)
	}
}

// The mapping of ECR, for each code of the domain (ECR reference,
// registry-http.md, "Code mapping").
func TestECRAnswers(t *testing.T) {
	special := map[registry.Code]string{
		registry.RepositoryNotFound:  "404 NAME_UNKNOWN",
		registry.RepositoryExists:    "409 UNSUPPORTED",
		registry.RepositoryNotEmpty:  "409 UNSUPPORTED",
		registry.ImageNotFound:       "404 MANIFEST_UNKNOWN",
		registry.TagMismatch:         "404 MANIFEST_UNKNOWN",
		registry.ImageArchived:       "404 MANIFEST_UNKNOWN",
		registry.TagImmutable:        "400 TAG_INVALID",
		registry.ImageDigestMismatch: "400 MANIFEST_INVALID",
		registry.LayersMissing:       "404 BLOB_UPLOAD_UNKNOWN",
		registry.ChildrenMissing:     "404 MANIFEST_BLOB_UNKNOWN",
		registry.LayerNotFound:       "404 BLOB_UNKNOWN",
		registry.LayerArchived:       "404 BLOB_UNKNOWN",
		registry.LayerDamaged:        "500 UNAVAILABLE",
		registry.ImageDamaged:        "500 UNAVAILABLE",
		registry.LayerDigestMismatch: "400 DIGEST_INVALID",
		registry.UploadNotFound:      "404 BLOB_UPLOAD_UNKNOWN",
		registry.UploadOffset:        "416 BLOB_UPLOAD_INVALID",
		registry.UploadEmpty:         "400 BLOB_UPLOAD_INVALID",
		registry.UploadPartTooSmall:  "400 BLOB_UPLOAD_INVALID",
		registry.TooManyUploads:      "429 TOOMANYREQUESTS",
		registry.StoreFull:           "507 UNAVAILABLE",
		registry.StoreFailed:         "503 UNAVAILABLE",
		registry.ResourceTagInvalid:  "400 UNSUPPORTED",
		registry.TooManyResourceTags: "403 DENIED",
		registry.Protected:           "403 DENIED",
		registry.UpstreamUnavailable: "502 UNAVAILABLE",
		registry.UpstreamTooMany:     "429 TOOMANYREQUESTS",
		registry.UpstreamDenied:      "403 DENIED",

		// ECR has no such quotas.
		registry.QuotaExceeded:     "403 DENIED",
		registry.TooManyInRegistry: "403 DENIED",
	}
	for _, c := range registry.TrafficCodes() {
		expected, ok := special[c]
		if !ok {
			expected = "405 UNSUPPORTED"
		}
		status, code, ok := ociapi.ECRAnswer(c)
		if got := fmt.Sprintf("%d %s", status, code); !ok || got != expected {
			t.Errorf("%s is answered by %s, want %s", c, got, expected)
		}
	}
}

// tagged puts an empty index in a repository, with so many tags, and returns it.
func (d *door) tagged(repo string, count int) string {
	m := indexOf(d.t)
	var list []registry.Tag
	for i := range count {
		tag, err := registry.ParseTag(fmt.Sprintf("t%03d", i))
		must(d.t, err)
		list = append(list, tag)
	}
	_, err := d.service.PutImage(d.ctx(), name(d.t, repo), registry.Push{Tags: list, Body: []byte(m)})
	must(d.t, err)
	return m
}

// Pages of ECR lead on by their links to the end.
func TestECRPagesLeadOn(t *testing.T) {
	d := open(t, likeECR)
	d.create("app")
	d.tagged("app", 205)
	path, got, pages := "/v2/app/tags/list", 0, 0
	for path != "" {
		a := d.do("GET", path)
		want(t, a, 200, "")
		got, pages = got+strings.Count(a.body, `"t`)-1, pages+1
		link, _, more := strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
		path = ""
		if more {
			u, err := url.Parse(link)
			must(t, err)
			if !u.IsAbs() {
				t.Errorf("the link %s is not absolute", link)
			}
			path = u.RequestURI()
		}
	}
	if got != 205 || pages != 3 {
		t.Errorf("%d tags in %d pages, want 205 in 3", got, pages)
	}
}
