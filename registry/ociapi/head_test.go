package ociapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/ociapi"
)

// modes are both ways of a door, by name.
var modes = map[string]func(*setup){
	"oci": func(o *setup) { o.compat = ociapi.OCI },
	"ecr": likeECR,
}

// scene is what the tests of this file look at.
type scene struct {
	*door
	manifest string
	digest   string // of the manifest
	layer    string // the digest of its layer
	empty    string // the digest of an empty blob
	upload   string // the path of an upload that has some bytes
}

func openScene(t *testing.T, mode func(*setup)) scene {
	t.Helper()
	d := open(t, mode)
	d.create("team/app", "team/empty", "team/long")
	m := d.tag("team/app", "1.0", "layer")
	s := scene{door: d, manifest: m, digest: sha256Of(m).String(), layer: sha256Of("layer").String(), empty: sha256Of("").String()}
	want(t, d.put("team/app", "2.0", imageType, m), 201, "")
	want(t, d.put("team/app", "all", indexType, indexOf(t, m)), 201, "")
	d.refer("team/app", v1.Descriptor{MediaType: imageType, Digest: sha256Of(m).OCI(), Size: int64(len(m))}, "application/x.1", nil)
	d.putBlob("team/app", "")
	s.upload = d.start("team/app")
	d.do("PATCH", s.upload, body("0123456789"))
	return s
}

// lengthen gives a repository more tags than are read at a time.
func (s scene) lengthen() {
	s.t.Helper()
	var many []string
	for i := range 1_000 { // as many as an image may have
		many = append(many, fmt.Sprintf("%04d", i))
	}
	s.tags("team/long", many...)
	want(s.t, s.put("team/long", "last", indexType, indexOf(s.t)+"\n"), 201, "")
}

// putBlob stores a blob past the door, which may not take an empty one.
func (d *door) putBlob(repo, content string) {
	d.t.Helper()
	u, err := d.service.StartUpload(d.ctx(), name(d.t, repo), registry.NewUpload{})
	must(d.t, err)
	_, err = d.service.AppendUpload(d.ctx(), name(d.t, repo), u.ID, registry.Part{Length: int64(len(content)), Body: strings.NewReader(content)})
	must(d.t, err)
	_, err = d.service.FinishUpload(d.ctx(), name(d.t, repo), u.ID, registry.Finish{Digests: []digest.Digest{sha256Of(content)}})
	must(d.t, err)
}

// asked are requests of one path that GET and HEAD must answer alike.
type asked struct {
	path    string
	options []option
}

func (s scene) asked() (all []asked) {
	app := "/v2/team/app/"
	for _, path := range []string{
		"/v2/", "/v2", "/v2/_catalog", "/v2/_catalog?n=1", "/v2/_catalog?n=0", "/v2/" + account + "/" + region + "/_catalog",
		app + "tags/list", app + "tags/list?n=1", app + "tags/list?n=x", "/v2/team/empty/tags/list", "/v2/team/long/tags/list",
		"/v2/team/long/tags/list?n=1000", "/v2/team/long/tags/list?n=2000",
		app + "manifests/1.0", app + "manifests/all", app + "manifests/" + s.digest, app + "manifests/1.0@" + s.digest,
		app + "manifests/none", app + "manifests/" + someDigest, app + "manifests/sha256:1", app + "manifests/..",
		app + "blobs/" + s.layer, app + "blobs/" + s.empty, app + "blobs/" + someDigest, app + "blobs/sha256:1",
		app + "referrers/" + s.digest, app + "referrers/" + s.digest + "?artifactType=application/x.1",
		app + "referrers/" + someDigest, app + "referrers/sha256:1",
		s.upload, app + "blobs/uploads/none", app + "blobs/uploads/",
		"/v2/team/none/tags/list", "/v2/Team/tags/list", "/v2/nothing", "/v2/_catalog?ns=elsewhere.example", "/v2/_catalog?%zz",
	} {
		all = append(all, asked{path, nil}, asked{path, []option{as("")}}, asked{path, []option{as("bad")}},
			asked{path, []option{toHost("stranger.example")}})
	}
	for _, path := range []string{app + "manifests/1.0", app + "manifests/" + s.digest, app + "blobs/" + s.layer} {
		for _, condition := range []string{"If-Match", "If-None-Match"} {
			for _, value := range []string{"*", `"other"`, `"` + s.digest + `"`, `W/"` + s.layer + `", "` + s.digest + `"`} {
				all = append(all, asked{path, []option{with(condition, value)}})
			}
		}
	}
	return all
}

// TestHeadIsGetWithoutBody: RFC 9110, section 9.3.2.
func TestHeadIsGetWithoutBody(t *testing.T) {
	for mode, change := range modes {
		t.Run(mode, func(t *testing.T) {
			s := openScene(t, change)
			s.lengthen()
			statuses := map[int]bool{}
			for _, q := range s.asked() {
				get, head := s.do("GET", q.path, q.options...), s.do("HEAD", q.path, q.options...)
				statuses[get.status] = true
				get.header.Del("Date")
				head.header.Del("Date")
				if diff := cmp.Diff(get.header, head.header); diff != "" || get.status != head.status {
					t.Errorf("%s: %d, HEAD %d; -GET +HEAD\n%s", q.path, get.status, head.status, diff)
				}
				if n := get.header.Get("Content-Length"); n != "" && n != fmt.Sprint(len(get.body)) {
					t.Errorf("%s: Content-Length %s of %d bytes", q.path, n, len(get.body))
				}
			}
			for _, status := range []int{200, 304, 404, 412} {
				if !statuses[status] {
					t.Errorf("no answer was %d, but %v", status, slices.Sorted(maps.Keys(statuses)))
				}
			}
		})
	}
}

// TestWholeListHasNoLength: what is written as it is read cannot say how long
// it gets; what is one page can.
func TestWholeListHasNoLength(t *testing.T) {
	s := openScene(t, modes["oci"])
	s.lengthen()
	for path, known := range map[string]bool{
		"/v2/team/long/tags/list": false, "/v2/team/long/tags/list?n=2000": true, "/v2/team/empty/tags/list": true, "/v2/_catalog": true,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if a := s.do(method, path); (a.header.Get("Content-Length") != "") != known {
				t.Errorf("%s: Content-Length %q", a.request, a.header.Get("Content-Length"))
			}
		}
	}
}

// TestConditionsOfManifests: those of blobs hold for manifests, by tag and by
// digest.
func TestConditionsOfManifests(t *testing.T) {
	for mode, change := range modes {
		t.Run(mode, func(t *testing.T) {
			s := openScene(t, change)
			tag := `"` + s.digest + `"`
			tests := []struct {
				header, value string
				status        int // with Range: bytes=2-5
			}{
				{"If-None-Match", tag, 304},
				{"If-None-Match", "W/" + tag, 304},
				{"If-None-Match", `"a", ` + tag, 304},
				{"If-None-Match", "*", 304},
				{"If-None-Match", `"a"`, 206},
				{"If-None-Match", s.digest, 206},
				{"If-Match", tag, 206},
				{"If-Match", "*", 206},
				{"If-Match", `"a", ` + tag, 206},
				{"If-Match", `"a"`, 412},
				{"If-Match", "W/" + tag, 412},
				{"If-Range", tag, 206},
				{"If-Range", "W/" + tag, 200},
				{"If-Range", `"a"`, 200},
				{"If-Range", "Wed, 21 Oct 2015 07:28:00 GMT", 200},
			}
			for ref, cache := range map[string]string{"1.0": "private, no-cache", s.digest: "private, max-age=31536000, immutable"} {
				for _, tt := range tests {
					a := s.do("GET", "/v2/team/app/manifests/"+ref, with("Range", "bytes=2-5"), with(tt.header, tt.value))
					a.request += fmt.Sprintf(" %s: %s", tt.header, tt.value)
					s.wantPart(a, tt.status, 2, 4)
					if tt.status == 304 {
						wantHeader(t, a, "Etag", tag, "Docker-Content-Digest", s.digest, "Cache-Control", cache, "Content-Length", "")
					}
				}
			}
		})
	}
}

// wantPart checks an answer with n bytes of the manifest, if it is one.
func (s scene) wantPart(a answer, status, start, n int) {
	s.t.Helper()
	if a.status != status {
		s.t.Errorf("%s: status %d, want %d", a.request, a.status, status)
	}
	span, part := "", ""
	switch a.status {
	case http.StatusOK:
		part = s.manifest
	case http.StatusPartialContent:
		span = fmt.Sprintf("bytes %d-%d/%d", start, start+n-1, len(s.manifest))
		part = s.manifest[start : start+n]
	case http.StatusRequestedRangeNotSatisfiable:
		wantHeader(s.t, a, "Content-Range", fmt.Sprintf("bytes */%d", len(s.manifest)))
		return
	default:
		wantHeader(s.t, a, "Content-Range", "")
		return
	}
	wantHeader(s.t, a, "Content-Range", span, "Content-Length", fmt.Sprint(len(part)), "Content-Type", imageType,
		"Docker-Content-Digest", s.digest, "Etag", `"`+s.digest+`"`, "Accept-Ranges", "bytes")
	if a.body != part {
		s.t.Errorf("%s: %q, want %q", a.request, a.body, part)
	}
}

func TestRangesOfManifests(t *testing.T) {
	for mode, change := range modes {
		t.Run(mode, func(t *testing.T) {
			s := openScene(t, change)
			size := len(s.manifest)
			tests := []struct {
				ranges           string
				status, start, n int
			}{
				{"bytes=0-3", 206, 0, 4},
				{"bytes=4-", 206, 4, size - 4},
				{"bytes=-2", 206, size - 2, 2},
				{"bytes=-99999", 206, 0, size},
				{"bytes=0-99999999999999999999999", 206, 0, size},
				{"bytes=5-2", 416, 0, 0},
				{"bytes=-0", 416, 0, 0},
				{fmt.Sprintf("bytes=%d-", size), 416, 0, 0},
				{"bytes=a-b", 416, 0, 0},
				{"lines=0-3", 200, 0, 0},
				{"bytes=0-3,2-5", 200, 0, 0},
			}
			for _, ref := range []string{"1.0", s.digest} {
				for _, tt := range tests {
					path := "/v2/team/app/manifests/" + ref
					a := s.do("GET", path, with("Range", tt.ranges))
					a.request += " Range: " + tt.ranges
					s.wantPart(a, tt.status, tt.start, tt.n)
					// RFC 9110, section 14.2: a Range is for GET alone.
					head := s.do("HEAD", path, with("Range", tt.ranges))
					want(t, head, 200, "")
					wantHeader(t, head, "Content-Length", fmt.Sprint(size), "Content-Range", "")
				}
			}
		})
	}
}

// TestAcceptChangesNothing: the digest is that of the bytes that were pushed,
// so nothing is ever made into something else for a client.
func TestAcceptChangesNothing(t *testing.T) {
	for mode, change := range modes {
		t.Run(mode, func(t *testing.T) {
			s := openScene(t, change)
			paths := []string{"/v2/team/app/manifests/1.0", "/v2/team/app/manifests/all", "/v2/team/app/manifests/" + s.digest, "/v2/team/app/blobs/" + s.layer}
			for _, path := range paths {
				plain := s.do("GET", path)
				plain.header.Del("Date")
				for _, accept := range []string{
					"", "*/*", imageType, indexType, dockerType, schema1, "text/html", "*/*;q=0", "not a type", imageType + ";q=0, " + indexType,
				} {
					for _, method := range []string{"GET", "HEAD"} {
						a := s.do(method, path, with("Accept", accept), with("Accept-Encoding", "gzip"), with("Accept-Language", "tlh"))
						a.header.Del("Date")
						if diff := cmp.Diff(plain.header, a.header); diff != "" || a.status != plain.status {
							t.Errorf("%s with Accept %q: %d -plain +this\n%s", a.request, accept, a.status, diff)
						}
						if method == "GET" && a.body != plain.body {
							t.Errorf("%s with Accept %q: other bytes", a.request, accept)
						}
					}
				}
			}
		})
	}
}

// TestPackedBodies are refused wherever a body would be stored.
func TestPackedBodies(t *testing.T) {
	for mode, change := range modes {
		t.Run(mode, func(t *testing.T) {
			s := openScene(t, change)
			query := "?digest=" + sha256Of("content").String()
			s.unchanged(func() {
				for _, coding := range []string{"gzip", "GZIP", "zstd", "br", "identity, gzip", "x"} {
					packed := with("Content-Encoding", coding)
					want(t, s.do("PATCH", s.upload, packed, body("content")), 415, "UNSUPPORTED")
					want(t, s.do("PUT", s.upload+query, packed, body("content")), 415, "UNSUPPORTED")
					want(t, s.do("POST", "/v2/team/app/blobs/uploads/"+query, packed, body("content")), 415, "UNSUPPORTED")
					want(t, s.do("PUT", "/v2/team/app/manifests/1.0", packed, with("Content-Type", imageType), body(s.manifest)), 415, "UNSUPPORTED")
				}
			})
			want(t, s.do("PUT", "/v2/team/app/manifests/1.0", with("Content-Encoding", "identity"), with("Content-Type", imageType), body(s.manifest)), 201, "")
		})
	}
}
